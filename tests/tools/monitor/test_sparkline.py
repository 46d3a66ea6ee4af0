import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsst.ts.mtmount.tools.monitor.sparkline import ASCII_LEVELS, LEVELS, draw_sparkline

values = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([], ""),
        ([None, None], "  "),
        ([0, 1, 2, 3, 4, 5, 6, 7], LEVELS),
        ([7, None, 0], "█ ▁"),
        ([-1e308, 1e308], "▁█"),
        ([3.5, 3.5, None], "▄▄ "),
        ([0.0, 5e-324], "▄▄"),
    ],
)
def test_drawn(numbers: list[float | None], expected: str) -> None:
    assert draw_sparkline(numbers) == expected


def test_counts_begin_at_zero() -> None:
    assert draw_sparkline([20, 20, 0, None, 10], lowest=0) == "██▁ ▅"
    assert draw_sparkline([0, 0, None], lowest=0) == "▁▁ "


def test_ascii() -> None:
    assert ASCII_LEVELS.isascii()
    assert draw_sparkline(range(8), levels=ASCII_LEVELS) == ASCII_LEVELS


@given(st.lists(st.none() | values, max_size=30))
def test_keeps_the_order_of_the_values(numbers: list[float | None]) -> None:
    line = draw_sparkline(numbers)
    assert len(line) == len(numbers)
    drawn = [
        (number, LEVELS.index(char)) for number, char in zip(numbers, line, strict=True) if number is not None
    ]
    assert [char == " " for char in line] == [number is None for number in numbers]
    levels = [level for _, level in sorted(drawn)]
    assert levels == sorted(levels)
