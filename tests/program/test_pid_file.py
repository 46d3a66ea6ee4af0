"""A file with the process ID, which harms nothing that is there."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lsst.ts.mtmount.program.pid_file import PidFile
from lsst.ts.mtmount.resilience.output_file import OutputFile


def make_ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(60)
    return process.pid


def test_is_there_while_the_program_runs(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    pid_file = PidFile(OutputFile(path))
    assert not path.exists()
    with pid_file:
        assert path.read_text() == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "own", "ended", "0", "99999999999"])
def test_what_an_ended_program_has_left_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pid"
    path.write_text({"own": f"{os.getpid()}\n", "ended": f"{make_ended_pid()}\n"}.get(text, text))
    with PidFile(OutputFile(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{os.getppid()}\n", "still runs"),
        ("linger.ms: 2\n", "expected a process ID in it, got 'linger"),
    ],
)
def test_anything_else_is_left_alone(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "pid"
    path.write_text(text)
    with pytest.raises(OSError, match=expected):
        PidFile(OutputFile(path))
    assert path.read_text() == text


def test_device_is_refused() -> None:
    with pytest.raises(OSError, match="expected a regular file"):
        PidFile(OutputFile("/dev/null"))


def test_file_that_another_program_has_taken_over_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with PidFile(OutputFile(path)):
        path.write_text("1\n")
    assert path.read_text() == "1\n"


@pytest.mark.parametrize("what", ["a folder", "a FIFO", "no folder"])
def test_what_happens_to_its_folder_changes_no_end(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "folder" / "pid"
    path.parent.mkdir()
    with PidFile(OutputFile(path)):
        path.unlink()
        if what == "a folder":
            path.mkdir()
        elif what == "a FIFO":
            os.mkfifo(path)
        else:
            path.parent.rmdir()
            path.parent.touch()
    assert f"{path}: cannot be removed: " in caplog.text


def test_file_system_that_hangs_stops_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = threading.Event()
    monkeypatch.setattr("lsst.ts.mtmount.program.pid_file.REMOVE_TIMEOUT", 0.01)
    with PidFile(OutputFile(tmp_path / "pid")):
        monkeypatch.setattr("lsst.ts.mtmount.program.pid_file.read_file", lambda *_: answers.wait(60) and b"")
    answers.set()
    assert "could not be removed within 0.01 s" in caplog.text


RACE = """
import os, sys
from lsst.ts.mtmount.program.pid_file import OutputFile, PidFile

PROGRAMS = 8
start, begin = os.pipe()
end, finish = os.pipe()
results, tell = os.pipe()
for _ in range(PROGRAMS):
    if os.fork() == 0:
        os.close(finish)
        pid_file = PidFile(OutputFile(sys.argv[1]))
        os.write(tell, b"?")
        os.read(start, 1)
        try:
            pid_file.__enter__()
        except OSError as error:
            assert "still runs: '--pid-file" in str(error), error
            os.write(tell, b"-")
        else:
            os.write(tell, b"+")
        os.read(end, 1)
        os._exit(0)
os.close(tell)
for _ in range(PROGRAMS):
    assert os.read(results, 1) == b"?"
os.write(begin, PROGRAMS * b"!")
print("".join(sorted(os.read(results, 1).decode() for _ in range(PROGRAMS))))
"""


def test_of_programs_that_start_at_once_one_gets_the_file(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    result = subprocess.run(
        [sys.executable, "-c", RACE, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.stdout, result.stderr) == ("+-------\n", "")
    assert path.read_text().strip().isdecimal()


def test_full_disk_names_option_and_file(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = f"""
import resource, signal
from lsst.ts.mtmount.program.pid_file import OutputFile, PidFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
with PidFile(OutputFile({str(path)!r})):
    pass
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stderr.endswith(f"File too large: '--pid-file {path}'\n")
    assert list(tmp_path.iterdir()) == []


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("pid")
    with PidFile(OutputFile(tmp_path / "link")):
        assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "pid").exists()
