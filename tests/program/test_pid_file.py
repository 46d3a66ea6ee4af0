"""A file with the process ID, which harms nothing that is there."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from io import FileIO
from pathlib import Path

import pytest

from lsst.ts.mtmount.program.pid_file import FLOCK, PidFile
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


@pytest.mark.parametrize("text", ["", "own", "ended", "running", "1\n", "0", "99999999999"])
def test_what_an_ended_program_has_left_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pid"
    # Another process has got the ID of one that has ended.
    pids = {"own": os.getpid(), "ended": make_ended_pid(), "running": os.getppid()}
    path.write_text(f"{pids[text]}\n" if text in pids else text)
    pid_file = PidFile(OutputFile(path))
    pid_file.check_free()
    with pid_file:
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_anything_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("linger.ms: 2\n")
    with pytest.raises(OSError, match="expected a process ID in it, got 'linger"):
        PidFile(OutputFile(path))
    assert path.read_text() == "linger.ms: 2\n"


HOLDER = """
import sys
from lsst.ts.mtmount.program.pid_file import OutputFile, PidFile
with PidFile(OutputFile(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_file_of_a_running_program_is_refused_until_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            pid_file = PidFile(OutputFile(path))
            reason = f"held by a running process, process ID in it: {holder.pid}: "
            with pytest.raises(OSError, match=f"{reason}'{path}'"):
                pid_file.check_free()
            with pytest.raises(OSError, match=f"{reason}'--pid-file {path}'"):
                pid_file.__enter__()
            assert path.read_text() == f"{holder.pid}\n"
        finally:
            holder.kill()
    pid_file.check_free()
    with pid_file:
        assert path.read_text() == f"{os.getpid()}\n"


def test_locks_of_others_hold_nothing_up(tmp_path: Path) -> None:
    """Whoever may read a folder or a file can lock it."""
    path = tmp_path / "pid"
    path.write_text("1\n")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with path.open() as other, PidFile(OutputFile(path)):
            fcntl.flock(other, fcntl.LOCK_EX)
            assert path.read_text() == f"{os.getpid()}\n"
    finally:
        os.close(folder)
    path.write_text("1\n")
    with path.open() as reader:
        lock = fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0
        fcntl.fcntl(reader, fcntl.F_OFD_SETLK, FLOCK.pack(*lock))
        pid_file = PidFile(OutputFile(path))
        pid_file.check_free()
        with pid_file:
            assert path.read_text() == f"{os.getpid()}\n"


FORKING = """
import os, signal, sys, time
from pathlib import Path
from lsst.ts.mtmount.program.pid_file import PidFile
from lsst.ts.mtmount.resilience.output_file import OutputFile

with PidFile(OutputFile(Path(sys.argv[1]))):
    if os.fork():
        os.kill(os.getpid(), signal.SIGKILL)
    print("parted", flush=True)
    sys.stdin.read()
print("left", flush=True)
"""


def test_forked_child_does_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == "parted\n"
        assert parent.wait() == -signal.SIGKILL
        with PidFile(OutputFile(path)):
            parent.stdin.close()
            assert parent.stdout.readline() == "left\n"
            # It does not remove it either.
            assert path.read_text() == f"{os.getpid()}\n"


def test_file_that_a_program_removes_at_its_end_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pid"
    path.write_text("1\n")
    set_lock = fcntl.fcntl
    removed: list[Path] = []

    def remove_first(file: FileIO, command: int, lock: bytes) -> bytes:
        if not removed:
            path.unlink()
            removed.append(path)
        answer = set_lock(file, command, lock)
        assert isinstance(answer, bytes)
        return answer

    monkeypatch.setattr("lsst.ts.mtmount.program.pid_file.fcntl.fcntl", remove_first)
    with PidFile(OutputFile(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert removed == [path]


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
            assert "held by a running process, " in str(error), error
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
