"""Fixtures of a real Apache Kafka and a real schema registry, for all tests."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NoReturn

import pytest

from .kafka import ApicurioRegistry, ArtifactError, KafkaCluster, artifacts, find_missing_tool


def _is_required() -> bool:
    """Must these tests run, so that what is missing is a failure?"""
    return os.environ.get("CI", "").lower() in ("true", "1") or os.environ.get("MTMOUNT_REQUIRE_KAFKA") == "1"


def _give_up(reason: str) -> NoReturn:
    """Skip the test, or fail it where it must run."""
    if _is_required():
        pytest.fail(f"Kafka is required here (CI or MTMOUNT_REQUIRE_KAFKA), but {reason}")
    pytest.skip(f"no Kafka here: {reason}")


@pytest.fixture(scope="session")
def kafka_tools() -> None:
    """Java is there, and Kafka and the registry are in the cache."""
    missing = find_missing_tool()
    if missing is not None:
        _give_up(missing)
    try:
        for server in artifacts.GOALS:
            artifacts.fetch(server)
    except ArtifactError as error:
        _give_up(str(error))


@pytest.fixture(scope="session")
def single_broker(kafka_tools: None) -> Iterator[KafkaCluster]:
    """One broker for the whole session: for tests that leave it as it is."""
    with KafkaCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def three_brokers(kafka_tools: None) -> Iterator[KafkaCluster]:
    """Three brokers with replication for the tests of a module, which restart what they kill."""
    with KafkaCluster(3) as cluster:
        yield cluster


@pytest.fixture
def start_cluster(kafka_tools: None) -> Iterator[Callable[..., KafkaCluster]]:
    """Start clusters of a test's own, with the arguments of `KafkaCluster`; they end with the test."""
    with ExitStack() as stack:

        def start(*args: Any, **kwargs: Any) -> KafkaCluster:
            return stack.enter_context(KafkaCluster(*args, **kwargs))

        yield start


@pytest.fixture(scope="session")
def schema_registry(kafka_tools: None) -> Iterator[ApicurioRegistry]:
    """One schema registry for the whole session: for tests that leave it as it is."""
    with ApicurioRegistry() as registry:
        yield registry


@pytest.fixture
def subname() -> str:
    """Name space that no other test uses."""
    return f"test_{uuid.uuid4().hex[:12]}"
