"""What comes from outside is shown, not obeyed."""

import pytest

from lsst.ts.mtmount.resilience.escape import escape


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain text, \N{DEGREE SIGN} and \N{SNOWMAN} \\", "plain text, \N{DEGREE SIGN} and \N{SNOWMAN} \\"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("two\r\nlines\x85and\u2028more\u2029", r"two\r\nlines\x85and\u2028more\u2029"),
        ("\u202eleft\u2066right\u200f", r"\u202eleft\u2066right\u200f"),
        ("tab\tdel\x7fnul\0", r"tab\tdel\x7fnul\x00"),
        ("\udce9 of a file name, \U000e0001", r"\udce9 of a file name, \U000e0001"),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    assert escape(text) == escaped
    assert escape(escaped) == escaped


def test_no_character_is_obeyed() -> None:
    for code in range(0x110000):
        assert escape(chr(code)).isprintable()


def test_long_text_is_cut() -> None:
    assert escape("9" * 4200, 10) == "9" * 10 + "..."
    assert escape("\x1b" * 3, 2) == r"\x1b\x1b..."
    assert escape("short", 5) == "short"
