"""When the ticks of a stream are due, and when it ends."""

import math
from dataclasses import dataclass

from .frame_stream import MAX_CHUNK_TICKS
from .schedule import TICK_INTERVAL

__all__ = ["Pace"]

#: Shortest time between two wake-ups [s], the resolution of the event loop's
#: timers. Where ticks are due more often, each wake-up handles several.
WAKE_INTERVAL = 0.001

#: A tick that begins this long after it was due is late at any rate [s]: more
#: than grouping ticks and rounding timers up can add.
MIN_LATENESS = 5 * WAKE_INTERVAL

#: What rounding may add to a time, or take from it [ticks].
ROUNDING = 1e-6


@dataclass(frozen=True)
class Pace:
    """When the ticks of a stream are due, and when it ends."""

    rate: float  #: Multiple of the TMA's full rate; infinity: always due
    #: The stream ends before the first tick that is due this long after its start [s].
    duration: float = math.inf
    max_ticks: float = math.inf  #: The stream ends after this many ticks

    @property
    def interval(self) -> float:
        """Time between two ticks [s]."""
        return TICK_INTERVAL / self.rate

    @property
    def late_after(self) -> float:
        """A tick that begins this long after it was due is late [s]."""
        return max(self.interval, MIN_LATENESS)

    @property
    def end(self) -> float:
        """Number of ticks after which the stream ends, which may be infinity."""
        if math.isinf(self.rate) or math.isinf(self.duration):
            return self.max_ticks
        return min(self.max_ticks, math.ceil(self.duration / self.interval - ROUNDING))

    def is_over(self, elapsed: float, tick: int) -> bool:
        """Tell whether the stream has ended, if ``tick`` comes next, ``elapsed`` after its start [s]."""
        return tick >= self.end or (math.isinf(self.rate) and elapsed >= self.duration)

    def next_wake(self, tick: int) -> float:
        """Return when to wake up, if ``tick`` comes next [s from the start of the stream]."""
        if math.isinf(self.rate):
            return 0.0
        group = max(1, round(WAKE_INTERVAL / self.interval))
        return (min(tick + group, self.end) - 1) * self.interval

    def count_due(self, elapsed: float, tick: int) -> int:
        """Count the ticks from ``tick`` on that are due after a wake-up: at least 1."""
        if math.isinf(self.rate):
            return int(min(MAX_CHUNK_TICKS, self.end - tick))
        num_due = math.floor(elapsed / self.interval + ROUNDING) + 1
        return max(1, int(min(num_due, self.end)) - tick)

    def count_late(self, elapsed: float, tick: int, num_ticks: int) -> int:
        """Count which of ``num_ticks`` ticks from ``tick`` on begin late now."""
        if math.isinf(self.rate):
            return 0
        first_punctual = math.ceil((elapsed - self.late_after) / self.interval)
        return min(max(0, first_punctual - tick), num_ticks)
