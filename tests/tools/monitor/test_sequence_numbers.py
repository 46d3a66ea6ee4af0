from collections.abc import Iterable

import pytest

from lsst.ts.mtmount.tools.monitor.sequence_numbers import MAX_SEQ_NUM, SequenceNumbers

#: Numbers of two publishers, and by how much those of the second one are ahead.
OFFSETS = (-5000, -2, -1, 0, 1, 2, 5000)


def follow(numbers: Iterable[int]) -> tuple[int, bool]:
    """Follow records with stamps of their own; return what was lost, and whether two publishers were seen."""
    return follow_records((number, float(stamp)) for stamp, number in enumerate(numbers))


def follow_records(records: Iterable[tuple[int, float]]) -> tuple[int, bool]:
    """Follow records with these numbers and stamps."""
    numbers, is_shared = SequenceNumbers(), False
    for number, stamp in records:
        numbers.take(1, number, stamp)
        is_shared |= numbers.is_shared
    return numbers.num_lost, is_shared


@pytest.mark.parametrize(
    ("numbers", "num_lost"),
    [
        ([5, 6, 7], 0),
        ([5, 8, 9], 2),
        # Twice, or out of order.
        ([5, 5, 6], 0),
        ([5, 7, 6, 7, 8], 1),
        ([MAX_SEQ_NUM, 1, 2], 0),
        ([MAX_SEQ_NUM - 1, 2], 2),
    ],
)
def test_lost_records(numbers: list[int], num_lost: int) -> None:
    assert follow(numbers) == (num_lost, False)


def test_another_origin_has_numbers_of_its_own() -> None:
    numbers = SequenceNumbers()
    for origin, seq_num in ((1, 900), (2, 1), (2, 2), (1, 901)):
        numbers.take(origin, seq_num, 0.0)
    assert (numbers.num_lost, numbers.is_shared) == (0, False)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("batch", [1, 3])
def test_two_publishers_of_one_origin(offset: int, batch: int) -> None:
    numbers = []
    for begin in range(10_000, 10_060, batch):
        numbers += [*range(begin, begin + batch), *range(begin + offset, begin + offset + batch)]
    assert follow(numbers) == (0, True)


def test_three_publishers_of_one_origin() -> None:
    assert follow(first + number for number in range(10) for first in (1, 100, 1000)) == (0, True)


def test_what_was_lost_before_a_second_publisher_came_stays() -> None:
    alone = [*range(1, 50), *range(53, 100)]
    both = [first + number for number in range(10) for first in (9000, 100)]
    assert follow([*alone, *both]) == (3, True)
    # One of them is alone again, and loses.
    assert follow([*alone, *both, *range(9010, 9050), 9055]) == (8, True)


def test_a_client_that_starts_anew_is_one_publisher() -> None:
    ends = [900, 30, *[3] * 10, 500]
    assert follow(number for end in ends for number in range(1, end)) == (0, False)


def test_records_that_were_sent_again_are_of_one_publisher() -> None:
    # Batches that overtake each other, as after an error of the broker.
    batches = [(number, number + 1, number + 2) for number in range(1, 40, 3)]
    order = [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]
    assert not follow(number for place in order for number in batches[place])[1]
    # Each record comes once more, behind the next ones.
    for delay in (1, 2, 50):
        numbers = [number for last in range(1, 200) for number in (last, last - delay)]
        assert follow_records((number, float(number)) for number in numbers if number > 0) == (0, False)
