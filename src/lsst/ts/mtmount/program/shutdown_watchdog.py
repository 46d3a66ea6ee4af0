"""Ends a program that does not manage to end by itself."""

import os
import threading
from collections.abc import Callable
from typing import Self

from .event_loop import END_SIGNALS

__all__ = ["ShutdownWatchdog", "exit_within"]

#: How long saying why may take [s]: whoever holds a lock may be stuck as well.
REPORT_TIMEOUT = 2.0

#: Exit status of a program that was ended by force.
FORCED_STATUS = 1


class ShutdownWatchdog:
    """Bounds how long a program takes to end, also if its event loop is blocked.

    A context manager. It begins to count when `arm` is called. ``limit`` is how long the program may
    take to its end, the report of it included [s]; ``report`` is told why it is ended by force, and
    ``describe_loss`` says what is lost then. ``on_armed`` is called when it begins to count, and must
    not raise. All are called in a thread.
    """

    def __init__(self, limit: float, report: Callable[[str], object]) -> None:
        self.limit = limit
        self.describe_loss: Callable[[], str] = lambda: "nothing"
        self.on_armed: Callable[[], object] = lambda: None
        self._report = report
        self._armed = threading.Event()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._watch, name="shutdown watchdog", daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._armed.set()

    @property
    def is_armed(self) -> bool:
        """Whether the time counts."""
        return self._armed.is_set()

    def arm(self) -> None:
        """Begin to count the time: the program has begun to end."""
        self._armed.set()

    def arm_on_signal(self, number: int) -> None:
        """Begin to count the time if a signal asks the program to end."""
        if number in END_SIGNALS:
            self.arm()

    def _watch(self) -> None:
        self._armed.wait()
        self.on_armed()
        if self._ended.wait(max(self.limit - REPORT_TIMEOUT, 0.0)):
            return
        report = threading.Thread(target=self._tell, daemon=True)
        report.start()
        report.join(REPORT_TIMEOUT)
        os._exit(FORCED_STATUS)

    def _tell(self) -> None:
        self._report(f"Ended by force, {self.limit:g} s after the end began; lost: {self.describe_loss()}")


def exit_within(timeout: float, status: int) -> None:
    """End the process with this status after the time-out [seconds], unless it has ended by then."""
    timer = threading.Timer(timeout, os._exit, [status])
    timer.daemon = True
    timer.start()
