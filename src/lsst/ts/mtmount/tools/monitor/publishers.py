"""Who publishes: one telemetry client, or several at once by mistake."""

from typing import Any

__all__ = ["Publishers"]

#: A publisher that was not heard of for this long is forgotten [s].
FORGET_AFTER = 10.0

#: Most that are kept: they come from the network.
MAX_PUBLISHERS = 100


class Publishers:
    """The process IDs (``private_origin``) that records name."""

    def __init__(self) -> None:
        # When each was first and last heard of.
        self._intervals: dict[int, tuple[float, float]] = {}
        # Those that several publishers have, and when that was last seen.
        self._shared: dict[int, float] = {}

    def add(self, origin: Any, now: float, *, is_shared: bool) -> None:
        """Note the publisher of a record that has just come. ``is_shared``: another has its process ID."""
        if not isinstance(origin, int):
            return
        if origin not in self._intervals:
            self._forget(now)
        if origin in self._intervals or len(self._intervals) < MAX_PUBLISHERS:
            first, _ = self._intervals.get(origin, (now, now))
            self._intervals[origin] = first, now
            if is_shared:
                self._shared[origin] = now

    def list_at_once(self, now: float) -> list[int]:
        """List who publishes: one, unless one went on after another had begun.

        A process ID that several publishers have is there twice.
        """
        self._forget(now)
        if not self._intervals:
            return []
        # Who ended before the newest began was only replaced by it.
        newest = max(self._intervals, key=lambda origin: self._intervals[origin][0])
        begin, _ = self._intervals[newest]
        origins = [
            origin for origin, (_, last) in self._intervals.items() if origin == newest or last > begin
        ]
        return sorted(origins + [origin for origin in origins if origin in self._shared])

    def _forget(self, now: float) -> None:
        self._intervals = {
            origin: (first, last)
            for origin, (first, last) in self._intervals.items()
            if now - last <= FORGET_AFTER
        }
        self._shared = {origin: last for origin, last in self._shared.items() if now - last <= FORGET_AFTER}
