"""What is new in Kafka, whatever happens to Kafka."""

import logging
import time
from collections import deque
from collections.abc import Iterable
from types import SimpleNamespace
from typing import NamedTuple, TypeAlias

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException, Message, TopicPartition

from ...resilience.escape import escape
from ...resilience.rate_limited_log import RateLimitedLog
from ...sal.kafka_settings import KafkaSettings
from ...sal.kafka_topics import describe_kafka_error
from .group_free_consumer import PARTITION, GroupFreeConsumer
from .record_decoder import DecodeError, ReceivedRecord, decode_record, locate, read_schema_id
from .record_schema import SchemaError
from .schema_source import RegistryUnavailableError, SchemaSource

__all__ = ["Arrival", "BadMessage", "LiveConsumer", "MessageWithoutSchema", "SettingsRefusedError"]

#: Most messages that are taken at once, so that a view can be shown in between.
MAX_BATCH = 500

#: Most messages that wait for their schema.
MAX_WAITING = 2000

#: Most that Kafka's client fetches in advance [bytes].
QUEUE_SIZE = 16 << 20

#: How long a broker may wait for news before it answers [s].
FETCH_WAIT = 0.01

#: When nothing comes for this long, Kafka is asked whether it is there [s].
CHECK_INTERVAL = 2.0

#: How long Kafka may take to answer [s]: nothing is shown meanwhile.
KAFKA_TIMEOUT = 0.5

#: How long its first answer may take [s]: a connection is made before, in many steps if it is secure.
START_TIMEOUT = 5.0

#: How long the schema registry may take, and for how long it is left alone after it failed [s].
REGISTRY_TIMEOUT = 5.0
REGISTRY_RETRY_INTERVAL = 10.0

#: librdkafka's RD_KAFKA_OFFSET_TAIL(1): the last record, then what is new.
OFFSET_LAST = -2001

#: The last record of such topics is read at the start: they tell a state.
EVENT_PREFIX = "logevent_"

#: What Kafka's client says when no answer has come.
NO_ANSWER = frozenset({KafkaError._TIMED_OUT, KafkaError._TRANSPORT})

#: Kafka's words for a topic that is not there, or no longer.
MISSING_TOPIC = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC}
)


class SettingsRefusedError(RuntimeError):
    """Kafka cannot be read with these settings. The text shows no password."""


class BadMessage(NamedTuple):
    """A message that is not a record."""

    topic: str
    reason: str  #: What is wrong


class MessageWithoutSchema(NamedTuple):
    """A message that cannot be read because the registry did not give its schema."""

    topic: str
    reason: str  #: What the registry did


#: What reading brings.
Arrival: TypeAlias = ReceivedRecord | BadMessage | MessageWithoutSchema


