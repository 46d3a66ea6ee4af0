import itertools

import pytest

from lsst.ts.mtmount.resilience import Backoff


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(0.5, 3.0, pick=lambda: 0.0)
    assert [backoff.next_delay() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next_delay() == 0.5


def test_jitter_cuts_delays_short() -> None:
    picks = itertools.cycle([1.0, 0.5])
    backoff = Backoff(1.0, 8.0, jitter=0.5, pick=lambda: next(picks))
    assert [backoff.next_delay() for _ in range(4)] == [0.5, 1.5, 2.0, 6.0]


def test_two_do_not_go_in_step() -> None:
    first, second = Backoff(1.0, 1.0), Backoff(1.0, 1.0)
    delays = [(first.next_delay(), second.next_delay()) for _ in range(20)]
    assert any(one != other for one, other in delays)
    assert all(0.5 <= delay <= 1.0 for pair in delays for delay in pair)


@pytest.mark.parametrize("arguments", [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0)])
def test_delays_in_range(arguments: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="first="):
        Backoff(*arguments)


@pytest.mark.parametrize("jitter", [-0.1, 1.1])
def test_jitter_in_range(jitter: float) -> None:
    with pytest.raises(ValueError, match="jitter of 0 to 1, got"):
        Backoff(jitter=jitter)
