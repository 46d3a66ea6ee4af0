"""Holding events back while Kafka does not take them."""

import asyncio
import copy
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import chain

from ..resilience.cancellation import is_cancelled
from ..resilience.escape import describe_error
from .send_queue import CAPACITY, RETRY_INTERVAL, Item, Send, SendQueue, find_item, is_sending

__all__ = ["OutageBuffer", "OutageLogFilter"]


class OutageBuffer(SendQueue):
    """Send events while Kafka takes messages, and hold back those of a topic that it does not take.

    For a sender that blocks the event loop until Kafka has taken what it has
    been given. Events are urgent, log messages are not. ``is_taking`` tells whether
    Kafka takes messages for a Kafka topic; it is asked before each sending.
    """

    def __init__(
        self,
        is_taking: Callable[[str], Awaitable[bool]],
        log: logging.Logger,
        capacity: int = CAPACITY,
        *,
        retry_interval: float = RETRY_INTERVAL,
    ) -> None:
        super().__init__(capacity, retry_interval=retry_interval)
        self._is_taking = is_taking
        self._log = log
        # When Kafka is asked again about the topics that it does not take [s, monotonic].
        self._retry_times: dict[str, float] = {}

    async def send_event(self, kafka_topic: str, send: Send, *, is_latest_only: bool = False) -> None:
        """Send an event; if Kafka does not take it, leave it here and return.

        With ``is_latest_only`` it replaces what waits for the same topic.
        """
        waiter = asyncio.get_running_loop().create_future()
        with self._lock:
            waiting = find_item(self._urgent, kafka_topic)
            if is_latest_only and waiting is not None:
                self._urgent.remove(waiting)
                waiting.wake_waiter()
            self._append(self._urgent, Item(kafka_topic, send, waiter))
        self._wake_task()
        if self._task is not None and kafka_topic not in self._retry_times:
            await waiter

    def _choose_topic(self) -> str | None:
        now = time.monotonic()
        for item in chain(self._urgent, self._ordinary):
            if self._retry_times.get(item.kafka_topic, now) <= now:
                return item.kafka_topic
        return None

    async def may_send(self, kafka_topic: str) -> bool:
        """Ask whether Kafka takes messages for a topic; log it when that changes."""
        reason = ""
        try:
            is_taking = await self._is_taking(kafka_topic)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            is_taking, reason = False, f" ({describe_error(error)})"
        if is_taking:
            if self._retry_times.pop(kafka_topic, None) is not None:
                self._log.info(
                    f"Kafka takes messages for {kafka_topic} again: what was held back is published"
                )
            return True
        if kafka_topic not in self._retry_times:
            self._log.warning(f"Kafka takes no messages for {kafka_topic}{reason}: they are held back")
        self._retry_times[kafka_topic] = time.monotonic() + self._retry_interval
        for item in self._urgent:
            if item.kafka_topic == kafka_topic:
                item.wake_waiter()
        return False

    def _report_failure(self, kafka_topic: str, error: BaseException) -> None:
        self._log.error(f"Could not publish to {kafka_topic}: {describe_error(error)}")


class OutageLogFilter(logging.Filter):
    """Takes the records that a log handler is given, and hands them on through an outage buffer.

    The handler's ``emit`` publishes a record; it has its tasks in ``futures``, if anywhere.
    """

    def __init__(self, handler: logging.Handler, kafka_topic: str, buffer: OutageBuffer) -> None:
        super().__init__()
        self._handler = handler
        self._kafka_topic = kafka_topic
        self._buffer = buffer

    def filter(self, record: logging.LogRecord) -> bool:
        """Take a record, in the thread that logs; return whether the handler has to deal with it now."""
        if is_sending():
            return False
        held = copy.copy(record)
        try:
            # Its arguments may change while it waits.
            held.msg, held.args = record.getMessage(), None
        except Exception:
            # The handler has its way to report arguments that do not fit.
            return True
        self._buffer.put(self._kafka_topic, partial(self._emit, held))
        return False

    async def _emit(self, record: logging.LogRecord) -> None:
        self._handler.emit(record)
        tasks = [
            task
            for task in getattr(self._handler, "futures", ())
            if isinstance(task, asyncio.Future) and not task.done()
        ]
        if tasks:
            await asyncio.wait(tasks)
