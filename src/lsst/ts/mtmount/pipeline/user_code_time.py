"""How long the code of users takes: preprocessors, handlers, drop callbacks."""

import logging
import math
import threading
import time
from collections.abc import Callable

__all__ = ["UserCodeTime"]

#: After so much of it, the event loop gets its turn [seconds].
TIME_BUDGET = 0.005

#: A single call that takes longer is worth a warning [seconds].
SLOW_CALL = 0.05

#: A single call that goes on for longer is told of while it does [seconds].
HUNG_CALL = 1.0

#: How often that is told [seconds].
HUNG_INTERVAL = 60.0

#: Returns what is called, for people: one of few texts.
Describe = Callable[[], str]


class UserCodeTime:
    """Adds up the time of calls, tells of slow ones, each once, and of one that hangs while it does.

    A thread tells of the latter: the code may block the event loop. There is
    none before the first call.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._spent = 0.0
        self._told: set[str] = set()
        # When the present calls began, and what they call, the innermost last; read by the thread.
        self._calls: list[tuple[float, Describe]] = []
        self._hang_told = -math.inf
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_spent(self) -> bool:
        """Whether the event loop should get its turn."""
        return self._spent > TIME_BUDGET

    def begin(self, describe: Describe) -> None:
        """Note that a call begins."""
        self._calls.append((time.monotonic(), describe))
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="watch over user code", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Note that it has ended."""
        start, describe = self._calls.pop()
        seconds = time.monotonic() - start
        self._spent += seconds
        if seconds > SLOW_CALL:
            self._warn_of_slow_call(seconds, describe)

    def add(self, seconds: float, describe: Describe) -> None:
        """Note that a call took some time [seconds]."""
        self._spent += seconds
        if seconds > SLOW_CALL:
            self._warn_of_slow_call(seconds, describe)

    def _warn_of_slow_call(self, seconds: float, describe: Describe) -> None:
        self.warn_once(describe(), f"took {seconds:.3g} s for one frame; meanwhile no telemetry is read")

    def warn_once(self, name: str, text: str) -> None:
        """Log a warning about what is called, unless there was one already."""
        if name not in self._told:
            self._told.add(name)
            self._log.warning(f"The {name} {text} (told once)")

    def reset(self) -> None:
        """Begin anew, because the event loop had its turn."""
        self._spent = 0.0

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(HUNG_CALL / 2):
            now = time.monotonic()
            for start, describe in self._calls[-1:]:
                if now - start >= HUNG_CALL and now - self._hang_told >= HUNG_INTERVAL:
                    self._hang_told = now
                    self._log.warning(
                        f"The {describe()} has been working on one frame for {now - start:.1f} s; "
                        "meanwhile no telemetry is read"
                    )
