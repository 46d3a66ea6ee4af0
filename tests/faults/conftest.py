"""Fixtures of the tests of faults."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from lsst.ts.mtmount import Counters
from lsst.ts.mtmount.sal import load_packaged_interface
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka

from ..integration.kafka import KafkaCluster
from ..tma import ScriptedTma
from .outcome import PROPERTY, Outcome, RecordOutcome

#: Sets the environment to a cluster, with these properties of the producer, and returns it.
LeadTo = Callable[..., dict[str, str]]


@pytest.fixture
def record_outcome(request: pytest.FixtureRequest) -> RecordOutcome:
    """Hands an outcome to the table of faults."""

    def record(
        fault: str, result: str, counters: Counters | Mapping[str, Any] | None = None, **figures: Any
    ) -> None:
        if counters is None:
            outcome = Outcome(fault, result, **figures)
        else:
            outcome = Outcome.of(fault, result, counters, **figures)
        request.node.user_properties.append((PROPERTY, dataclasses.asdict(outcome)))

    return record


@pytest.fixture
def embedded_environment(embedded_kafka: EmbeddedKafka, sal_environment: str) -> dict[str, str]:
    """All environment variables, as `sal_environment` sets them; the Kafka topics exist."""
    embedded_kafka.create_topics(
        sal_environment + topic.sal_name for topic in load_packaged_interface().topics.values()
    )
    return dict(os.environ)


@pytest.fixture
async def tma() -> AsyncIterator[ScriptedTma]:
    """A TMA that sends what it is told to."""
    async with ScriptedTma() as server:
        yield server


@pytest.fixture(scope="module")
def one_broker(kafka_tools: None) -> Iterator[KafkaCluster]:
    """The broker behind `broker`."""
    with KafkaCluster() as cluster:
        yield cluster


@pytest.fixture
def broker(one_broker: KafkaCluster) -> Iterator[KafkaCluster]:
    """One broker, which tests kill and restart; it runs after each of them."""
    yield one_broker
    if not one_broker.is_running(1):
        one_broker.restart(1)


@pytest.fixture
def lead_to(
    embedded_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, subname: str
) -> LeadTo:
    """Set the environment to a cluster and the embedded registry, and return it."""
    for name in [name for name in os.environ if name.startswith("LSST_")]:
        monkeypatch.delenv(name)

    def lead(cluster: KafkaCluster, producer: Mapping[str, Any] | None = None) -> dict[str, str]:
        variables = cluster.environment(subname, embedded_kafka.registry_url)
        if producer is not None:
            path = tmp_path / "producer.yaml"
            path.write_text(yaml.safe_dump(dict(producer)))
            variables["LSST_KAFKA_PRODUCER_CONFIGURATION"] = str(path)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return dict(os.environ)

    return lead
