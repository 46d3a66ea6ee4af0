"""How long the code of users takes: preprocessors, handlers, drop callbacks."""

import logging
from collections.abc import Callable
from typing import ParamSpec

__all__ = ["UserCodeTime"]

#: After so much of it, the event loop gets its turn [seconds].
TIME_BUDGET = 0.005

#: A single call that takes longer is worth a warning [seconds].
SLOW_CALL = 0.05

_P = ParamSpec("_P")


class UserCodeTime:
    """Adds up the time of calls, and tells of slow ones, each once."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._spent = 0.0
        self._told: set[str] = set()

    @property
    def is_spent(self) -> bool:
        """Whether the event loop should get its turn."""
        return self._spent > TIME_BUDGET

    def add(self, seconds: float, describe: Callable[_P, str], *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Note that a call took some time [seconds].

        ``describe``, called with the other arguments, names for people what was called; few different texts.
        """
        self._spent += seconds
        if seconds > SLOW_CALL and (name := describe(*args, **kwargs)) not in self._told:
            self._told.add(name)
            self._log.warning(
                f"The {name} took {seconds:.3g} s for one frame; meanwhile no telemetry is read (told once)"
            )

    def reset(self) -> None:
        """Begin anew, because the event loop had its turn."""
        self._spent = 0.0
