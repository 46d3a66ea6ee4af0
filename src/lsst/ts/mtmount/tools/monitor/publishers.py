"""Who publishes: one telemetry client, or several at once by mistake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Publishers"]

#: A publisher that was not heard of for this long is forgotten [s].
FORGET_AFTER = 10.0

#: Most that are kept: they come from the network.
MAX_PUBLISHERS = 100


@dataclass(slots=True)
class _Interval:
    """When a publisher was first and last heard of [monotonic s]."""

    first: float
    last: float


class Publishers:
    """The process IDs (``private_origin``) that records name."""

    def __init__(self) -> None:
        self._intervals: dict[int, _Interval] = {}

    def add(self, origin: Any, now: float) -> None:
        """Note the publisher of a record that has just come."""
        if not isinstance(origin, int):
            return
        if origin in self._intervals:
            self._intervals[origin].last = now
        else:
            self._forget(now)
            if len(self._intervals) < MAX_PUBLISHERS:
                self._intervals[origin] = _Interval(now, now)

    def list_at_once(self, now: float) -> list[int]:
        """List who publishes: one, unless one went on after another had begun."""
        self._forget(now)
        if not self._intervals:
            return []
        # Who ended before the newest began was only replaced by it.
        newest, begin = max(
            ((origin, interval.first) for origin, interval in self._intervals.items()),
            key=lambda item: item[1],
        )
        return sorted(
            origin
            for origin, interval in self._intervals.items()
            if origin == newest or interval.last > begin
        )

    def _forget(self, now: float) -> None:
        self._intervals = {
            origin: interval
            for origin, interval in self._intervals.items()
            if now - interval.last <= FORGET_AFTER
        }
