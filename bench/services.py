"""What a client needs around it: a TMA, a broker and a registry, each in a process of its own.

So the processor's time of this process is the client's alone.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from tests.integration.kafka import ApicurioRegistry, KafkaCluster, find_missing_tool

from lsst.ts.mtmount.sal import KafkaSettings, SchemaRegistry
from lsst.ts.mtmount.tools.load_test.kafka_target import KafkaTarget
from lsst.ts.mtmount.tools.reader.record_reader import RecordReader

from .plain import SUBNAME, topic_info

__all__ = [
    "APACHE",
    "EMBEDDED",
    "Services",
    "list_kafkas",
    "report_failure",
    "run_command",
    "run_kafka",
    "run_module",
    "run_services",
]

#: Which Kafka is published to.
EMBEDDED = "embedded broker"
APACHE = "Apache Kafka"

ROOT = Path(__file__).parents[1]


@dataclass
class Services:
    """The services, and what is known of them.

    Parameters
    ----------
    port : `int`
        Where the TMA listens.
    environment : `dict` [`str`, `str`]
        Environment variables that lead to the broker and the registry.
    schema_ids : `dict` [`int`, `int`]
        Schema id by topic ID.
    is_quick : `bool`
        Is this only to show that it runs?
    """

    port: int
    environment: dict[str, str]
    schema_ids: dict[int, int]
    is_quick: bool
    _feeder: subprocess.Popen[str]

    @property
    def kafka_topics(self) -> list[str]:
        """Names of the Kafka topics."""
        return [topic_info(topic_id).kafka_topic(SUBNAME) for topic_id in self.schema_ids]

    def feed(self, num_passes: int) -> None:
        """Let the TMA accept a client and send it so many passes of the mix."""
        assert self._feeder.stdin is not None
        self._feeder.stdin.write(f"{num_passes}\n")
        self._feeder.stdin.flush()

    def make_producer(self, defaults: Mapping[str, Any], **further: Any) -> Producer:
        """Make a producer: these settings, those that the environment asks for (acks=1), and further ones."""
        settings = KafkaSettings.from_environment(self.environment)
        return Producer(settings.producer_configuration(defaults) | further)

    def open_reader(self) -> RecordReader:
        """Begin to read what is published from now on."""
        settings = KafkaSettings.from_environment(self.environment)
        return RecordReader(settings.broker_addr, settings.registry_url, self.kafka_topics, from_end=True)


def report_failure(error: KafkaError, message: Message) -> None:
    """Let no failed delivery pass; for a `DeliveryCounter`."""
    raise KafkaException(error)


@contextmanager
def run_services(topic_ids: Iterable[int], *, is_quick: bool, kafka: str = EMBEDDED) -> Iterator[Services]:
    """Run the services, with the Kafka topics and schemas of some topics of the TMA."""
    with run_kafka(kafka) as environment, run_module("bench.feeder") as feeder:
        assert feeder.stdout is not None
        services = Services(int(feeder.stdout.readline()), environment, {}, is_quick, feeder)
        infos = {topic_id: topic_info(topic_id) for topic_id in topic_ids}
        KafkaTarget(environment, None).create_topics(infos.values())
        with SchemaRegistry(environment["LSST_SCHEMA_REGISTRY_URL"]) as registry:
            for topic_id, info in infos.items():
                registered = registry.provide_schema(info, info.subject(SUBNAME), is_exact=False)
                services.schema_ids[topic_id] = registered.schema_id
        yield services


def list_kafkas() -> list[str]:
    """List what can be run here: Apache Kafka needs Java and Maven."""
    return [EMBEDDED] if find_missing_tool() else [EMBEDDED, APACHE]


@contextmanager
def run_kafka(kafka: str) -> Iterator[dict[str, str]]:
    """Run a broker and a registry; yield the environment variables that lead there."""
    if kafka == APACHE:
        with KafkaCluster() as cluster, ApicurioRegistry() as registry:
            yield cluster.environment(SUBNAME, registry.url)
    else:
        with run_module("lsst.ts.mtmount.embedded", "--subname", SUBNAME) as process:
            assert process.stdout is not None
            yield dict(process.stdout.readline().strip().split("=", 1) for _ in range(3))


@contextmanager
def run_module(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module as a program, until it is no longer needed."""
    with run_command(sys.executable, "-m", name, *arguments) as process:
        yield process


@contextmanager
def run_command(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program, until it is no longer needed."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
