"""Does anything grow, in a run that is long?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .run_result import RunResult

__all__ = ["Trend", "compute_growth", "describe_trends", "find_trends", "find_warm_up", "list_growing"]

#: The first part of a run does not count, but no more than this [s]: buffers
#: take their size, threads start, topics are seen for the first time. The
#: embedded broker gets slower until it has 5 MB of each frequent topic, which
#: takes some 250 s at 20x; then it drops what is old.
WARM_UP_PART = 0.2
MAX_WARM_UP = 300.0

#: What may grow, from the warm-up to the end: by less than what a leak of one
#: byte for each frame would bring about in half an hour at 20x (7.5 MiB).
MAX_RSS_GROWTH = 1.5 * 2**20

#: How much slower the latency may become: part of it, or a time [s], whichever
#: is more. A queue that builds up would pass this in seconds.
MAX_LATENCY_GROWTH = 0.5
MIN_LATENCY_GROWTH = 0.002


@dataclass(frozen=True)
class Trend:
    """How something changed from the warm-up to the end of a run."""

    name: str  #: What, with units
    level: float  #: Its median
    growth: float  #: By how much it grew
    limit: float  #: It must not grow by more

    @property
    def is_flat(self) -> bool:
        """Whether it did not grow by more than it may; False if that is not known."""
        return self.growth <= self.limit


def find_warm_up(duration: float) -> float:
    """Return the time from the start of a run that does not count [s]."""
    return min(duration * WARM_UP_PART, MAX_WARM_UP)


def compute_growth(times: Sequence[float], values: Sequence[float]) -> float:
    """Compute by how much something grew from the first time to the last, the times ascending.

    By the median of the slopes between all pairs of points (Theil and Sen), so
    that single values that are far off do not matter. NaN if there are less than two points.
    """
    if len(times) < 2:
        return math.nan
    x, y = np.asarray(times, np.float64), np.asarray(values, np.float64)
    first, second = np.triu_indices(len(x), 1)
    slopes = (y[second] - y[first]) / (x[second] - x[first])
    return float(np.median(slopes) * (x[-1] - x[0]))


def find_trends(result: RunResult) -> list[Trend]:
    """Find how a client's memory, files and latency changed in a run."""
    start = result.account.read_back.first_published + find_warm_up(result.duration)
    samples = [sample for sample in result.streaming.samples if sample.time >= start]
    clients = [sample for sample in samples if "client" in sample.usage]
    times = [sample.time for sample in clients]
    trends = [
        _make_trend(
            "resident memory [MiB]",
            times,
            [sample.usage["client"].rss / 2**20 for sample in clients],
            MAX_RSS_GROWTH / 2**20,
        ),
        _make_count_trend("open files", [sample.usage["client"].num_fds for sample in clients]),
        _make_count_trend("threads", [sample.usage["client"].num_threads for sample in clients]),
    ]
    timed = [(sample.time, sample.latency) for sample in samples if sample.latency is not None]
    for index, name in enumerate(("latency p50 [ms]", "latency p99 [ms]")):
        latencies = [latency[index] * 1e3 for _, latency in timed]
        limit = max(_find_median(latencies) * MAX_LATENCY_GROWTH, MIN_LATENCY_GROWTH * 1e3)
        trends.append(_make_trend(name, [time for time, _ in timed], latencies, limit))
    return trends


def _find_median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan


def _make_trend(name: str, times: Sequence[float], values: Sequence[float], limit: float) -> Trend:
    return Trend(name, _find_median(values), compute_growth(times, values), limit)


def _make_count_trend(name: str, counts: Sequence[int]) -> Trend:
    """Compare the last quarter with the first: counts change in steps, and must not change for good."""
    quarter = -(-len(counts) // 4)
    if not quarter:
        return Trend(name, math.nan, math.nan, 0.0)
    growth = np.median(counts[-quarter:]) - np.median(counts[:quarter])
    return Trend(name, float(np.median(counts)), float(growth), 0.0)


def describe_trends(result: RunResult, trends: Sequence[Trend]) -> list[str]:
    """Describe the trends for the report, one sentence each."""
    warm_up = find_warm_up(result.duration)
    return [
        f"From {warm_up:g} s on, {trend.name}: median {trend.level:.2f}, growth {trend.growth:.2f} "
        f"(limit {trend.limit:.2f}): " + ("flat." if trend.is_flat else "it grows.")
        for trend in trends
    ]


def list_growing(trends: Sequence[Trend]) -> list[str]:
    """List what is not flat, as problems."""
    return [
        f"{trend.name}: expected a growth of {trend.limit:.2f} at most, got {trend.growth:.2f}"
        for trend in trends
        if not trend.is_flat
    ]
