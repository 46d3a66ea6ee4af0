import math
from itertools import pairwise

import pytest

from lsst.ts.mtmount.tools.simulator.frame_stream import MAX_CHUNK_TICKS
from lsst.ts.mtmount.tools.simulator.tick_pace import MIN_LATENESS, WAKE_INTERVAL, Pace


def run_pace(pace: Pace, delays: list[float]) -> list[tuple[float, int]]:
    """Run a stream without a clock: when it woke up, and how many ticks it sent then.

    Each wake-up is as much too late as ``delays`` tell, in turn.
    """
    elapsed, tick = 0.0, 0
    sent: list[tuple[float, int]] = []
    while not pace.is_over(elapsed, tick):
        elapsed = max(elapsed, pace.next_wake(tick)) + delays[len(sent) % len(delays)]
        num_ticks = pace.count_due(elapsed, tick)
        sent.append((elapsed, num_ticks))
        tick += num_ticks
    return sent


@pytest.mark.parametrize("rate", [1, 3, 7.5, 20])
def test_one_tick_a_wake_up_at_low_rates(rate: float) -> None:
    sent = run_pace(Pace(rate, max_ticks=1000), [0.0])
    assert [num_ticks for _, num_ticks in sent] == [1] * 1000
    assert [elapsed for elapsed, _ in sent] == pytest.approx([k * 0.05 / rate for k in range(1000)])


@pytest.mark.parametrize("rate", [100, 1000, 3000.5])
def test_some_ticks_a_wake_up_at_high_rates(rate: float) -> None:
    sent = run_pace(Pace(rate, max_ticks=5000), [0.0])
    assert sum(num_ticks for _, num_ticks in sent) == 5000
    # The last one, which may have fewer ticks than the others, aside.
    pauses = [after[0] - before[0] for before, after in pairwise(sent[:-1])]
    assert pauses == pytest.approx([WAKE_INTERVAL] * len(pauses), rel=0.3)


@pytest.mark.parametrize("rate", [1, 10, 1000])
def test_delays_do_not_add_up(rate: float) -> None:
    pace = Pace(rate, max_ticks=20 * rate)
    elapsed, _ = run_pace(pace, [0.0, 0.0004, 0.0013])[-1]
    # The last of the ticks of one second is due one tick before its end.
    assert 1 - pace.interval <= elapsed <= 1 - pace.interval + 0.002


def test_a_delay_is_caught_up() -> None:
    sent = run_pace(Pace(1, max_ticks=100), [0.0] * 10 + [0.33] + [0.0] * 1000)
    assert [num_ticks for _, num_ticks in sent] == [1] * 10 + [7] + [1] * 83


@pytest.mark.parametrize("rate", [1, 3, 10, 33, 1000])
@pytest.mark.parametrize("duration", [0.05, 1, 2.5, 15])
def test_duration_is_a_whole_number_of_ticks(rate: float, duration: float) -> None:
    sent = run_pace(Pace(rate, duration), [0.0, 0.0003])
    assert sum(num_ticks for _, num_ticks in sent) == round(duration * rate * 20)


def test_less_than_a_tick() -> None:
    assert Pace(1, duration=0.001).end == 1
    assert Pace(1, duration=0.0501).end == 2


def test_as_fast_as_possible() -> None:
    pace = Pace(math.inf)
    assert pace.next_wake(12345) == 0
    assert pace.count_due(0.1, 12345) == MAX_CHUNK_TICKS
    assert pace.count_late(1e6, 0, 10) == 0
    assert not pace.is_over(1e6, 10**9)


def test_as_fast_as_possible_ends() -> None:
    assert Pace(math.inf, max_ticks=25).count_due(0.1, 20) == 5
    assert Pace(math.inf, max_ticks=25).is_over(0.0, 25)
    assert Pace(math.inf, duration=2.0).is_over(2.0, 7)
    assert not Pace(math.inf, duration=2.0).is_over(1.9, 7)


def test_late_ticks() -> None:
    # Ticks 0, 1, ... are due at 0.00, 0.05, ...; late is more than 0.05 after that.
    pace = Pace(1)
    assert pace.count_late(0.05, 0, 1) == 0
    assert pace.count_late(0.051, 0, 2) == 1
    assert pace.count_late(0.351, 0, 8) == 7
    assert pace.count_late(0.351, 6, 2) == 1
    assert pace.count_late(0.351, 7, 1) == 0
    assert pace.count_late(100.0, 3, 5) == 5


def test_late_ticks_at_high_rates() -> None:
    pace = Pace(1000)
    assert pace.late_after == MIN_LATENESS
    sent = run_pace(Pace(1000, max_ticks=2000), [0.0, 0.0009])
    tick = 0
    for elapsed, num_ticks in sent:
        assert pace.count_late(elapsed, tick, num_ticks) == 0
        tick += num_ticks
