"""The producer that all SAL messages go through."""

import asyncio
import ctypes
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ..core import DeliveryCounter
from ..resilience.daemon_thread import DaemonExecutor, run_in_daemon_thread
from ..resilience.guarded_log import guard_logger
from .avro_schema import TopicInfo
from .kafka_health import KafkaHealth
from .kafka_settings import PRODUCER_DEFAULTS, KafkaSettings
from .kafka_setup import KafkaSetup
from .kafka_topics import KafkaSetupError, describe_kafka_error
from .schema_registry import RegisteredSchema

__all__ = ["KafkaPublisher", "Produce"]

#: How often delivery reports are collected when nobody asks for them [s], and
#: how often while somebody waits for room in the queue.
SERVE_INTERVAL = 1.0
BUSY_SERVE_INTERVAL = 0.005

#: A full queue must shrink to this part before it counts as having room, so
#: that those who wait do not stop again at once.
ROOM_FRACTION = 0.75

#: How long the first messages are waited for, to know that Kafka takes them [s].
CONFIRM_TIMEOUT = 5.0

#: Upper bound for serving the reports of messages that were given up [s].
PURGE_TIMEOUT = 2.0

Produce = Callable[[str, bytes, bytes, int, Callable[[Any, Any], None]], None]


class KafkaPublisher:
    """Publish SAL messages with one Kafka producer.

    Parameters
    ----------
    log
        Parent of the logger for what Kafka reports.
    producer_defaults
        Properties of the producer instead of `PRODUCER_DEFAULTS`, by name.
        Those of the settings have priority.
    start_timeout
        How long `start` waits for Kafka, and for each answer of the registry [s].

    Attributes
    ----------
    wait_for_kafka : `float`
        How long `start` is retried while Kafka or the registry cannot be
        reached, or is not ready [s]. May be set before.
    produce : `Callable`
        The producer's own ``produce``, once started; to be called as
        ``produce(kafka_topic, payload, key, 0, deliveries)``. It raises
        BufferError if the queue is full, and KafkaException if the message
        cannot be sent at all.
    deliveries : `DeliveryCounter`
        Counts the deliveries of messages that are counted nowhere else.
    schemas : `dict` [`str`, `RegisteredSchema`]
        Schema id and revision code by attribute name of the topic.
    num_failed : `int`
        Messages given up, over all delivery counters.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        log: logging.Logger,
        *,
        producer_defaults: Mapping[str, Any] | None = None,
        start_timeout: float = 10.0,
    ) -> None:
        self.settings = settings
        self.wait_for_kafka = 0.0
        self.log = guard_logger(log.getChild("Kafka"))
        self.produce: Produce = self.refuse
        self.deliveries = DeliveryCounter(self.report_failure)
        self.schemas: dict[str, RegisteredSchema] = {}
        self.num_failed = 0
        self._configuration = settings.producer_configuration(
            {**PRODUCER_DEFAULTS, **(producer_defaults or {})}
        )
        self._start_timeout = start_timeout
        self.health = KafkaHealth(settings, self.log, min_stall=_read_linger(self._configuration))
        self._counters = [self.deliveries]
        self._producer: Producer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_serving = False
        # Who waits for room, and how long the queue may be then.
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def __repr__(self) -> str:
        return f"KafkaPublisher({self.settings.broker_addr!r}, is_running={self.is_running})"

    @property
    def num_queued(self) -> int:
        """Messages whose delivery report was not handled yet."""
        return 0 if self._producer is None else len(self._producer)

    @property
    def is_running(self) -> bool:
        """Whether messages can be produced."""
        return self._producer is not None

    async def start(self, topics: Iterable[TopicInfo], *, is_exact: bool = False) -> None:
        """Create missing Kafka topics, get the schema ids and start the producer.

        `KafkaSetupError` if Kafka does not answer in time, or refuses the settings or to
        create a topic; `RegistryError` if the registry cannot be reached, or refuses a schema.
        """
        if self._producer is not None:
            raise RuntimeError("The publisher is started already")
        for warning in self.settings.list_warnings():
            self.log.warning(warning)
        setup = KafkaSetup(
            self.settings,
            list(topics),
            is_exact=is_exact,
            answer_timeout=self._start_timeout,
            log=self.log,
        )
        producer, self.schemas = await setup.run(self._make_producer, self.wait_for_kafka)
        self._producer = producer
        self.produce = producer.produce
        self._serve_again()

    def _make_producer(self) -> Producer:
        try:
            return Producer(self._configuration | {"error_cb": self.health.report_error}, logger=self.health)
        except (KafkaException, TypeError, ValueError) as error:
            reason = self.settings.redact(describe_kafka_error(error))
            culprits = self.settings.explain_refusal(Producer)
            raise KafkaSetupError(f"The Kafka producer settings are refused: {culprits or reason}") from None

    async def send(
        self, kafka_topic: str, payload: bytes, key: bytes, deliveries: DeliveryCounter | None = None
    ) -> None:
        """Hand a message to the producer; while its queue is full, wait.

        Its delivery is counted by ``deliveries``, or the publisher's own. `RuntimeError`
        if the publisher is not running, or is closed meanwhile; `KafkaException` if the
        message cannot be sent at all.
        """
        while True:
            try:
                self.produce(
                    kafka_topic, payload, key, 0, self.deliveries if deliveries is None else deliveries
                )
            except BufferError:
                await self.wait_for_room()
            else:
                return

    def make_delivery_counter(self) -> DeliveryCounter:
        """Make a counter of deliveries, for messages to be counted apart."""
        counter = DeliveryCounter(self.report_failure)
        self._counters.append(counter)
        return counter

    async def confirm_permission(self, timeout: float = CONFIRM_TIMEOUT) -> None:  # noqa: ASYNC109
        """Wait until the first messages are delivered, to know that Kafka permits it.

        `KafkaSetupError` if it does not. Without an answer within the time-out [s], return.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._wait_until_queued(0)
        except TimeoutError:
            self.log.debug(f"Kafka has not acknowledged the first messages within {timeout:g} s")
        if self.health.missing_permission is not None:
            raise KafkaSetupError(
                f"Kafka at {self.settings.broker_addr} does not authorize {self.health.missing_permission}"
            )

    async def wait_for_room(self) -> None:
        """Wait until a queue that was found full has shrunk; `RuntimeError` if the publisher is closed."""
        await self._wait_until_queued(int(self.num_queued * ROOM_FRACTION))

    async def _wait_until_queued(self, num_queued: int) -> None:
        """Wait until no more messages than these wait for their delivery report."""
        if self._producer is None:
            raise RuntimeError("The Kafka publisher is not running")
        room = asyncio.get_running_loop().create_future()
        self._waiters.append((num_queued, room))
        self._serve_again()
        await room

    def serve(self) -> None:
        """Handle the delivery reports and errors that have arrived."""
        if self._producer is None or self._is_serving:
            return
        # What handles a report may ask for the counters, and so come here again;
        # confluent-kafka does not bear a poll within a poll.
        self._is_serving = True
        try:
            self._producer.poll(0)
        except KafkaException as exception:
            self._report_fatal(exception)
        finally:
            self._is_serving = False
        self.health.flush()
        num_queued = len(self._producer)
        self.health.update(sum(counter.acknowledged for counter in self._counters), num_queued)
        if self._waiters:
            for level, room in self._waiters:
                if num_queued <= level and not room.done():
                    room.set_result(None)
            self._waiters = [waiter for waiter in self._waiters if not waiter[1].done()]

    def measure_stall(self) -> float:
        """Return for how long messages have waited while none was acknowledged [s]."""
        self.serve()
        return self.health.measure_stall()

    async def has_leader(self, kafka_topic: str, timeout: float) -> bool:  # noqa: ASYNC109
        """Ask Kafka whether it could take messages for a topic now; wait at most for ``timeout`` [s]."""
        if self._producer is None:
            return False
        try:
            metadata = await run_in_daemon_thread(self._producer.list_topics, kafka_topic, timeout)
        except KafkaException:
            return False
        partitions = metadata.topics[kafka_topic].partitions.values()
        return bool(partitions) and all(partition.leader in metadata.brokers for partition in partitions)

    def _serve_again(self) -> None:
        """Serve now, and again after the interval."""
        if self._timer is not None:
            self._timer.cancel()
        if self._producer is None:
            return
        # Armed first: an exception below must not end the series.
        interval = BUSY_SERVE_INTERVAL if self._waiters else SERVE_INTERVAL
        self._timer = asyncio.get_running_loop().call_later(interval, self._serve_again)
        self.serve()

    async def flush(self, timeout: float) -> int:  # noqa: ASYNC109
        """Wait, at most for ``timeout`` [s], until all messages are delivered or given up.

        Return how many are not.
        """
        if self._producer is None:
            return 0
        return await run_in_daemon_thread(self._flush, self._producer, max(timeout, 0.0))

    async def close(self, timeout: float) -> int:  # noqa: ASYNC109
        """Flush, at most for ``timeout`` [s], and stop; return how many messages were given up."""
        timeout = max(timeout, 0.0)
        producer, self._producer = self._producer, None
        self.produce = self.refuse
        if self._timer is not None:
            self._timer.cancel()
        for _, room in self._waiters:
            if not room.done():
                room.set_exception(RuntimeError("The Kafka publisher was closed"))
        self._waiters.clear()
        if producer is None:
            return 0
        holder = [producer]
        del producer
        try:
            num_lost = await run_in_daemon_thread(self._end, *holder, timeout)
        finally:
            # What releases it waits for its threads, and one of these perhaps for the name of a broker.
            DaemonExecutor().submit(holder.clear)
        self.health.flush(force=True)
        if num_lost:
            self.log.error(
                f"{num_lost} messages were not delivered to Kafka within {timeout:.3g} s, and are lost"
            )
        return num_lost

    def leave_to_parent(self) -> None:
        """Be closed in a process that was forked, where the threads of the parent's producer are missing."""
        if self._producer is not None:
            # For ever: to destroy it waits for these threads.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))
        self._producer = None
        self.produce = self.refuse
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, producer: Producer, timeout: float) -> int:
        """Flush, give up what is left, and return how many messages that were; called in a thread."""
        num_left = self._flush(producer, timeout)
        num_failed = self.num_failed
        if num_left:
            producer.purge()
            # Serves the reports of the purged messages, so that they are counted.
            self._flush(producer, PURGE_TIMEOUT)
        return self.num_failed - num_failed

    def _flush(self, producer: Producer, timeout: float) -> int:
        """Flush; return how many messages are left. Called in a thread."""
        try:
            return producer.flush(timeout)
        except KafkaException as exception:
            self._report_fatal(exception)
            return len(producer)

    def _report_fatal(self, exception: KafkaException) -> None:
        """Report an error that confluent-kafka raises once instead of calling ``error_cb``: a fatal one."""
        self.health.report_error(exception.args[0])

    def report_failure(self, error: KafkaError, message: Message) -> None:
        """Count and report a message that was given up; called by `DeliveryCounter`."""
        self.num_failed += 1
        self.health.report_failure(error, message)

    def refuse(self, *arguments: object) -> None:
        """Stand in for `produce` while the publisher does not run; `RuntimeError`."""
        raise RuntimeError("The Kafka publisher is not running")


def _read_linger(configuration: Mapping[str, Any]) -> float:
    """Return how long messages gather [s]; 0 if that is not a number, which librdkafka will tell."""
    try:
        return float(configuration.get("linger.ms", 0)) / 1000
    except (TypeError, ValueError):
        return 0.0
