import json
import math

import numpy as np
import pytest

from lsst.ts.mtmount.tools.load_test.latency_histogram import LatencyHistogram

PERCENTS = [0, 1, 10, 50, 90, 99, 99.9, 99.99, 100]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [1e-5, 1e-3, 1.0, 100.0])
def test_percentiles_are_those_of_numpy(scale: float, seed: int) -> None:
    latencies = np.random.default_rng(seed).lognormal(0, 1.5, 20_011) * scale
    histogram = LatencyHistogram()
    for chunk in np.array_split(latencies, 7):
        histogram.record(chunk)
    assert histogram.count == len(latencies)
    for percent in PERCENTS:
        exact = np.percentile(latencies, percent, method="inverted_cdf")
        found = histogram.percentile(percent)
        # Never too small but for rounding to 1 us, and at most a bucket too large.
        assert exact - 0.6e-6 <= found <= exact * (1 + 1 / 128) + 1e-6
    assert histogram.max == pytest.approx(latencies.max(), abs=0.6e-6)
    assert histogram.mean == pytest.approx(latencies.mean())


def test_small_latencies_are_exact() -> None:
    histogram = LatencyHistogram()
    histogram.record(np.arange(256) * 1e-6)
    for percent in PERCENTS:
        rank = max(math.ceil(percent / 100 * 256), 1)
        assert histogram.percentile(percent) == pytest.approx((rank - 1) * 1e-6)


def test_percentile_counts_as_people_do() -> None:
    histogram = LatencyHistogram()
    histogram.record([0.001] * 999 + [5.0])
    assert histogram.percentile(99.9) == pytest.approx(0.001, rel=0.01)
    assert histogram.percentile(99.91) == 5.0
    assert histogram.max == 5.0


def test_merging_is_recording_all() -> None:
    random = np.random.default_rng(3)
    parts = [random.exponential(0.01, 1000) for _ in range(3)]
    singles = [LatencyHistogram() for _ in parts]
    for single, part in zip(singles, parts, strict=True):
        single.record(part)
    whole = LatencyHistogram()
    whole.record(np.concatenate(parts))
    merged_dict, whole_dict = LatencyHistogram.sum_up(singles).as_dict(), whole.as_dict()
    assert merged_dict.pop("sum_s") == pytest.approx(whole_dict.pop("sum_s"))
    assert merged_dict == whole_dict


def test_survives_json() -> None:
    histogram = LatencyHistogram()
    histogram.record([1e-6, 0.004, 0.004, 12.0, -1.0])
    copy = LatencyHistogram.from_dict(json.loads(json.dumps(histogram.as_dict())))
    assert copy.as_dict() == histogram.as_dict()
    assert [copy.percentile(percent) for percent in PERCENTS] == [
        histogram.percentile(percent) for percent in PERCENTS
    ]


def test_latencies_below_zero_are_counted() -> None:
    histogram = LatencyHistogram()
    histogram.record([-0.5, 0.0, 0.002])
    assert (histogram.num_negative, histogram.count) == (1, 3)
    assert histogram.percentile(50) == 0.0


def test_latencies_beyond_all_buckets() -> None:
    histogram = LatencyHistogram()
    histogram.record([1e6, 2e6])
    assert histogram.count == 2
    assert histogram.max == pytest.approx(2e6)


def test_what_is_not_finite_is_passed_over() -> None:
    histogram = LatencyHistogram()
    histogram.record([math.nan, 0.004, math.inf, -math.inf, 0.002])
    assert (histogram.count, histogram.num_negative) == (2, 0)
    assert histogram.mean == pytest.approx(0.003)
    assert histogram.max == pytest.approx(0.004)


@pytest.mark.parametrize("latencies", [[], [math.nan]])
def test_empty(latencies: list[float]) -> None:
    histogram = LatencyHistogram()
    histogram.record(latencies)
    assert histogram.count == 0
    assert all(map(math.isnan, (histogram.max, histogram.mean, histogram.percentile(50))))


@pytest.mark.parametrize("percent", [-1, 100.1, math.nan])
def test_refuses_what_is_no_percentage(percent: float) -> None:
    with pytest.raises(ValueError, match="percent of 0 to 100, got"):
        LatencyHistogram().percentile(percent)
