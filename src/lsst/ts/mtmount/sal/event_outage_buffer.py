"""Holding events back while Kafka does not take them."""

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from ..resilience.cancellation import is_cancelled
from ..resilience.escape import describe_error
from .send_queue import CAPACITY, Item, Send, SendQueue, is_sending

__all__ = ["OutageBuffer", "OutageLogFilter"]

#: How often it is tried again whether Kafka takes messages [s].
RETRY_INTERVAL = 0.25


class OutageBuffer(SendQueue):
    """Send events while Kafka takes messages, and hold them back while it does not.

    For a sender that blocks the event loop until Kafka has taken what it has
    been given. Events are urgent, log messages are not. ``is_taking`` tells whether
    Kafka takes messages for a Kafka topic; it is asked before each sending.
    """

    def __init__(
        self, is_taking: Callable[[str], Awaitable[bool]], log: logging.Logger, capacity: int = CAPACITY
    ) -> None:
        super().__init__(capacity)
        self._is_taking = is_taking
        self._was_taking = True
        self._log = log

    async def send_event(self, kafka_topic: str, send: Send, *, is_latest_only: bool = False) -> None:
        """Send an event; if Kafka does not take it, leave it here and return.

        With ``is_latest_only`` it replaces what waits for the same topic.
        """
        waiter = asyncio.get_running_loop().create_future()
        with self._lock:
            waiting = next((other for other in self._urgent if other.kafka_topic == kafka_topic), None)
            if is_latest_only and waiting is not None:
                self._urgent.remove(waiting)
                waiting.wake_waiter()
            self._append(self._urgent, Item(kafka_topic, send, waiter))
        self._wake_task()
        if self._task is not None and self._was_taking:
            await waiter

    async def _may_send(self, kafka_topic: str) -> bool:
        reason = ""
        try:
            is_taking = await self._is_taking(kafka_topic)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            is_taking, reason = False, f" ({describe_error(error)})"
        if is_taking != self._was_taking:
            self._was_taking = is_taking
            if is_taking:
                self._log.info("Kafka takes messages again: events and log messages are published")
            else:
                self._log.warning(f"Kafka takes no messages{reason}: events and log messages are held back")
        if not is_taking:
            for item in self._urgent:
                item.wake_waiter()
            await asyncio.sleep(RETRY_INTERVAL)
        return is_taking

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
