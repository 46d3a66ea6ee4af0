"""What happened in the last seconds, second by second."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Timeline"]

#: How far the past reaches [s]: a trend as wide as a wide terminal.
LENGTH = 240


@dataclass(slots=True)
class Second:
    """What came in one second."""

    number: int  #: Which second of the clock
    count: int = 0
    total: float = 0.0  #: Their sum
    maximum: float = -math.inf  #: The largest


class Timeline:
    """Keeps count, sum and maximum of values for each of the last ``length`` seconds.

    Its size depends neither on the number of values nor on the time. All
    times are those of one monotonic clock, and never go back.
    """

    def __init__(self, start: float, length: int = LENGTH) -> None:
        self._start = start
        self._seconds: deque[Second] = deque(maxlen=length)

    def add(self, now: float, value: float = 0.0) -> None:
        """Note a value. One that is not a finite number is passed over."""
        if not math.isfinite(value):
            return
        number = math.floor(now)
        if not self._seconds or self._seconds[-1].number != number:
            self._seconds.append(Second(number))
        second = self._seconds[-1]
        second.count += 1
        second.total += value
        second.maximum = max(second.maximum, value)

    def compute_rate(self, now: float, span: int) -> float:
        """Compute how many values came per second, in the current one and ``span`` whole ones before."""
        since = max(self._start, math.floor(now) - span)
        count = sum(second.count for second in self._find(now, span))
        return count / (now - since) if now > since else 0.0

    def compute_mean(self, now: float, span: int) -> float:
        """Compute the mean of the last seconds; NaN if there is none."""
        count, total = 0, 0.0
        for second in self._find(now, span):
            count += second.count
            total += second.total
        return total / count if count else math.nan

    def find_maximum(self, now: float, span: int) -> float:
        """Find the largest value of the last seconds; NaN if there is none."""
        return max((second.maximum for second in self._find(now, span)), default=math.nan)

    def list_means(self, now: float, length: int) -> list[float | None]:
        """List the means of the last whole seconds, the newest last; None where there is none."""
        means = {
            second.number: second.total / second.count
            for second in self._find(now, length)
            # Even the sum of finite values may not be finite.
            if math.isfinite(second.total)
        }
        return [means.get(number) for number in self._list_numbers(now, length)]

    def list_counts(self, now: float, length: int) -> list[float | None]:
        """List the counts of the last whole seconds, the newest last; None before the beginning."""
        counts = {second.number: float(second.count) for second in self._find(now, length)}
        return [
            counts.get(number, 0.0) if number > self._start else None
            for number in self._list_numbers(now, length)
        ]

    def _list_numbers(self, now: float, length: int) -> range:
        end = math.floor(now)
        return range(end - length, end)

    def _find(self, now: float, span: int) -> Iterator[Second]:
        """Find the current second and those before it that belong to a span."""
        first = math.floor(now) - span
        for second in reversed(self._seconds):
            if second.number < first:
                return
            yield second
