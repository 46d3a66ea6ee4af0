"""What is logged of Kafka's health while messages are published."""

import logging
import time
from collections.abc import Callable

from confluent_kafka import KafkaError, Message

from ..resilience.escape import escape
from ..resilience.rate_limited_log import RateLimitedLog
from .kafka_settings import KafkaSettings

__all__ = ["KafkaHealth"]

#: Without an acknowledgement for this long, while messages wait, Kafka is told to stall [s],
STALL_TIME = 5.0

#: and again after each such interval [s].
STALL_INTERVAL = 30.0

#: How often a missing permission or topic is logged again, for each topic [s].
TOPIC_INTERVAL = 60.0

#: How often an error that concerns no single message is logged again [s].
ERROR_INTERVAL = 60.0

#: What librdkafka logs of errors that it also reports.
REPORTED_FACILITIES = frozenset({"ERROR", "FAIL", "FATAL"})

#: Kafka's answers to a client that lacks a permission, and what that is.
MISSING_PERMISSIONS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "WRITE",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "IDEMPOTENT_WRITE",
}

#: Errors of messages for a topic that is gone, or has lost the partition that is written.
MISSING_TOPIC = (
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)


class KafkaHealth:
    """Log failed deliveries, errors, missing permissions and topics, and stalls with their end.

    As long as ``min_stall`` without an acknowledgement is usual [s], as with a large ``linger.ms``.
    After a fatal error the producer cannot be used any more: ``on_fatal`` is called with the first one,
    in the thread that serves the producer. ``missing_permission`` is the last one that was found missing.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        log: logging.Logger,
        *,
        min_stall: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.on_fatal: Callable[[KafkaError], object] = lambda error: None
        self.missing_permission: str | None = None
        self.limited_log = RateLimitedLog(log)
        # They last as long as an outage.
        self._error_log = RateLimitedLog(log, interval=ERROR_INTERVAL)
        # Each topic is named once in a while, also if all are forbidden or gone.
        self._topic_log = RateLimitedLog(log, max_lines=1, interval=TOPIC_INTERVAL)
        self._log = log
        self._settings = settings
        self._clock = clock
        self.min_stall = min_stall
        self._stall_time = STALL_TIME + min_stall
        self._num_acknowledged = 0
        self._num_waiting = 0
        # Since when messages wait and none was acknowledged; when that is told next.
        self._since: float | None = None
        self._next_warning = 0.0
        self._was_told = False
        self._is_useless = False

    def update(self, num_acknowledged: int, num_waiting: int) -> None:
        """Take note of how many messages were acknowledged so far, and how many wait for that.

        Called about once a second.
        """
        now = self._clock()
        self._num_waiting = num_waiting
        if num_acknowledged != self._num_acknowledged:
            self._num_acknowledged = num_acknowledged
            if self._was_told and self._since is not None:
                self._log.info(f"Kafka acknowledges messages again, after {now - self._since:.0f} s")
            self._since, self._was_told = None, False
        if not num_waiting:
            if not self._was_told:
                self._since = None
            return
        if self._since is None:
            self._since = now
            self._next_warning = now + self._stall_time
        elif now >= self._next_warning:
            self._was_told = True
            self._next_warning = now + STALL_INTERVAL
            stall = now - self._since
            start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - stall))
            self._log.warning(
                f"Kafka at {self._settings.broker_addr} has acknowledged nothing for {stall:.0f} s "
                f"(since {start}); {num_waiting} messages wait"
            )

    def measure_stall(self) -> float:
        """Return how long messages have waited while none was acknowledged, as of the last `update` [s]."""
        return self._clock() - self._since if self._since is not None and self._num_waiting else 0.0

    def report_failure(self, error: KafkaError, message: Message) -> None:
        """Log a message that was given up."""
        topic = message.topic() or "?"
        if error.code() in MISSING_PERMISSIONS:
            self.report_missing_permission(topic, MISSING_PERMISSIONS[error.code()])
            return
        if error.code() in MISSING_TOPIC:
            self.report_missing_topic(topic)
            return
        self.limited_log.log(
            "delivery failed",
            logging.ERROR,
            self._show(f"A message for {topic} was not delivered: {error.str()}"),
        )

    def report_missing_permission(self, topic: str, operation: str = "WRITE") -> None:
        """Log that a message was refused for want of a permission."""
        self.missing_permission = f"{operation} to {topic} for {self._settings.principal}"
        self._topic_log.log(
            f"{operation} to {topic} is not authorized",
            logging.ERROR,
            self._show(f"Kafka does not authorize {self.missing_permission}: messages are not delivered"),
        )

    def report_missing_topic(self, topic: str) -> None:
        """Log that a message was refused because its topic is gone."""
        self._topic_log.log(
            f"{topic} is missing",
            logging.ERROR,
            f"Kafka has no topic {topic} any more: messages are not delivered until it is made again",
        )

    def flush(self, *, force: bool = False) -> None:
        """Log how many lines were left out; with ``force`` also of intervals that have not ended."""
        self.limited_log.flush(force=force)
        self._error_log.flush(force=force)
        self._topic_log.flush(force=force)

    def report_error(self, error: KafkaError) -> None:
        """Log an error that concerns no single message."""
        if error.fatal() and not self._is_useless:
            self._is_useless = True
            self.on_fatal(error)
        self._error_log.log(
            f"Kafka error {error.name()}",
            logging.CRITICAL if error.fatal() else logging.ERROR,
            self._show(f"Kafka: {error.str()}"),
        )

    def log(self, level: int, message: str, facility: str, client: str, text: str) -> None:
        """Log a line of librdkafka, whose ``logger`` this is; the facility is a fixed word such as FAIL.

        What librdkafka calls information is of interest to its developers.
        """
        is_known = level == logging.INFO or facility in REPORTED_FACILITIES
        self.limited_log.log(
            f"librdkafka {facility}",
            logging.DEBUG if is_known else level,
            self._show(f"librdkafka {facility}: {text}"),
        )

    def _show(self, text: str) -> str:
        return escape(self._settings.redact(text))
