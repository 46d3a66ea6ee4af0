"""A histogram of latencies with the same relative precision everywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["LatencyHistogram"]

#: Resolution [s].
RESOLUTION = 1e-6

#: Each octave of latencies has this many buckets, so that a bucket is at most
#: 1/128 = 0.8 % wide.
BUCKETS_PER_OCTAVE = 128
OCTAVE_BITS = BUCKETS_PER_OCTAVE.bit_length() - 1

#: Latencies up to 2^36 us (19 h) have buckets; longer ones count in the last.
MAX_BITS = 36
NUM_BUCKETS = (MAX_BITS - OCTAVE_BITS + 1) * BUCKETS_PER_OCTAVE


class LatencyHistogram:
    """A log-linear histogram, after the manner of HdrHistogram.

    Its size does not depend on the number of latencies, nor its precision on
    their magnitude. Latencies below 2 x 128 us have buckets of 1 us; above,
    each octave has 128 buckets.
    """

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(NUM_BUCKETS, np.int64)
        self._max = 0
        self._sum = 0.0
        #: Latencies below 0, which clocks that disagree bring about; they count as 0.
        self.num_negative = 0

    @property
    def count(self) -> int:
        """Number of latencies."""
        return int(self._counts.sum())

    @property
    def max(self) -> float:
        """The largest latency, exact within 1 us [s]; NaN if there is none."""
        return self._max * RESOLUTION if self.count else math.nan

    @property
    def mean(self) -> float:
        """The mean latency [s]; NaN if there is none."""
        count = self.count
        return self._sum / count if count else math.nan

    def record(self, latencies: ArrayLike) -> None:
        """Add latencies [s]. One that is not finite is passed over: the stamp that it is from was none."""
        values = np.asarray(latencies, np.float64).ravel()
        values = values[np.isfinite(values)]
        if not values.size:
            return
        self.num_negative += int((values < 0).sum())
        values = np.maximum(values, 0)
        self._sum += float(values.sum())
        ticks = np.rint(values / RESOLUTION).astype(np.int64)
        self._max = max(self._max, int(ticks.max()))
        np.add.at(self._counts, _find_buckets(ticks), 1)

    @classmethod
    def sum_up(cls, histograms: Iterable[LatencyHistogram]) -> LatencyHistogram:
        """Return a histogram of all latencies of some."""
        total = cls()
        for other in histograms:
            total._counts += other._counts
            total._max = max(total._max, other._max)
            total._sum += other._sum
            total.num_negative += other.num_negative
        return total

    def percentile(self, percent: float) -> float:
        """Return the latency [s] that this many per cent, 0 to 100, do not exceed.

        It is the largest of the bucket in question, at most 0.8 % too large; NaN if there is none.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"expected percent of 0 to 100, got {percent}")
        cumulative = np.cumsum(self._counts)
        count = int(cumulative[-1])
        if not count:
            return math.nan
        # Without the tolerance 99.9 % of 1000 would be more than 999.
        rank = max(math.ceil(percent / 100 * count - 1e-9 * count), 1)
        bucket = int(np.searchsorted(cumulative, rank))
        upper_end = self._max if bucket == NUM_BUCKETS - 1 else _find_upper_end(bucket)
        return min(upper_end, self._max) * RESOLUTION

    def as_dict(self) -> dict[str, Any]:
        """Return everything in a form for JSON: only buckets that are not empty."""
        buckets = np.flatnonzero(self._counts)
        return {
            "buckets": buckets.tolist(),
            "counts": self._counts[buckets].tolist(),
            "max_us": self._max,
            "sum_s": self._sum,
            "negative": self.num_negative,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> LatencyHistogram:
        """Return the histogram that `as_dict` described."""
        histogram = cls()
        histogram._counts[np.asarray(content["buckets"], np.int64)] = content["counts"]
        histogram._max = content["max_us"]
        histogram._sum = content["sum_s"]
        histogram.num_negative = content["negative"]
        return histogram


def _find_buckets(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the bucket of each latency [us]."""
    _, num_bits = np.frexp(ticks.astype(np.float64))
    # How many of the low bits the bucket does not tell.
    shifts = np.maximum(num_bits.astype(np.int64) - (OCTAVE_BITS + 1), 0)
    buckets = shifts * BUCKETS_PER_OCTAVE + (ticks >> shifts)
    limited: NDArray[np.int64] = np.minimum(buckets, NUM_BUCKETS - 1)
    return limited


def _find_upper_end(bucket: int) -> int:
    """Return the largest latency [us] of a bucket."""
    shift = max(bucket // BUCKETS_PER_OCTAVE - 1, 0)
    return ((bucket - shift * BUCKETS_PER_OCTAVE + 1) << shift) - 1
