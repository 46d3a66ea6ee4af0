"""Logging of what may happen very often."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["RateLimitedLog"]


@dataclass(slots=True)
class Window:
    """What was logged of one kind since ``start`` [s]."""

    start: float
    num_lines: int = 0
    num_suppressed: int = 0
    level: int = logging.NOTSET


class RateLimitedLog:
    """Log at most some lines per interval [s] of each kind, then how many more there were.

    It may be used from several threads. The summary of an interval is written by
    the first call of `log` for that kind, or of `flush`, after its end: whoever
    owns this calls `flush` from time to time, and ``flush(force=True)`` at the end.

    A kind is a fixed word of the program's, never something from the network:
    memory grows with the number of kinds.
    """

    def __init__(
        self,
        log: logging.Logger,
        *,
        max_lines: int = 5,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._max_lines = max_lines
        self._interval = interval
        self._clock = clock
        self._windows: dict[str, Window] = {}
        # Reentrant: a finalizer that logs may run anywhere.
        self._lock = threading.RLock()

    def log(self, kind: str, level: int, message: str, *, exc_info: bool | BaseException = False) -> bool:
        """Log a message, unless there were too many of its kind: then return False."""
        with self._lock:
            summary = self._end_window(kind, force=False)
            window = self._windows.setdefault(kind, Window(start=self._clock()))
            is_allowed = window.num_lines < self._max_lines
            if is_allowed:
                window.num_lines += 1
            else:
                window.num_suppressed += 1
                window.level = max(window.level, level)
        # Outside the lock: a handler may come back here.
        self._write_summaries([summary])
        if is_allowed:
            self._log.log(level, message, exc_info=exc_info)
        return is_allowed

    def flush(self, *, force: bool = False) -> None:
        """Write the summaries of the intervals that have ended; with ``force`` of all."""
        with self._lock:
            summaries = [self._end_window(kind, force=force) for kind in list(self._windows)]
        self._write_summaries(summaries)

    def _end_window(self, kind: str, *, force: bool) -> tuple[int, str] | None:
        """Forget the kind's window if it has ended, and return what is to be said about it."""
        window = self._windows.get(kind)
        if window is None or not (force or self._clock() - window.start >= self._interval):
            return None
        del self._windows[kind]
        if not window.num_suppressed:
            return None
        return window.level, f"{kind}: suppressed {window.num_suppressed} more messages like this"

    def _write_summaries(self, summaries: list[tuple[int, str] | None]) -> None:
        for summary in summaries:
            if summary is not None:
                self._log.log(*summary)
