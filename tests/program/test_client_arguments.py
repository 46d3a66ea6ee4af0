"""Usage errors of the telemetry client: status 2, and the name of the culprit."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.program.client_arguments import make_parser, parse_arguments
from lsst.ts.mtmount.program.client_program import _choose_options

HOST = "--host=127.0.0.1"


def parse(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    return parse_arguments()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "required: --host"),
        (["--host="], "argument --host: expected a host name"),
        ([HOST, "--port=99999"], "argument --port: expected a port from 1 to 65535, got '99999'"),
        ([HOST, "--loglevel=LOUD"], "argument --loglevel: expected a number"),
        (
            [HOST, "--report=r", "--report-interval=0"],
            "argument --report-interval: expected a number",
        ),
        ([HOST, "--report-interval=1"], "argument --report-interval: expected --report beside it"),
        ([HOST, "--metrics-host=::1"], "argument --metrics-host: expected --metrics-port beside it"),
        ([HOST, "--wait-for-kafka=-1"], "argument --wait-for-kafka: expected a number of seconds from 0"),
        ([HOST, "--wait-for-kafka=nan"], "argument --wait-for-kafka: expected a number of seconds from 0"),
        ([HOST, "--report=missing/r"], "argument --report: missing/r: No such file or directory"),
        ([HOST, "--dead-letter=fifo"], "argument --dead-letter: fifo: expected a file, got a FIFO"),
        ([HOST, "--dead-letter=taken"], "argument --dead-letter: taken: expected a file, got a folder"),
        ([HOST, "--pid-file=."], "argument --pid-file: .: expected a file, got a folder"),
        ([HOST, "--report=a", "--dead-letter=a"], "expected two files for --report and --dead-letter"),
        ([HOST, "--report=a", "--pid-file=./a"], "expected two files for --report and --pid-file"),
        (
            [HOST, "--report=a.2", "--dead-letter=a"],
            "argument --report: expected none of the files of --dead-letter, got a.2",
        ),
    ],
)
def test_usage_errors(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    Path("taken.1").mkdir()
    with pytest.raises(SystemExit) as info:
        parse(monkeypatch, *arguments)
    assert info.value.code == 2
    assert expected in capsys.readouterr().err


def test_files_are_not_made_by_checking_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parse(monkeypatch, HOST, "--report=a", "--dead-letter=b", "--pid-file=c", "--report-interval=1")
    assert list(tmp_path.iterdir()) == []


def test_which_needs_no_host_and_may_be_asked_while_a_client_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pid").write_text(f"{os.getppid()}\n")
    parse(monkeypatch, "--which", f"--pid-file={tmp_path / 'pid'}")


def test_every_option_of_the_class_reaches_it() -> None:
    destinations = {action.dest for action in make_parser()._actions}
    given = argparse.Namespace(**dict.fromkeys(destinations, SimpleNamespace(path="given")))
    keywords = set(inspect.signature(TelemetryClient).parameters)
    assert set(_choose_options(given)) == (destinations & keywords) - {"host", "port"}
