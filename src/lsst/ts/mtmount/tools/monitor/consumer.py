"""Reading what is new in Kafka, whatever happens to Kafka."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from ...resilience.escape import escape
from ...resilience.rate_limited_log import RateLimitedLog
from ...sal.kafka_topics import describe_error
from ...sal.settings import KafkaSettings
from ..reader.record_reader import DecodeError, ReceivedRecord, RecordDecoder

__all__ = ["BadMessage", "LiveConsumer", "MonitorError"]

#: SAL topics have one partition.
PARTITION = 0

#: Most messages that are taken at once, so that a view can be shown in between.
MAX_BATCH = 500

#: Most that Kafka's client fetches in advance [kB].
QUEUE_SIZE = 16 * 1024

#: How long a broker may wait for news before it answers [ms]. Apache Kafka
#: answers at once when there are some, the embedded broker after this time.
FETCH_WAIT = 10

#: When nothing comes for so long, Kafka is asked whether it is there [s].
PATIENCE = 2.0

#: How long Kafka, and the schema registry, may take to answer [s]: nothing is
#: shown meanwhile.
KAFKA_TIMEOUT = 0.5
REGISTRY_TIMEOUT = 2.0

#: For how long the schema registry is left alone after it failed [s].
REGISTRY_RETRY_INTERVAL = 10.0

#: Kafka's words for a topic that is not there, or no longer.
MISSING_TOPIC = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC}
)


class MonitorError(RuntimeError):
    """Kafka cannot be read with these settings. The text shows no password."""


class BadMessage(NamedTuple):
    """A message that could not be decoded.

    Parameters
    ----------
    topic : `str`
        Kafka topic.
    reason : `str`
        What is wrong.
    """

    topic: str
    reason: str


class LiveConsumer:
    """Reads what is written to some topics from now on. A context manager.

    It belongs to no consumer group and commits nothing. A topic that is
    missing is read from its beginning as soon as it is there. What goes wrong
    is logged, with a rate limit, and ends nothing.

    Parameters
    ----------
    settings : `KafkaSettings`
        Where Kafka and the schema registry are.
    topics : `Iterable` [`str`]
        Kafka topics; partition 0 is read.
    log : `logging.Logger`
        Where to log.

    Attributes
    ----------
    missing : `set` [`str`]
        Topics that Kafka said it does not have.
    trouble : `str`
        Why Kafka cannot be read at the moment; empty if it can.

    Raises
    ------
    MonitorError
        If the settings cannot be used.
    """

    def __init__(self, settings: KafkaSettings, topics: Iterable[str], log: logging.Logger) -> None:
        self.missing: set[str] = set()
        self.trouble = ""
        self._settings = settings
        self._log = log
        self._limited_log = RateLimitedLog(log)
        self._decoder = RecordDecoder(
            settings.registry_url, timeout=REGISTRY_TIMEOUT, retry_interval=REGISTRY_RETRY_INTERVAL
        )
        # Topics that are read, and those that are not yet; both in their order.
        self._reading: dict[str, None] = {}
        self._waiting = dict.fromkeys(topics)
        # Did Kafka say of some topic that is read that it is not there?
        self._has_lost_topic = False
        self._last_news = self._next_check = time.monotonic()
        try:
            self._consumer = Consumer(self._make_configuration(), logger=_LibrdkafkaLog(self))
        except (KafkaException, TypeError, ValueError) as error:
            reason = settings.redact(describe_error(error))
            raise MonitorError(f"The Kafka settings are refused: {reason}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()
        self._limited_log.flush(force=True)

    def read(self, wait: float) -> list[ReceivedRecord | BadMessage]:
        """Read and decode what there is.

        Parameters
        ----------
        wait : `float`
            How long to wait for the first message [s]. It takes
            `KAFKA_TIMEOUT` or `REGISTRY_TIMEOUT` longer if one of them does
            not answer.

        Returns
        -------
        arrivals : `list` [`ReceivedRecord` or `BadMessage`]
            In order for each topic; empty if there was none in time.
        """
        self._limited_log.flush()
        self._look_after_kafka()
        first = self._consumer.poll(wait)
        if first is None:
            return []
        # Waiting for more than the first would make all of them late.
        messages = [first, *self._consumer.consume(MAX_BATCH - 1, 0)]
        arrival_time = time.time()
        arrivals = [self._decode(message, arrival_time) for message in messages if self._is_good(message)]
        if arrivals:
            self._last_news = time.monotonic()
            self._end_trouble()
        return arrivals

    def get_schema(self, schema_id: int) -> str:
        """Return the text of a schema that a record names, as the registry has it."""
        return self._decoder.get_schema(schema_id)

    def _make_configuration(self) -> dict[str, Any]:
        return {
            **self._settings.client_configuration(),
            # Consumers must name a group; without a subscription none is joined.
            "group.id": "lsst.ts.mtmount.tools.monitor",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # A topic that was made anew is new as a whole.
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            # How long a topic that is there may seem not to be [ms]. The default
            # of 30 s is for producers that wait for a topic's creation.
            "topic.metadata.propagation.max.ms": 5000,
            "fetch.wait.max.ms": FETCH_WAIT,
            "queued.max.messages.kbytes": QUEUE_SIZE,
            "error_cb": self._take_error,
        }

    def _look_after_kafka(self) -> None:
        """Begin with topics that wait for it, end with those that have gone; see if Kafka is there at all."""
        now = time.monotonic()
        is_quiet = now - self._last_news > PATIENCE
        if now < self._next_check or not (self._waiting or self._has_lost_topic or is_quiet):
            return
        try:
            if self._has_lost_topic:
                self._stop_lost_topics()
            if self._waiting:
                self._begin_waiting_topics()
            else:
                # Any topic will do.
                self._exists(next(iter(self._reading), ""))
        except KafkaException as error:
            self._begin_trouble(describe_error(error))
        else:
            self._end_trouble()
        self._next_check = time.monotonic() + PATIENCE

    def _begin_waiting_topics(self) -> None:
        """Begin to read the topics that are there by now."""
        existing = {topic for topic in self._waiting if self._exists(topic)}
        starts = []
        for topic in self._waiting:
            if topic in existing:
                # All that is in a topic that was missing is new.
                offset = OFFSET_BEGINNING if topic in self.missing else OFFSET_END
                starts.append(TopicPartition(topic, PARTITION, offset))
            if topic in self.missing & existing:
                self._log.info(f"The Kafka topic {topic} is there now")
            elif topic not in self.missing | existing:
                self._log.warning(f"There is no Kafka topic {topic}")
        # All at once: otherwise the first ones' records would wait for the last ones.
        self._consumer.incremental_assign(starts)
        self._reading |= {topic: None for topic in self._waiting if topic in existing}
        self._waiting = {topic: None for topic in self._waiting if topic not in existing}
        self.missing = set(self._waiting)

    def _stop_lost_topics(self) -> None:
        """Stop to read topics that have gone; they wait to be there again."""
        lost = [topic for topic in self._reading if not self._exists(topic)]
        self._consumer.incremental_unassign([TopicPartition(topic, PARTITION) for topic in lost])
        for topic in lost:
            self._log.warning(f"The Kafka topic {topic} has gone")
            del self._reading[topic]
            self._waiting[topic] = None
            self.missing.add(topic)
        self._has_lost_topic = False

    def _exists(self, topic: str) -> bool:
        """Ask Kafka for a topic; it does not create it for a consumer with these settings."""
        error = self._consumer.list_topics(topic, timeout=KAFKA_TIMEOUT).topics[topic].error
        if error is None:
            return True
        if error.code() in MISSING_TOPIC:
            return False
        raise KafkaException(error)

    def _is_good(self, message: Message) -> bool:
        """Tell whether a message is one; what Kafka reports in its place is dealt with."""
        error = message.error()
        if error is not None:
            self._take_error(error)
        return error is None

    def _decode(self, message: Message, arrival_time: float) -> ReceivedRecord | BadMessage:
        topic = cast(str, message.topic())
        try:
            received = self._decoder.decode(message, arrival_time)
            if not isinstance(received.record, dict):
                raise DecodeError(f"schema {received.schema_id} is none of a record")
        # Whatever a message, or what a registry says of it, may bring about.
        except Exception as error:
            # The end of the topic's name tells enough.
            reason = _describe(error).removeprefix(f"{topic}: ")
            name = topic.rpartition(".")[2]
            self._report("Undecodable message", logging.ERROR, f"Undecodable message, {name}: {reason}")
            return BadMessage(topic, reason)
        return received

    def _take_error(self, error: KafkaError) -> None:
        """Take an error of Kafka's, which may not tell the topic that it concerns."""
        if error.code() in MISSING_TOPIC:
            self._has_lost_topic = True
        else:
            self._begin_trouble(error.str())

    def _begin_trouble(self, reason: str) -> None:
        reason = escape(self._settings.redact(reason))
        self._report("Kafka cannot be read", logging.ERROR, f"Kafka cannot be read: {reason}")
        self.trouble = reason

    def _end_trouble(self) -> None:
        if self.trouble:
            self._report("Kafka can be read again", logging.INFO, "Kafka can be read again")
            self.trouble = ""

    def _report(self, kind: str, level: int, text: str) -> None:
        self._limited_log.log(kind, level, escape(self._settings.redact(text)))


class _LibrdkafkaLog:
    """Takes librdkafka's own log lines, as its ``logger``."""

    def __init__(self, consumer: LiveConsumer) -> None:
        self._report = consumer._report

    def log(self, level: int, message: str, facility: str, client: str, text: str) -> None:
        """Log a line; librdkafka's facility is a fixed word such as FAIL."""
        self._report(f"librdkafka {facility}", level, f"librdkafka {facility}: {text}")


def _describe(error: Exception) -> str:
    """Return the text of an error, and of what kind it is if that tells more."""
    return str(error) if isinstance(error, OSError | DecodeError) else f"{type(error).__name__}: {error}"
