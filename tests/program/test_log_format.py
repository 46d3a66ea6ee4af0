"""Log lines as those of others, in which nothing controls a terminal or forges a line."""

import logging
import sys

from lsst.ts.mtmount.program.log_format import LogFormatter


def make_record(message: str) -> logging.LogRecord:
    record = logging.LogRecord("MTMount.Kafka", logging.WARNING, "x.py", 1, message, (), None)
    record.created, record.msecs = 1_764_114_301.0625, 62.5
    return record


def test_line() -> None:
    assert (
        LogFormatter().format(make_record("text")) == "2025-11-25T23:45:01.062Z WARNING MTMount.Kafka: text"
    )


def test_what_controls_a_terminal_is_escaped() -> None:
    text = LogFormatter().format(make_record("\x1b[2J\n2026-01-01T00:00:00.000Z ERROR forged: \x9b\u202e"))
    assert text.isprintable()
    assert text.endswith(r"\x1b[2J\n2026-01-01T00:00:00.000Z ERROR forged: \x9b\u202e")


def test_lines_of_a_traceback_are_indented() -> None:
    record = make_record("text")
    try:
        raise ValueError("one\n2026 forged\x1b")
    except ValueError:
        record.exc_info = sys.exc_info()
    lines = LogFormatter().format(record).split("\n")
    assert lines[0].endswith("WARNING MTMount.Kafka: text")
    assert all(line.startswith("    ") and line.isprintable() for line in lines[1:])
    assert lines[-2:] == ["    ValueError: one", r"    2026 forged\x1b"]
