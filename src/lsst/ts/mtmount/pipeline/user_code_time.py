"""How long the code of users takes: preprocessors, handlers, drop callbacks."""

import logging
import math
import threading
import time
from collections.abc import Callable

from ..core import CallClock

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


class UserCodeTime(CallClock):
    """Adds up the time of calls, tells of slow ones, each once, and of one that hangs while it does.

    What is called is given as a `Describe`. A thread tells of what hangs: the code may block
    the event loop. There is none before the first call.
    """

    def __init__(self, log: logging.Logger) -> None:
        self.slow_call = SLOW_CALL
        self._log = log
        self._told: set[str] = set()
        self._hang_told = -math.inf
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch over user code", daemon=True)

    @property
    def is_spent(self) -> bool:
        """Whether the event loop should get its turn."""
        return self.spent > TIME_BUDGET

    @property
    def present(self) -> str:
        """What is called now, the innermost call; empty if nothing is."""
        return self.calls[-1][1]() if self.calls else ""

    def note_first_call(self) -> None:
        """Start the thread."""
        try:
            self._thread.start()
        except RuntimeError as error:
            # A limit of the system's.
            self._log.warning(f"User code that hangs cannot be told of: {error}")

    def note_slow_call(self, seconds: float, what: Describe) -> None:
        """Warn of it."""
        self.warn_once(what(), f"took {seconds:.3g} s for one frame; meanwhile no telemetry is read")

    def warn_once(self, name: str, text: str) -> None:
        """Log a warning about what is called, unless there was one already."""
        if name not in self._told:
            self._told.add(name)
            self._log.warning(f"The {name} {text} (told once)")

    def reset(self) -> None:
        """Begin anew, because the event loop had its turn."""
        self.spent = 0.0

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(HUNG_CALL / 2):
            now = time.monotonic()
            for start, describe in self.calls[-1:]:
                if now - start >= HUNG_CALL and now - self._hang_told >= HUNG_INTERVAL:
                    self._hang_told = now
                    self._log.warning(
                        f"The {describe()} has been working on one frame for {now - start:.1f} s; "
                        "meanwhile no telemetry is read"
                    )
