import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsst.ts.mtmount.tools.monitor.timeline import Timeline


def test_rate_of_a_steady_topic() -> None:
    timeline = Timeline(100.0)
    for tick in range(20 * 30):
        timeline.add(100 + tick / 20)
    assert timeline.compute_rate(130.0, 10) == pytest.approx(20)
    assert timeline.compute_rate(129.99, 10) == pytest.approx(20, rel=0.01)
    # Not a full span yet.
    assert Timeline(100.0).compute_rate(100.0, 10) == 0
    young = Timeline(100.5)
    young.add(101.0)
    assert young.compute_rate(102.5, 10) == pytest.approx(0.5)


def test_rate_goes_down_when_nothing_comes() -> None:
    timeline = Timeline(0.0)
    for tick in range(200):
        timeline.add(tick / 20)
    rates = [timeline.compute_rate(now, 10) for now in (10.0, 12.0, 15.0, 20.0, 21.0, 500.0)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 20
    assert rates[-2:] == [0, 0]


def test_mean_and_maximum_are_of_the_last_seconds() -> None:
    timeline = Timeline(0.0)
    timeline.add(0.5, 1000.0)
    timeline.add(5.1, 1.0)
    timeline.add(5.9, 2.0)
    timeline.add(7.0, 6.0)
    assert timeline.compute_mean(7.5, 5) == 3
    assert timeline.find_maximum(7.5, 5) == 6
    assert timeline.find_maximum(7.5, 7) == 1000
    for compute in (timeline.compute_mean, timeline.find_maximum):
        assert math.isnan(compute(100.0, 5))


def test_curves_have_one_value_for_each_whole_second() -> None:
    timeline = Timeline(10.5)
    for now, value in ((11.0, 1.0), (11.5, 2.0), (13.2, -4.0), (14.1, 77.0)):
        timeline.add(now, value)
    # The current second is not over: it is left out.
    assert timeline.list_means(14.5, 5) == [None, None, 1.5, None, -4.0]
    # Before the beginning nobody counted.
    assert timeline.list_counts(14.5, 5) == [None, None, 2, 0, 1]


def test_what_is_no_number_is_passed_over() -> None:
    timeline = Timeline(0.0)
    for value in (math.nan, math.inf, -math.inf):
        timeline.add(1.0, value)
    assert timeline.list_means(2.0, 1) == [None]
    # The sum of the largest is infinite.
    timeline.add(1.0, 1.7e308)
    timeline.add(1.0, 1.7e308)
    assert timeline.list_means(2.0, 1) == [None]
    assert timeline.find_maximum(2.0, 1) == 1.7e308


@given(
    times=st.lists(st.floats(0, 60), max_size=50).map(sorted),
    span=st.integers(1, 20),
    late_after=st.floats(0, 20),
)
def test_counts_as_a_plain_count_does(times: list[float], span: int, late_after: float) -> None:
    timeline = Timeline(0.0)
    for time in times:
        timeline.add(time, time)
    now = (times[-1] if times else 0.0) + late_after
    recent = [time for time in times if time >= math.floor(now) - span]
    seconds = now - max(0, math.floor(now) - span)
    checks: list[tuple[Callable[[float, int], float], float]] = [
        (timeline.compute_rate, len(recent) / seconds if seconds else 0.0),
        (timeline.compute_mean, sum(recent) / len(recent) if recent else math.nan),
        (timeline.find_maximum, max(recent, default=math.nan)),
    ]
    for compute, expected in checks:
        assert compute(now, span) == pytest.approx(expected, nan_ok=True)
    assert len(timeline.list_means(now, span)) == len(timeline.list_counts(now, span)) == span


def test_memory_does_not_grow() -> None:
    timeline = Timeline(0.0, length=5)
    for second in range(1000):
        timeline.add(float(second), float(second))
    assert timeline.list_means(1000.0, 7) == [None, None, 995, 996, 997, 998, 999]
