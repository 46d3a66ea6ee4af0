"""A bounded queue of what is sent in order, in one task."""

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from ..resilience.cancellation import is_cancelled
from ..resilience.escape import describe_error
from ..resilience.guarded_log import guard_logger

__all__ = ["CAPACITY", "RETRY_INTERVAL", "Item", "Send", "SendQueue", "find_item", "is_sending"]

LOG = guard_logger(logging.getLogger("MTMount").getChild("SendQueue"))

#: What may wait; the oldest are dropped.
CAPACITY = 1000

#: How long after the task was cancelled another one goes on with what waits [seconds].
RESTART_DELAY = 0.1

#: How often it is looked again whose turn it is, while things wait and it is nobody's [seconds].
RETRY_INTERVAL = 0.25

Send = Callable[[], Awaitable[object]]

_is_sending: contextvars.ContextVar[bool] = contextvars.ContextVar("is_sending", default=False)


def is_sending() -> bool:
    """Return whether a queue sends in this context: what is logged about that is not sent in turn."""
    return _is_sending.get()


@dataclass(slots=True, eq=False)
class Item:
    """What is to be sent.

    ``waiter`` is done when it was sent, or is known to have to wait.
    """

    kafka_topic: str
    send: Send
    waiter: asyncio.Future[None] | None = None

    def wake_waiter(self) -> None:
        """Let go who waits for it."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class SendQueue:
    """Send what is put in, in order, urgent items first; what is put in before `start` waits.

    Nothing that goes wrong is raised to whoever puts something in: it is counted.
    Of more than ``capacity`` items of each kind, urgent and others, the oldest are dropped
    (``num_dropped``). ``num_failed`` items could not be sent, the last for ``last_error``.
    Set ``is_ending`` when the end has begun: the event loop may end, and cancel all tasks.
    """

    def __init__(self, capacity: int = CAPACITY, *, retry_interval: float = RETRY_INTERVAL) -> None:
        self.is_ending = False
        self.num_dropped = 0
        self.num_failed = 0
        self.last_error: BaseException | None = None
        self._capacity = capacity
        self._retry_interval = retry_interval
        self._urgent: deque[Item] = deque()
        self._ordinary: deque[Item] = deque()
        # Reentrant: a finalizer that logs may run anywhere.
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return the number of items that wait."""
        return len(self._urgent) + len(self._ordinary)

    def put(self, kafka_topic: str, send: Send) -> None:
        """Let something be sent; from any thread."""
        with self._lock:
            self._append(self._ordinary, Item(kafka_topic, send))
            loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._wake_task)
            except RuntimeError as error:
                # The loop was closed, and this queue with it.
                self.count_failure(error)

    def count_failure(self, error: BaseException) -> None:
        """Count something that could not be sent; from any thread."""
        with self._lock:
            self.num_failed += 1
            self.last_error = error

    def start(self) -> None:
        """Begin to send, in a task."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
        self._begin()

    async def stop(self, timeout: float) -> list[str]:  # noqa: ASYNC109
        """Send what waits, at most for ``timeout`` [s]; return the Kafka topics of what was not sent."""
        if self._task is not None:
            # Make the task look once more, before it is believed to be idle.
            self._begin()
            idle = asyncio.create_task(self._idle.wait())
            try:
                await asyncio.wait([idle], timeout=max(timeout, 0.0))
            finally:
                idle.cancel()
                task = self._task
                self.abandon()
            if task is not None:
                await asyncio.wait([task])
        with self._lock:
            self._loop = None
            left = [*self._ordinary, *self._urgent]
            self._ordinary.clear()
            self._urgent.clear()
        for item in left:
            item.wake_waiter()
        return [item.kafka_topic for item in left]

    def abandon(self) -> None:
        """Send nothing more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def _begin(self) -> None:
        """Have the task look at what waits; begin another one if it has ended before its time."""
        self._idle.clear()
        self._wake.set()
        if self._task is not None and self._task.done():
            error = None if self._task.cancelled() else self._task.exception()
            how = "was cancelled" if error is None else f"failed: {describe_error(error)}"
            if error is not None or not self.is_ending:
                LOG.warning(
                    f"The task that publishes events and log messages {how}; it is begun anew", exc_info=error
                )
            self._task = None
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """Go on with what waits, if somebody has cancelled the task: nothing else may come for long."""
        if task is self._task and task.cancelled() and len(self):
            # Not at once: the event loop cancels all tasks when it ends, and would leave the new one pending.
            task.get_loop().call_later(RESTART_DELAY, self._wake_task)

    def _wake_task(self) -> None:
        """Do so for what was put in meanwhile, unless this queue was stopped."""
        if self._task is not None:
            self._begin()

    def _choose_topic(self) -> str | None:
        """Choose the topic whose turn it is; None if it is nobody's. Called with the lock held."""
        return next((items[0].kafka_topic for items in (self._urgent, self._ordinary) if items), None)

    async def may_send(self, kafka_topic: str) -> bool:
        """Return whether the first item of a topic may be sent now."""
        return True

    def _append(self, items: deque[Item], item: Item) -> None:
        if len(items) >= self._capacity:
            items.popleft().wake_waiter()
            self.num_dropped += 1
        items.append(item)

    async def _run(self) -> None:
        while True:
            with self._lock:
                self._wake.clear()
                kafka_topic = self._choose_topic()
                is_empty = not len(self)
            if kafka_topic is None:
                if is_empty:
                    self._idle.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if is_empty else self._retry_interval):
                        await self._wake.wait()
                self._idle.clear()
            # What was asked for may have been replaced, or dropped.
            elif await self.may_send(kafka_topic) and (found := self._take_first(kafka_topic)) is not None:
                await self._send(*found)
                # Sending hardly ever waits: let others have their turn.
                await asyncio.sleep(0)

    def _take_first(self, kafka_topic: str) -> tuple[Item, deque[Item]] | None:
        """Take the first item of a topic, if there is one; return it, and what it was taken from."""
        with self._lock:
            for items in (self._urgent, self._ordinary):
                if (item := find_item(items, kafka_topic)) is not None:
                    items.remove(item)
                    return item, items
        return None

    async def _send(self, item: Item, items: deque[Item]) -> None:
        token = _is_sending.set(True)
        try:
            await item.send()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                with self._lock:
                    items.appendleft(item)
                raise
            # A cancellation that is not ours is an error of what sends.
            self.count_failure(error)
            self._report_failure(item.kafka_topic, error)
        finally:
            _is_sending.reset(token)
        item.wake_waiter()

    def _report_failure(self, kafka_topic: str, error: BaseException) -> None:
        """Tell of something that could not be sent, beside counting it."""


def find_item(items: Iterable[Item], kafka_topic: str) -> Item | None:
    """Find the first item of a topic."""
    return next((item for item in items if item.kafka_topic == kafka_topic), None)
