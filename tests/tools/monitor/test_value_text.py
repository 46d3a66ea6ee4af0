import math
from typing import Any

import pytest

from lsst.ts.mtmount.tools.monitor.value_text import format_value, format_values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, "1"),
        (True, "True"),
        (2.5, "2.5"),
        (-123.456789012, "-123.4568"),
        (1795491661.9631171, "1795491661.963"),
        (1e300, "1e+300"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        ([3.0, 1.0, 2.25], "1 to 3"),
        ([1, math.nan], "[1, nan]"),
        ([], "[]"),
        ("on", "'on'"),
        ("\x1b[2J", r"'\x1b[2J'"),
        (b"\x00", r"b'\x00'"),
        ("\u202e\u0085", r"'\u202e\x85'"),
        ("a" * 300, "'" + "a" * 199 + "..."),
    ],
)
def test_values(value: Any, expected: str) -> None:
    assert format_value(value) == expected


def test_values_of_an_event() -> None:
    assert format_values({"connected": False, "name": "\x1b[2J"}) == r"connected=False name='\x1b[2J'"
