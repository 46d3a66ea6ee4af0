"""What the tests of the tools share: simulated TMA, telemetry client, embedded Kafka."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.sal import KafkaSettings, load_packaged_interface
from lsst.ts.mtmount.tools.simulator import TmaSimulator

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


class KafkaProcess:
    """The embedded Kafka in a process of its own, which can be suspended."""

    def __init__(self, subname: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lsst.ts.mtmount.embedded", "--subname", subname],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        lines = [self._process.stdout.readline() for _ in range(3)]
        self.environment = dict(line.strip().split("=", 1) for line in lines)
        self.settings = KafkaSettings.from_environment(self.environment)

    def suspend(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.resume()
        self._process.terminate()
        self._process.communicate(timeout=TIMEOUT)


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
