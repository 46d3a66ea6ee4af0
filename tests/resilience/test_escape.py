"""What comes from outside is shown, not obeyed."""

import socket

import pytest
from confluent_kafka import KafkaError, KafkaException

from lsst.ts.mtmount.resilience.escape import describe_error, escape
from lsst.ts.mtmount.sal import SettingsError


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


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(2, "No such file or directory", "/a\n"), r"/a\n: No such file or directory"),
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "Connection refused"),
        (
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), "
                "[Errno 111] Connect call failed ('127.0.0.1', 1)"
            ),
            "Connection refused",
        ),
        (
            OSError(98, "error while attempting to bind on address ('::1', 1)"),
            "Address already in use",
        ),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ConnectionError("the TMA closed the connection"), "the TMA closed the connection"),
        (TimeoutError(), "TimeoutError"),
        (KafkaException(KafkaError(-195, "no broker")), "no broker"),
        (SettingsError("LSST_TOPIC_SUBNAME is not set"), "LSST_TOPIC_SUBNAME is not set"),
        (KeyError("speed"), "KeyError: 'speed'"),
        (ValueError("two\nlines"), r"ValueError: two\nlines"),
    ],
)
def test_describe_error(error: Exception, text: str) -> None:
    assert describe_error(error) == text
