"""Fixtures of the tests of faults."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from lsst.ts.mtmount.embedded import EmbeddedKafka
from lsst.ts.mtmount.sal import load_packaged_interface

from ..tma import ScriptedTma
from .outcome import PROPERTY, Outcome, RecordOutcome


@pytest.fixture
def record_outcome(request: pytest.FixtureRequest) -> RecordOutcome:
    """Hands an outcome to the table of faults."""

    def record(outcome: Outcome) -> None:
        request.node.user_properties.append((PROPERTY, outcome))

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
