"""Each option of each program against what it cannot use: status 2, and one line that names the option."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lsst.ts.mtmount.commands import adopt, compare_interfaces, demo, mock_tma, monitor, record_tma, stress
from lsst.ts.mtmount.program import client_arguments

#: Names of files and folders that are no good; see `folder_of_wrongs`.
WRONG_FILES = (
    "",
    "fifo",
    "socket",
    "folder",
    "folder/",
    "loop",
    "to_fifo",
    "dangling",
    "missing/x",
    "file/x",
)
WRONG_FOLDERS = ("", "fifo", "socket", "file", "file/x", "loop", "x" * 300)
WRONG_INPUTS = ("fifo", "socket", "folder", "loop", "missing", "x" * 300, "\x1b[31m")
WRONG_SECONDS = ("", "0", "-1", "nan", "inf", "1e400", "1_0", " 1", "\u0663", "1s", "9" * 5000 + "x")
WRONG_PORTS = ("", "0", "-1", "65536", "1.5", "0x10", " 5", "\u0663", "9" * 5000)
WRONG_HOSTS = ("", " ", "a b", "a..b", "x" * 64, "\x1b[2J", "\udcff")

TMA = ("--host=127.0.0.1",)
KAFKA_OUTPUT = ("--output=out",)

#: Program; its other arguments; option; values that it cannot use.
CASES: list[tuple[str, tuple[str, ...], str, tuple[str, ...]]] = [
    *(("client", TMA, option, WRONG_FILES) for option in ("--report", "--dead-letter", "--pid-file")),
    ("client", TMA, "--record", WRONG_FOLDERS),
    ("client", TMA, "--tma-interface", WRONG_INPUTS),
    ("client", TMA, "--port", WRONG_PORTS),
    ("client", (), "--host", WRONG_HOSTS),
    ("client", (*TMA, "--report=r"), "--report-interval", WRONG_SECONDS),
    ("client", (*TMA, "--record=r"), "--record-limit", WRONG_SECONDS),
    ("client", TMA, "--wait-for-kafka", ("", "-1", "nan", "x", "1_0")),
    ("client", TMA, "--loglevel", ("", "LOUD", "-1", "1e3", "9" * 30)),
    ("client", TMA, "--metrics-port", WRONG_PORTS[2:]),
    ("client", (*TMA, "--metrics-port=0"), "--metrics-host", WRONG_HOSTS),
    ("client", TMA, "--sal-backend", ("", "x")),
    *(("mock_tma", (), option, WRONG_FILES) for option in ("--report", "--record")),
    *((program, (), "--replay", ("", *WRONG_INPUTS)) for program in ("mock_tma", "stress")),
    ("mock_tma", (), "--tma-interface", WRONG_INPUTS),
    ("mock_tma", (), "--port", WRONG_PORTS[2:]),
    ("mock_tma", (), "--host", WRONG_HOSTS),
    ("mock_tma", (), "--rate", WRONG_SECONDS),
    ("mock_tma", (), "--duration", WRONG_SECONDS),
    ("mock_tma", ("--duration=1",), "--wait", WRONG_SECONDS),
    ("mock_tma", (), "--seed", ("", "-1", "1.5", "9" * 5000)),
    ("mock_tma", ("--replay=file",), "--from", ("", "x", "9999-99-99")),
    ("record_tma", TMA, "--output", WRONG_FOLDERS),
    ("record_tma", (*TMA, *KAFKA_OUTPUT), "--port", WRONG_PORTS),
    ("record_tma", KAFKA_OUTPUT, "--host", WRONG_HOSTS),
    ("record_tma", (*TMA, *KAFKA_OUTPUT), "--duration", WRONG_SECONDS),
    ("record_tma", (*TMA, *KAFKA_OUTPUT), "--record-limit", WRONG_SECONDS),
    ("stress", (), "--output", WRONG_FOLDERS),
    ("stress", (), "--rate", ("", "0", "1,,2", "nan")),
    ("stress", (), "--duration", WRONG_SECONDS),
    ("stress", (), "--interval", WRONG_SECONDS),
    ("stress", (), "--client-command", ("", "'")),
    ("stress", (), "--tma-interface", WRONG_INPUTS),
    ("demo", (), "--rate", ("", "0", "max", "nan")),
    ("demo", (), "--duration", WRONG_SECONDS),
    ("demo", (), "--web", WRONG_PORTS),
    ("monitor", (), "--duration", ("", "-1", "nan", "inf", "x", "1_0")),
    ("monitor", (), "--skip", ("", "-1", "1.5", "\u00b2", "9" * 5000)),
    ("monitor", (), "--fields", ("", "x", ".")),
    ("monitor", (), "--web", WRONG_PORTS),
    ("monitor", (), "--tma-interface", WRONG_INPUTS),
    ("compare", ("tma:packaged",), "--export", WRONG_FILES),
    ("compare", ("tma:packaged", "sal:packaged"), "--duration", WRONG_SECONDS),
    ("adopt", (), "DIR", WRONG_FOLDERS),
]


def run_with_argv(main: Callable[[], object]) -> Callable[[list[str]], object]:
    def run(arguments: list[str]) -> object:
        sys.argv = ["prog", *arguments]
        return main()

    return run


MAINS: dict[str, Callable[[list[str]], object]] = {
    "client": run_with_argv(client_arguments.parse_arguments),
    "mock_tma": mock_tma.main,
    "record_tma": record_tma.main,
    "stress": stress.main,
    "demo": demo.main,
    "monitor": monitor.main,
    "compare": compare_interfaces.main,
    "adopt": run_with_argv(adopt.main),
}


@pytest.fixture
def folder_of_wrongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with what files and folders are not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    os.mkfifo("fifo")
    Path("folder").mkdir()
    Path("file").write_text("x")
    Path("loop").symlink_to("loop")
    Path("to_fifo").symlink_to("fifo")
    Path("dangling").symlink_to("nowhere/x")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        yield tmp_path


@pytest.mark.parametrize(("program", "others", "option", "values"), CASES, ids=lambda case: str(case)[:40])
def test_wrong_values(
    folder_of_wrongs: Path,
    capsys: pytest.CaptureFixture[str],
    program: str,
    others: tuple[str, ...],
    option: str,
    values: tuple[str, ...],
) -> None:
    before = sorted(path.name for path in folder_of_wrongs.iterdir())
    for value in values:
        argument = value if option == "DIR" else f"{option}={value}"
        with pytest.raises(SystemExit) as caught:
            MAINS[program]([*others, argument])
        output, errors = capsys.readouterr()
        assert (caught.value.code, output) == (2, ""), value
        (line,) = (line for line in errors.splitlines() if not line.startswith(("usage: ", " ")))
        # Options with a short form are named with it.
        assert f"{option}: " in line, line
        assert line.isprintable()
        assert len(line) < 1200
    assert sorted(path.name for path in folder_of_wrongs.iterdir()) == before
