"""Publishing of log records as ``evt_logMessage``."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["SalLogHandler"]

#: Records that wait to be published; the oldest are dropped.
CAPACITY = 1000

# True in the context in which a record is being published: what is logged
# about that is not published.
_is_publishing: contextvars.ContextVar[bool] = contextvars.ContextVar("is_publishing", default=False)


class SalLogHandler(logging.Handler):
    """Keep log records until they can be published, and publish them in order.

    Records may come from any thread. Nothing that goes wrong here is raised
    to whoever logs: it is counted.

    Parameters
    ----------
    capacity
        How many records may wait. The oldest are dropped.

    Attributes
    ----------
    num_dropped : `int`
        Records that were dropped because too many were waiting.
    num_failed : `int`
        Records that could not be formatted or published.
    last_error : `Exception` or None
        Why the last of them could not be.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        super().__init__()
        self.num_dropped = 0
        self.num_failed = 0
        self.last_error: Exception | None = None
        self._waiting: deque[dict[str, Any]] = deque(maxlen=capacity)
        # Reentrant: a finalizer that logs may run anywhere.
        self._waiting_lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return the number of records that wait."""
        return len(self._waiting)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record; called by the logger, in the thread that logs."""
        if _is_publishing.get():
            return
        try:
            fields = _make_fields(record)
        except Exception as error:
            # For instance arguments that do not fit the message.
            self._count_failure(error)
            return
        with self._waiting_lock:
            if len(self._waiting) == self._waiting.maxlen:
                self.num_dropped += 1
            self._waiting.append(fields)
            loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._wake.set)
            except RuntimeError as error:
                # The loop was closed, and this handler with it.
                self._count_failure(error)

    def start(self, publish: Callable[..., Awaitable[Any]]) -> None:
        """Publish the records that wait and those that come, in a task.

        Parameters
        ----------
        publish
            ``evt_logMessage.set_write``.
        """
        with self._waiting_lock:
            self._loop = asyncio.get_running_loop()
        self._wake.set()
        self._idle.clear()
        self._task = asyncio.create_task(self._run(publish))

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109
        """Publish what waits, and stop. Remove this handler from its logger first.

        Parameters
        ----------
        timeout
            Upper bound [s].
        """
        if self._task is None:
            return
        # Make the task look once more, before it is believed to be idle.
        self._idle.clear()
        self._wake.set()
        try:
            async with asyncio.timeout(max(timeout, 0.0)):
                await self._idle.wait()
        except TimeoutError as error:
            with self._waiting_lock:
                self.num_failed += len(self._waiting)
                self.last_error = error
                self._waiting.clear()
        with self._waiting_lock:
            self._loop = None
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None

    async def _run(self, publish: Callable[..., Awaitable[Any]]) -> None:
        _is_publishing.set(True)
        while True:
            with self._waiting_lock:
                fields = self._waiting.popleft() if self._waiting else None
                if fields is None:
                    self._wake.clear()
            if fields is None:
                self._idle.set()
                await self._wake.wait()
                self._idle.clear()
                continue
            try:
                await publish(**fields)
            except Exception as error:
                self._count_failure(error)
            except asyncio.CancelledError:
                with self._waiting_lock:
                    self.num_failed += 1
                raise
            # Publishing hardly ever waits: let others have their turn.
            await asyncio.sleep(0)

    def _count_failure(self, error: Exception) -> None:
        with self._waiting_lock:
            self.num_failed += 1
            self.last_error = error


def _make_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of evt_logMessage for a record."""
    traceback = record.exc_text or ""
    if not traceback and record.exc_info and record.exc_info[0] is not None:
        traceback = logging.Formatter().formatException(record.exc_info)
    return {
        "name": _make_encodable(record.name),
        "level": record.levelno,
        "message": _make_encodable(record.getMessage()),
        "traceback": _make_encodable(traceback),
        "filePath": _make_encodable(record.pathname),
        "functionName": _make_encodable(record.funcName or ""),
        "lineNumber": record.lineno,
        "process": record.process or 0,
        "timestamp": 0.0,
    }


def _make_encodable(text: str) -> str:
    """Replace what UTF-8 cannot encode, such as the odd byte of a file name."""
    return text.encode(errors="backslashreplace").decode()
