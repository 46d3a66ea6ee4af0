"""What the tests of the tools share: simulated TMA, telemetry client, embedded Kafka."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.sal import KafkaSettings, load_packaged_interface
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..kafka_process import KafkaProcess
from .browser import browser

__all__ = ["browser"]

TIMEOUT = 60

Streaming = Callable[[], AbstractAsyncContextManager[TelemetryClient]]


@pytest.fixture
def settings(sal_environment: str) -> KafkaSettings:
    """Settings for the embedded broker, in a name space that no other test uses."""
    return KafkaSettings.from_environment()


@pytest.fixture
def streaming(sal_environment: str) -> Streaming:
    """Publish the simulator's telemetry with the real client, to where the environment says."""

    @asynccontextmanager
    async def stream() -> AsyncIterator[TelemetryClient]:
        async with TmaSimulator() as simulator:
            client = TelemetryClient("127.0.0.1", simulator.port)
            try:
                async with asyncio.timeout(TIMEOUT):
                    await client.start_task
                yield client
            finally:
                await client.close()

    return stream


@pytest.fixture
def kafka_process() -> Iterator[KafkaProcess]:
    """Another embedded Kafka, for a test that does things to it."""
    process = KafkaProcess(f"monitor{os.getpid()}")
    yield process
    process.stop()


@pytest.fixture
def sal_names() -> list[str]:
    """SAL names of all topics that the client publishes."""
    return [topic.sal_name for topic in load_packaged_interface().topics.values()]
