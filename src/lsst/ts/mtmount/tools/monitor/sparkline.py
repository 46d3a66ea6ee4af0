"""Curves of the height of a line."""

from collections.abc import Sequence

__all__ = ["ASCII_LEVELS", "LEVELS", "draw_sparkline"]

#: From the lowest to the highest.
LEVELS = "▁▂▃▄▅▆▇█"

#: For terminals that know no others.
ASCII_LEVELS = "_.,-=+*#"


def draw_sparkline(
    values: Sequence[float | None], *, levels: str = LEVELS, lowest: float | None = None
) -> str:
    """Draw values as a line of characters, one each.

    Values are finite; None leaves a gap. ``levels`` are the characters from the lowest to
    the highest value, ``lowest`` is what the first stands for; by default the smallest value.
    """
    present = [value for value in values if value is not None]
    if not present:
        return " " * len(values)
    bottom = min(present) if lowest is None else lowest
    top = max(present)
    # Halved first: the range of two finite numbers need not be finite.
    half_range = top / 2 - bottom / 2
    if half_range <= 0:
        # Nothing moves: neither high nor low.
        character = levels[len(levels) // 2 - 1] if lowest is None else levels[0]
        return "".join(" " if value is None else character for value in values)
    return "".join(
        " " if value is None else levels[round((value / 2 - bottom / 2) / half_range * (len(levels) - 1))]
        for value in values
    )
