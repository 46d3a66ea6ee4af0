"""What all tests share."""

import asyncio
import itertools
import logging
import os
import signal
from collections.abc import AsyncIterator, Generator, Iterator

import pytest

from lsst.ts.mtmount.sal.interface import load_packaged_interface
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka

from .kafka_reader import KafkaReader

pytest_plugins = ["tests.integration.fixtures"]

_subnames = itertools.count()


def pytest_configure() -> None:
    """Let programs that tests start be interrupted: a job in the background of a script ignores that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what tests have logged on purpose and a process cannot hand to another one."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="module")
def embedded_kafka() -> Iterator[EmbeddedKafka]:
    """A broker and a schema registry for a module: with each topic, they answer more slowly."""
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture
def sal_environment(embedded_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the LSST_... variables to the embedded Kafka, and a name space of the test's own.

    Returns what comes before the SAL name in the names of the Kafka topics.
    """
    subname = f"test{os.getpid()}_{next(_subnames)}"
    for name in [name for name in os.environ if name.startswith("LSST_")]:
        monkeypatch.delenv(name)
    for name, value in embedded_kafka.environment(subname).items():
        monkeypatch.setenv(name, value)
    return f"lsst.{subname}.MTMount."


@pytest.fixture
async def kafka_reader(embedded_kafka: EmbeddedKafka, sal_environment: str) -> AsyncIterator[KafkaReader]:
    """A reader of everything that a client publishes in this test."""
    sal_names = [topic.sal_name for topic in load_packaged_interface().topics.values()]
    # A consumer looks again for a missing topic only after a second.
    embedded_kafka.create_topics(sal_environment + name for name in sal_names)
    reader = KafkaReader(
        embedded_kafka.bootstrap_servers, embedded_kafka.registry_url, sal_environment, sal_names
    )
    yield reader
    reader.close()


@pytest.fixture(autouse=True)
def no_unhandled_loop_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which asyncio's exception handler had something to say."""
    yield
    unhandled = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name == asyncio.__name__ and record.levelno >= logging.ERROR
    ]
    assert not unhandled
