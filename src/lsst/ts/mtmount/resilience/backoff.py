"""How long to wait before the next attempt."""

import random
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Delays that double from attempt to attempt, each cut short by a random part.

    Without that jitter, all that lost the same server would come back to it at
    the same moments. `ValueError` if an argument is out of its range.

    Parameters
    ----------
    first, longest : `float`
        Longest first delay, and longest delay [seconds].
    jitter : `float`
        Largest part of a delay that is left out, 0 to 1.
    pick : callable
        Returns a random number from 0 to 1.
    """

    def __init__(
        self,
        first: float = 0.25,
        longest: float = 10.0,
        *,
        jitter: float = 0.5,
        pick: Callable[[], float] = random.random,
    ) -> None:
        if not 0 < first <= longest:
            raise ValueError(f"expected 0 < first <= longest, got first={first}, longest={longest}")
        if not 0 <= jitter <= 1:
            raise ValueError(f"expected jitter of 0 to 1, got {jitter}")
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._pick = pick
        self._next = first

    def next_delay(self) -> float:
        """Return how long to wait before the next attempt [seconds]."""
        delay = self._next
        self._next = min(2 * delay, self._longest)
        return delay * (1 - self._jitter * self._pick())

    def reset(self) -> None:
        """Begin again with the first delay, after a success."""
        self._next = self._first
