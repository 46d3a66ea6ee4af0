"""Where a load test publishes: an embedded Kafka of its own, or a given one."""

import logging
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from ...resilience.escape import escape
from ...sal.avro_schema import TopicInfo
from ...sal.kafka_settings import KafkaSettings
from ...sal.kafka_topics import KafkaSetupError, create_missing_topics
from ..reader.group_free_consumer import PARTITION
from .child_program import ChildProgram, LoadTestError

__all__ = ["EMBEDDED", "KafkaTarget", "TargetChoice"]

LOG = logging.getLogger(__name__)

#: Upper bound for an answer of Kafka, and for the embedded one to come up [s].
ANSWER_TIMEOUT = 20.0

#: Environment variables of SAL over Kafka begin with one of these.
VARIABLE_PREFIXES = ("LSST_KAFKA_", "LSST_SCHEMA_REGISTRY_", "LSST_TOPIC_SUBNAME")

DEFAULT_SUBNAME = "load_test"

#: What Kafka says of a topic that has just been created, and how long to wait then [s].
NO_LEADER = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
RETRY_INTERVAL = 0.1


@dataclass(frozen=True)
class KafkaTarget:
    """A Kafka and a schema registry that are running; `LoadTestError` if they cannot be used."""

    environment: Mapping[str, str]  #: All environment variables for a program that is to publish there
    program: ChildProgram | None  #: The embedded Kafka; None if it is a given one

    @property
    def settings(self) -> KafkaSettings:
        """How to get there."""
        return KafkaSettings.from_environment(self.environment)

    def create_topics(self, topics: Iterable[TopicInfo]) -> None:
        """Create those of the topics that are missing, so that a reader can be there first. Blocks."""
        producer = Producer(self.settings.client_configuration(), logger=LOG)
        try:
            create_missing_topics(
                self.settings, list(topics), producer, LOG, timeout=ANSWER_TIMEOUT, stop=threading.Event()
            )
        except KafkaSetupError as error:
            raise LoadTestError(str(error)) from None

    def find_ends(self, topics: Iterable[TopicInfo]) -> dict[str, int]:
        """Find how many records were ever written to each topic: high watermarks by SAL name. Blocks."""
        settings = self.settings
        consumer = Consumer(settings.client_configuration() | {"group.id": __name__}, logger=LOG)
        deadline = time.monotonic() + ANSWER_TIMEOUT
        try:
            return {
                topic.sal_name: _find_end(consumer, topic.kafka_topic(settings.subname), deadline)
                for topic in topics
            }
        except KafkaException as error:
            raise LoadTestError(
                f"Kafka does not tell its watermarks: {settings.redact(str(error))}"
            ) from None
        finally:
            consumer.close()


def _find_end(consumer: Consumer, kafka_topic: str, deadline: float) -> int:
    """Find the high watermark of a topic, which may be so new that it has no leader yet."""
    while True:
        try:
            _, end = consumer.get_watermark_offsets(
                TopicPartition(kafka_topic, PARTITION), timeout=ANSWER_TIMEOUT
            )
        except KafkaException as error:
            if error.args[0].code() not in NO_LEADER or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_INTERVAL)
        else:
            return end


@dataclass(frozen=True)
class TargetChoice:
    """Which Kafka a load test uses."""

    #: Use the Kafka that the environment variables lead to, after these have been put over them. None: an
    #: embedded one, new for each run.
    overrides: Mapping[str, str] | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether it is an embedded Kafka."""
        return self.overrides is None

    def describe(self) -> str:
        """Describe it for people; shows no password."""
        if self.overrides is None:
            return "embedded broker and registry"
        settings = KafkaSettings.from_environment(self._make_environment())
        return escape(f"Kafka at {settings.broker_addr}, name space {settings.subname}")

    def _make_environment(self) -> dict[str, str]:
        return {"LSST_TOPIC_SUBNAME": DEFAULT_SUBNAME, **os.environ, **(self.overrides or {})}

    @asynccontextmanager
    async def open(self, folder: Path, variables: Mapping[str, str]) -> AsyncIterator[KafkaTarget]:
        """Bring the Kafka up, if it is an embedded one; `LoadTestError` if it does not come up.

        Its output goes to ``folder``; ``variables`` are for the programs that are to
        publish there, beside Kafka's.
        """
        if self.overrides is not None:
            yield KafkaTarget({**self._make_environment(), **variables}, None)
            return
        others = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLE_PREFIXES)}
        command = [sys.executable, "-m", "lsst.ts.mtmount.embedded", "--subname", DEFAULT_SUBNAME]
        async with ChildProgram("broker", command, others, folder, read_output=True) as program:
            found = {}
            while "LSST_SCHEMA_REGISTRY_URL" not in found:
                name, _, value = (await program.expect_line(ANSWER_TIMEOUT)).partition("=")
                found[name] = value
            yield KafkaTarget({**others, **found, **variables}, program)


#: An embedded Kafka, new for each run.
EMBEDDED = TargetChoice()
