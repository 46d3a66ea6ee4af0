import math

import numpy as np
import pytest

from lsst.ts.mtmount.tools.load_test.frame_counts import FrameCounts
from lsst.ts.mtmount.tools.load_test.procfs import Usage
from lsst.ts.mtmount.tools.load_test.run_result import RunResult
from lsst.ts.mtmount.tools.load_test.samples import Sample, SampleSeries
from lsst.ts.mtmount.tools.load_test.trends import (
    Trend,
    compute_growth,
    describe_trends,
    find_trends,
    find_warm_up,
    list_growing,
)
from lsst.ts.mtmount.tools.load_test.verifier_result import VerifierResult

MIB = 2**20
START = 1_800_000_000.0
DURATION = 600.0


def make_result(
    *,
    leak: float = 0.0,
    warm_up_leak: float = 0.0,
    files: dict[float, int] | None = None,
    slowing: float = 0.0,
    noise: float = 0.0,
) -> RunResult:
    """Make the result of a run in which something happens.

    Parameters
    ----------
    leak, warm_up_leak
        By how much memory grows: in all, and before the end of the warm-up [bytes].
    files
        Files that are opened, by time [s].
    slowing
        By how much the latency grows in all [s].
    noise
        Standard deviation of the memory [bytes].
    """
    random = np.random.default_rng(1)
    samples = []
    for time in np.arange(0, DURATION, 2):
        part = time / DURATION
        warm_part = min(time / find_warm_up(DURATION), 1)
        usage = Usage(
            cpu=time / 10,
            rss=int(60 * MIB + leak * part + warm_up_leak * warm_part + random.normal(0, noise)),
            peak_rss=70 * MIB,
            num_fds=10 + sum(count for begin, count in (files or {}).items() if time >= begin),
            num_threads=5,
        )
        latency = 0.004 + slowing * part
        samples.append(Sample(START + time, {"client": usage}, None, {}, (latency, 2 * latency, 0.1), 0))
    read_back = VerifierResult({}, first_published=START, last_published=START + DURATION)
    return RunResult(
        client="client",
        rate=20.0,
        duration=DURATION,
        was_cut=False,
        read_mode="decode",
        account=FrameCounts({}, {}, read_back, None),
        simulator={},
        series=SampleSeries(samples),
        problems=[],
    )


def find(result: RunResult) -> dict[str, Trend]:
    return {trend.name.split(" [")[0]: trend for trend in find_trends(result)}


def test_nothing_happens() -> None:
    trends = find(make_result(noise=0.2 * MIB))
    assert all(trend.is_flat for trend in trends.values())
    assert trends["resident memory"].level == pytest.approx(60, abs=0.1)
    assert trends["latency p50"].level == pytest.approx(4)
    assert trends["latency p99"].level == pytest.approx(8)


def test_leak() -> None:
    """The smallest leak that is found: less than a byte for each of 2.6 million frames."""
    trend = find(make_result(leak=2.5 * MIB, noise=0.2 * MIB))["resident memory"]
    assert not trend.is_flat
    # Of what it grows by in all, four fifths come after the warm-up.
    assert trend.growth == pytest.approx(2.0, abs=0.1)


def test_growth_during_the_warm_up_does_not_count() -> None:
    trend = find(make_result(warm_up_leak=30 * MIB))["resident memory"]
    assert trend.is_flat
    assert trend.growth == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("files", "is_flat"),
    [
        ({}, True),
        ({10.0: 5}, True),
        ({200.0: -3}, True),
        ({300.0: 2, 302.0: -2}, True),
        ({300.0: 1}, False),
        ({200.0: 1, 400.0: 1}, False),
    ],
)
def test_open_files(files: dict[float, int], is_flat: bool) -> None:
    assert find(make_result(files=files))["open files"].is_flat is is_flat


def test_latency_that_drifts() -> None:
    assert find(make_result(slowing=0.002))["latency p50"].is_flat
    trends = find(make_result(slowing=0.02))
    assert not trends["latency p50"].is_flat
    assert not trends["latency p99"].is_flat


def test_no_samples_is_not_flat() -> None:
    result = make_result()
    result.series.samples.clear()
    trends = find_trends(result)
    assert len(trends) == 5
    assert not any(trend.is_flat for trend in trends)


def test_warm_up() -> None:
    assert find_warm_up(100) == 20
    assert find_warm_up(1800) == 300


def test_growth_ignores_what_is_far_off() -> None:
    times = list(range(100))
    values = [5 + 0.01 * time for time in times]
    assert compute_growth(times, values) == pytest.approx(0.99)
    for index in (3, 40, 41, 98):
        values[index] += 1e6
    assert compute_growth(times, values) == pytest.approx(0.99, abs=0.01)
    assert math.isnan(compute_growth([1.0], [1.0]))


def test_tells_what_grows() -> None:
    good, leaking = make_result(), make_result(leak=20 * MIB)
    assert list_growing(find_trends(good)) == []
    (problem,) = list_growing(find_trends(leaking))
    assert problem.startswith("resident memory [MiB]: expected a growth of 1.50 at most, got 15.9")
    assert describe_trends(leaking, find_trends(leaking))[0].endswith("(limit 1.50): it grows.")
