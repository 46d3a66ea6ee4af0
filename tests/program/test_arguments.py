"""Each argument is checked before anything starts."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lsst.ts.mtmount import __version__
from lsst.ts.mtmount.program.arguments import (
    ArgumentParser,
    check_distinct,
    parse_host,
    parse_log_level,
    parse_output_file,
    parse_output_folder,
    parse_port,
    parse_seconds,
    parse_server_port,
)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_port, "1", 1),
        (parse_port, "65535", 65535),
        (parse_server_port, "0", 0),
        (parse_host, "tma.example.org", "tma.example.org"),
        (parse_host, "::1", "::1"),
        (parse_seconds, "0.5", 0.5),
        (parse_log_level, "0", logging.NOTSET),
        (parse_log_level, "15", 15),
        (parse_log_level, "debug", logging.DEBUG),
        (parse_log_level, "WARN", logging.WARNING),
    ],
)
def test_good_values(parse: Callable[[str], Any], text: str, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "texts", "expected"),
    [
        (parse_port, ["0", "99999", "-1", "x", ""], "expected a port from 1 to 65535, got"),
        (parse_server_port, ["65536", "-1"], "expected a port from 1 to 65535, or 0"),
        (parse_host, ["", " ", "a b", "a\x1b", "a..b", "x" * 64], "expected a host name or IP address, got"),
        (parse_seconds, ["0", "-1", "nan", "inf", "1s"], "expected a number of seconds above 0, got"),
        (parse_log_level, ["-1", "LOUD", str(2**31)], "or one of CRITICAL"),
    ],
)
def test_bad_values(parse: Callable[[str], Any], texts: list[str], expected: str) -> None:
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError, match=expected) as info:
            parse(text)
        assert repr(text) in str(info.value)


def test_errors_of_files_name_option_and_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "fifo")
    parser = ArgumentParser("prog", description=None)
    parser.add_argument("--report", type=parse_output_file)
    parser.add_argument("--output", type=parse_output_folder)
    for option, path, reason in [
        ("--report", tmp_path / "missing" / "x", "No such file or directory"),
        ("--report", tmp_path / "fifo", "expected a file, got a FIFO"),
        ("--output", tmp_path / "fifo", "expected a folder, got a file"),
    ]:
        with pytest.raises(SystemExit) as info:
            parser.parse_args([option, str(path)])
        assert info.value.code == 2
        assert f"prog: error: argument {option}: {path}: {reason}" in capsys.readouterr().err


def test_two_options_for_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link").symlink_to("a")
    report, letters = parse_output_file(str(tmp_path / "a")), parse_output_file(str(tmp_path / "link"))
    parser = ArgumentParser("prog", description=None)
    check_distinct(parser, {"--report": report, "--record": None})
    with pytest.raises(SystemExit):
        check_distinct(parser, {"--report": report, "--dead-letter": letters})
    assert "expected two files for --report and --dead-letter" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        ArgumentParser("prog", description=None).parse_args(["--version"])
    assert info.value.code == 0
    assert capsys.readouterr().out == f"prog {__version__}\n"


def test_errors_do_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ArgumentParser("prog", description=None).parse_args(["\x1b[2J\u202e"])
    assert r"\x1b[2J\u202e" in capsys.readouterr().err


def test_a_file_system_that_hangs_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.program.arguments.SLOW_PARSING", 0.01)
    told = threading.Event()

    class Stderr(io.StringIO):
        def flush(self) -> None:
            told.set()

    monkeypatch.setattr(sys, "stderr", stderr := Stderr())
    parser = ArgumentParser("program", description=None)
    parser.add_argument("--file", type=lambda text: told.wait(60))
    assert parser.parse_args(["--file=x"]).file
    assert (
        "program: the arguments are not checked after 0.01 s; does a file system hang?" in stderr.getvalue()
    )