class LiveConsumer(GroupFreeConsumer):
    """Reads what is written to some topics from now on, in partition 0.

    Of events, the last record that is there is read first. A topic that is missing is read from its
    beginning as soon as it is there. What goes wrong is logged, with a rate limit, and ends nothing.
    `SettingsRefusedError` if the settings cannot be used.
    """

    def __init__(self, settings: KafkaSettings, topics: Iterable[str], log: logging.Logger) -> None:
        self.missing: set[str] = set()  #: Topics that Kafka said it does not have
        topics = list(topics)
        #: Events whose last record was not read yet, though there may be one.
        self.unread = {topic for topic in topics if _is_event(topic)}
        self.trouble = ""  #: Why Kafka cannot be read at the moment; empty if it can
        self._settings = settings
        self._log = log
        self._limited_log = RateLimitedLog(log)
        # Messages whose schema is being asked for, and when they arrived.
        self._without_schema: deque[tuple[Message, float]] = deque()
        # Topics whose next message may be older than this.
        self._begins_with_last: set[str] = set()
        self._start = time.time()
        # Topics that are read, and those that are not yet; both in their order.
        self._reading: dict[str, None] = {}
        self._waiting = dict.fromkeys(topics)
        # Did Kafka say of some topic that is read that it is not there?
        self._has_lost_topic = False
        self._last_news = self._next_check = time.monotonic()
        # Until then, it is no trouble that Kafka has not answered yet.
        self._start_deadline = self._last_news + START_TIMEOUT
        try:
            super().__init__(
                {
                    **settings.client_configuration(),
                    # How long a topic that is there may seem not to be [ms]. The default
                    # of 30 s is for producers that wait for a topic's creation.
                    "topic.metadata.propagation.max.ms": 5000,
                    # An event without a record tells so by its end.
                    "enable.partition.eof": True,
                    "error_cb": self._take_error,
                },
                SchemaSource(
                    settings.registry_url, timeout=REGISTRY_TIMEOUT, retry_interval=REGISTRY_RETRY_INTERVAL
                ),
                SimpleNamespace(log=self._log_librdkafka),
                fetch_wait=FETCH_WAIT,
                queue_size=QUEUE_SIZE,
                max_batch=MAX_BATCH,
            )
        except (KafkaException, TypeError, ValueError) as error:
            reason = escape(settings.redact(describe_kafka_error(error)))
            raise SettingsRefusedError(f"The Kafka settings are refused: {reason}") from None

    def close(self) -> None:
        """Disconnect."""
        super().close()
        self._limited_log.flush(force=True)

    def read(self, wait: float) -> list[Arrival]:
        """Read and decode what there is: in order for each topic, nothing if there was none in time.

        ``wait`` is how long to wait for the first message [s]; `KAFKA_TIMEOUT` longer if
        Kafka does not answer. The registry is not waited for: what needs a
        schema comes when it is there, or without it if the registry fails.
        """
        self._limited_log.flush()
        self._look_after_kafka()
        messages = self._poll(wait)
        arrival_time = time.time()
        good = []
        ended_topics: set[str] = set()
        for message in messages:
            # What Kafka reports comes in the place of a message.
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    ended_topics.add(message.topic() or "")
                else:
                    self._take_error(error)
            else:
                good.append(message)
        if good:
            self._last_news = time.monotonic()
            self._end_trouble()
        to_decode = [*self._without_schema, *((message, arrival_time) for message in good)]
        self._without_schema.clear()
        arrivals = []
        # What follows in the same topic waits, too.
        waiting_topics: set[str] = set()
        for message, when in to_decode:
            topic, _ = locate(message)
            arrival = self._decode(message, when, is_next=topic not in waiting_topics)
            if arrival is None:
                waiting_topics.add(topic)
                self._without_schema.append((message, when))
            else:
                arrivals.append(arrival)
        if self.unread:
            self.unread -= ended_topics - waiting_topics
            self.unread.difference_update(arrival.topic for arrival in arrivals)
        return arrivals

    def _look_after_kafka(self) -> None:
        """Begin with topics that wait for it, end with those that have gone; see if Kafka is there at all."""
        now = time.monotonic()
        is_quiet = now - self._last_news > CHECK_INTERVAL
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
            if now < self._start_deadline and error.args[0].code() in NO_ANSWER:
                # It is asked again at once.
                return
            self._begin_trouble(describe_kafka_error(error))
        else:
            self._start_deadline = now
            self._end_trouble()
        self._next_check = time.monotonic() + CHECK_INTERVAL

    def _begin_waiting_topics(self) -> None:
        """Begin to read the topics that are there by now."""
        existing = self._find_existing(self._waiting)
        starts = []
        for topic in self._waiting:
            if topic in existing:
                starts.append(TopicPartition(topic, PARTITION, self._find_start(topic)))
            if topic in self.missing & existing:
                self._log.info(f"The Kafka topic {topic} is there now")
            elif topic not in self.missing | existing:
                self._log.warning(f"There is no Kafka topic {topic}")
        # All at once: otherwise the first ones' records would wait for the last ones.
        self._consumer.incremental_assign(starts)
        self._reading |= {topic: None for topic in self._waiting if topic in existing}
        self._waiting = {topic: None for topic in self._waiting if topic not in existing}
        self.missing = set(self._waiting)
        self.unread -= self.missing

    def _find_start(self, topic: str) -> int:
        """Tell from where to read a topic."""
        if topic in self.missing:
            # All that is in a topic that was missing is new.
            return OFFSET_BEGINNING
        if _is_event(topic):
            self._begins_with_last.add(topic)
            return OFFSET_LAST
        return OFFSET_END

    def _stop_lost_topics(self) -> None:
        """Stop to read topics that have gone; they wait to be there again."""
        existing = self._find_existing(self._reading)
        lost = [topic for topic in self._reading if topic not in existing]
        self._consumer.incremental_unassign([TopicPartition(topic, PARTITION) for topic in lost])
        for topic in lost:
            self._log.warning(f"The Kafka topic {topic} has gone")
            del self._reading[topic]
            self._waiting[topic] = None
            self.missing.add(topic)
        self._has_lost_topic = False

    def _find_existing(self, topics: Iterable[str]) -> set[str]:
        """Ask Kafka which topics there are: for all at once, and again for each that it does not tell."""
        known = self._consumer.list_topics(timeout=KAFKA_TIMEOUT).topics
        good = {name for name, topic in known.items() if topic.error is None}
        return {topic for topic in topics if topic in good or self._exists(topic)}

    def _exists(self, topic: str) -> bool:
        """Ask Kafka for a topic; it does not create it for a consumer with these settings."""
        error = self._consumer.list_topics(topic, timeout=KAFKA_TIMEOUT).topics[topic].error
        if error is None:
            return True
        if error.code() in MISSING_TOPIC:
            return False
        raise KafkaException(error)

    def _decode(self, message: Message, arrival_time: float, *, is_next: bool) -> Arrival | None:
        """Decode a message; return None if it is to wait for its schema, or for the message before it."""
        topic, _ = locate(message)
        # The end of the topic's name tells enough.
        name = topic.rpartition(".")[2]
        has_room = len(self._without_schema) < MAX_WAITING
        try:
            schema_id = read_schema_id(message)
            schema = self._schemas.find(schema_id) if is_next or not has_room else None
            if schema is not None:
                return self._mark_earlier(decode_record(message, schema, arrival_time))
            if has_room:
                return None
            raise RegistryUnavailableError(f"schema {schema_id}: the registry has not answered yet")
        except (DecodeError, SchemaError) as error:
            reason = str(error).removeprefix(f"{topic}: ")
            self._report("Undecodable message", logging.ERROR, f"Undecodable message, {name}: {reason}")
            return BadMessage(topic, reason)
        except RegistryUnavailableError as error:
            self._report("No schema", logging.ERROR, f"No schema for a message, {name}: {error}")
            return MessageWithoutSchema(topic, str(error))

    def _mark_earlier(self, received: ReceivedRecord) -> ReceivedRecord:
        """Tell the last record of an event, if it was there before, from what is new."""
        if received.topic in self._begins_with_last:
            self._begins_with_last.discard(received.topic)
            return received._replace(is_earlier=received.kafka_timestamp < self._start)
        return received

    def _take_error(self, error: KafkaError) -> None:
        """Take an error of Kafka's, which may not tell the topic that it concerns."""
        if error.code() in MISSING_TOPIC:
            self._has_lost_topic = True
        elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            # Kafka's client looks for the group's coordinator though no group is joined.
            self._log.debug("Not needed: %s", error.str())
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

    def _log_librdkafka(self, level: int, message: str, facility: str, client: str, text: str) -> None:
        """Log a line of librdkafka's own; its facility is a fixed word such as FAIL."""
        self._report(f"librdkafka {facility}", level, f"librdkafka {facility}: {text}")


def _is_event(topic: str) -> bool:
    """Tell by its name whether a Kafka topic is that of an event."""
    return topic.rpartition(".")[2].startswith(EVENT_PREFIX)
