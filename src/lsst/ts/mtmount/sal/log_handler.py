"""Publishing of log records as ``evt_logMessage``."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from .send_queue import CAPACITY, SendQueue, is_sending

__all__ = ["SalLogHandler"]


#: Attribute of a record: which handler publishes it. A dict, so that it is set once, also by threads.
CLAIM = "_sal_claim"


class SalLogHandler(logging.Handler):
    """Keep log records until they can be published, and publish them in order.

    Records may come from any thread; of more than ``capacity``, the oldest are
    dropped. Nothing that goes wrong here is raised to whoever logs: ``queue`` counts it.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        super().__init__()
        self.queue = SendQueue(capacity)
        self._publish: Callable[..., Awaitable[Any]] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record; called by the logger, in the thread that logs."""
        if is_sending():
            return
        claim: dict[str, int] = vars(record).setdefault(CLAIM, {})
        try:
            fields = _make_fields(record)
        except Exception as error:
            # For instance arguments that do not fit the message.
            self.queue.count_failure(error)
            return
        self.queue.put("logMessage", partial(self._send, claim, fields))

    def start(self, publish: Callable[..., Awaitable[Any]]) -> None:
        """Publish the records that wait and those that come, in a task, by ``evt_logMessage.set_write``."""
        self._publish = publish
        self.queue.start()

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109
        """Publish what waits, at most for ``timeout`` [s]. Remove this handler from its logger first."""
        was_started = self._publish is not None
        for _ in await self.queue.stop(timeout):
            if was_started:
                self.queue.count_failure(TimeoutError(f"no time to publish it within {timeout:.3g} s"))

    async def _send(self, claim: dict[str, int], fields: dict[str, Any]) -> None:
        assert self._publish is not None
        # Several controllers in one process hang on one logger. The first that can publish does, not the
        # first that heard of it: that one may never start, or was left behind.
        if claim.setdefault("publisher", id(self)) == id(self):
            await self._publish(**fields)


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
