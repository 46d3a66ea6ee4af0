"""Holding events back while Kafka does not take them."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

__all__ = ["OutageBuffer", "OutageLogFilter"]

#: What may wait; the oldest are dropped.
CAPACITY = 1000

#: How often it is tried again whether Kafka takes messages [s].
RETRY_INTERVAL = 0.25

# True in the context in which something passes: what is logged about that is
# not published.
_is_passing: contextvars.ContextVar[bool] = contextvars.ContextVar("is_passing", default=False)

Send = Callable[[], Awaitable[object]]


@dataclass(slots=True, eq=False)
class Item:
    """What waits at the gate.

    ``settled`` is done when it was sent, or is known to be held back.
    """

    kafka_topic: str
    send: Send
    settled: asyncio.Future[None] | None = None

    def settle(self) -> None:
        """Let go who waits for it."""
        if self.settled is not None and not self.settled.done():
            self.settled.set_result(None)


class OutageBuffer:
    """Send events while Kafka takes messages, and hold them back while it does not.

    For a sender that blocks the event loop until Kafka has taken what it has
    been given. Events go before log messages; each kind is sent in order.

    Parameters
    ----------
    is_open
        Tells whether Kafka takes messages for a Kafka topic. Asked before
        each sending.
    log
        Logger.

    Attributes
    ----------
    num_dropped : `int`
        What was dropped because too much was waiting.
    num_failed : `int`
        What could not be sent.
    last_error : `Exception` or None
        Why the last of them could not.
    """

    def __init__(self, is_open: Callable[[str], Awaitable[bool]], log: logging.Logger) -> None:
        self.num_dropped = 0
        self.num_failed = 0
        self.last_error: Exception | None = None
        self._is_open = is_open
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._was_open = True
        self._events: deque[Item] = deque()
        self._log_messages: deque[Item] = deque()
        # Reentrant: a finalizer that logs may run anywhere.
        self._lock = threading.RLock()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how much is waiting."""
        return len(self._events) + len(self._log_messages)

    async def send_event(self, kafka_topic: str, send: Send, *, is_latest_only: bool = False) -> None:
        """Send an event; if Kafka does not take it, leave it here and return.

        Parameters
        ----------
        kafka_topic
            Where it goes.
        send
            Sends it.
        is_latest_only
            Does it replace what waits for the same topic?
        """
        item = Item(kafka_topic, send, self._loop.create_future())
        with self._lock:
            waiting = next((other for other in self._events if other.kafka_topic == kafka_topic), None)
            if is_latest_only and waiting is not None:
                self._events.remove(waiting)
                waiting.settle()
            self._append(self._events, item)
        self._wake.set()
        if self._task is None or not self._was_open:
            item.settle()
        assert item.settled is not None
        await item.settled

    def send_log_message(self, kafka_topic: str, send: Send) -> None:
        """Let a log message be sent as soon as Kafka takes it; from any thread."""
        with self._lock:
            self._append(self._log_messages, Item(kafka_topic, send))
        # If it was closed, the message stays here; nobody asks for it any more.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    def _append(self, items: deque[Item], item: Item) -> None:
        if len(items) >= CAPACITY:
            items.popleft().settle()
            self.num_dropped += 1
        items.append(item)

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run())

    async def stop(self, timeout: float) -> list[str]:  # noqa: ASYNC109
        """Send what waits, and stop.

        Parameters
        ----------
        timeout
            Upper bound [s].

        Returns
        -------
        left : `list` [`str`]
            The Kafka topics of what was not sent.
        """
        if self._task is not None:
            # Make the task look once more, before it is believed to be idle.
            self._idle.clear()
            self._wake.set()
            try:
                async with asyncio.timeout(max(timeout, 0.0)):
                    await self._idle.wait()
            except TimeoutError:
                self._log.debug("There was no time for all events and log messages")
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        with self._lock:
            left = [*self._log_messages, *self._events]
            self._log_messages.clear()
            self._events.clear()
        for item in left:
            item.settle()
        return [item.kafka_topic for item in left]

    async def _run(self) -> None:
        while True:
            with self._lock:
                if not len(self):
                    self._wake.clear()
            if not self._wake.is_set():
                self._idle.set()
                await self._wake.wait()
                self._idle.clear()
                continue
            with self._lock:
                items = self._events or self._log_messages
                kafka_topic = items[0].kafka_topic
            if not await self._check_open(kafka_topic):
                await asyncio.sleep(RETRY_INTERVAL)
                continue
            with self._lock:
                # Another one of that topic may have taken its place meanwhile.
                item = items.popleft() if items and items[0].kafka_topic == kafka_topic else None
            if item is not None:
                await self._send(item, items)

    async def _check_open(self, kafka_topic: str) -> bool:
        is_open = await self._is_open(kafka_topic)
        if not is_open:
            for item in self._events:
                item.settle()
        if is_open != self._was_open:
            self._was_open = is_open
            if is_open:
                self._log.info("Kafka takes messages again: events and log messages are published")
            else:
                self._log.warning("Kafka takes no messages: events and log messages are held back")
        return is_open

    async def _send(self, item: Item, items: deque[Item]) -> None:
        token = _is_passing.set(True)
        try:
            await item.send()
        except asyncio.CancelledError:
            with self._lock:
                items.appendleft(item)
            raise
        except Exception as error:
            self.num_failed += 1
            self.last_error = error
            self._log.error(f"Could not publish to {item.kafka_topic}: {error!r}")
        finally:
            _is_passing.reset(token)
        item.settle()


class OutageLogFilter(logging.Filter):
    """Takes the records that a log handler is given, and hands them on through a gate.

    Parameters
    ----------
    handler
        A handler whose ``emit`` publishes a record, and which has its tasks
        in ``futures``, if anywhere.
    kafka_topic
        Where it publishes.
    gate
        The gate.
    """

    def __init__(self, handler: logging.Handler, kafka_topic: str, gate: OutageBuffer) -> None:
        super().__init__()
        self._handler = handler
        self._kafka_topic = kafka_topic
        self._gate = gate

    def filter(self, record: logging.LogRecord) -> bool:
        """Take a record; called by the handler, in the thread that logs.

        Returns
        -------
        is_taken_by_handler : `bool`
            True if the handler has to deal with it now.
        """
        if _is_passing.get():
            return False
        held = copy.copy(record)
        try:
            # Its arguments may change while it waits.
            held.msg, held.args = record.getMessage(), None
        except Exception:
            # The handler has its way to report arguments that do not fit.
            return True
        self._gate.send_log_message(self._kafka_topic, partial(self._emit, held))
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
