import base64
import json
import logging
import os
import resource
import select
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lsst.ts.mtmount import DropReason, FrameError
from lsst.ts.mtmount.resilience import DeadLetterFile
from lsst.ts.mtmount.resilience.dead_letter import QUEUE_SIZE

LOG = logging.getLogger("test.dead_letter")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


@contextmanager
def opened(path: Path, **settings: Any) -> Iterator[DeadLetterFile]:
    """Open a file with other bounds."""
    dead_letter = type("Small", (DeadLetterFile,), settings)(path, LOG, clock=lambda: NOW)
    dead_letter.open()
    try:
        yield dead_letter
    finally:
        dead_letter.close()


def wait_written(dead_letter: DeadLetterFile) -> None:
    assert dead_letter._thread.wait_written(60)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def drop(dead_letter: DeadLetterFile, frame: bytes) -> None:
    dead_letter.write(FrameError(DropReason.NOT_JSON, "?"), DropReason.NOT_JSON, frame)


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "dropped"
    with opened(path) as dead_letter:
        error = FrameError(DropReason.BAD_VALUE, 'x is "a"', topic_id=6, field="x", offset=3)
        dead_letter.write(error, error.reason, '{"topicID": 6, "x": "\u2126\n"}'.encode())
        dead_letter.write(FrameError(DropReason.NOT_UTF8, "at 0"), DropReason.NOT_UTF8, b"\xff\x00")
        dead_letter.write(OSError("broken"), DropReason.HANDLER, b"")
        wait_written(dead_letter)
        assert len(read_lines(path)) == dead_letter.num_written == 3
    time = "2026-01-02T03:04:05.000678+00:00"
    assert read_lines(path) == [
        {
            "time": time,
            "reason": "bad value",
            "detail": 'x is "a"',
            "topic_id": 6,
            "field": "x",
            "frame": '{"topicID": 6, "x": "\u2126\n"}',
        },
        {
            "time": time,
            "reason": "not UTF-8",
            "detail": "at 0",
            "frame_base64": base64.b64encode(b"\xff\x00").decode(),
        },
        {"time": time, "reason": "handler failed", "detail": "broken", "frame": ""},
    ]


def test_lone_surrogates_in_details(tmp_path: Path) -> None:
    with opened(tmp_path / "dropped") as dead_letter:
        error = FrameError(DropReason.BAD_VALUE, "\ud800")
        dead_letter.write(error, error.reason, b"")
    (line,) = read_lines(tmp_path / "dropped")
    assert line["detail"] == "\ud800"


def test_files_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "dropped"
    with opened(path, max_file_size=1000, num_kept=2) as dead_letter:
        for number in range(200):
            drop(dead_letter, b"%d" % number)
        wait_written(dead_letter)
        longest = path.stat().st_size
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dropped", "dropped.1", "dropped.2"]
    files = [path, *(tmp_path / f"dropped.{number}" for number in (1, 2))]
    line_length = len(path.read_bytes().splitlines(keepends=True)[0])
    assert all(file.stat().st_size < 1000 + line_length for file in files)
    assert longest > 0
    # The youngest frames are there, none is missing between them.
    numbers = [int(line["frame"]) for file in reversed(files) for line in read_lines(file)]
    assert numbers == list(range(numbers[0], 200))
    assert dead_letter.num_written == 200


def test_goes_on_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "dropped"
    for number in range(2):
        with opened(path) as dead_letter:
            drop(dead_letter, b"%d" % number)
    assert [line["frame"] for line in read_lines(path)] == ["0", "1"]


def test_unfinished_line_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "dropped"
    path.write_bytes(b'{"time": ')
    with opened(path) as dead_letter:
        drop(dead_letter, b"a")
        drop(dead_letter, b"b")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"time": '
    assert [json.loads(line)["frame"] for line in lines[1:]] == ["a", "b"]


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow beyond 300 bytes; nor may pytest's own, so not for the time of a fixture."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_full_disk_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "dropped"
    with small_files(), opened(path) as dead_letter:
        drop(dead_letter, b"good")
        wait_written(dead_letter)
        size = path.stat().st_size
        for _ in range(5):
            drop(dead_letter, b"x" * 300)
        wait_written(dead_letter)
        assert dead_letter.num_written == 1
        assert dead_letter.num_failed == 5
        # As somebody would who makes room.
        path.write_bytes(path.read_bytes()[:size])
        drop(dead_letter, b"good again")
        wait_written(dead_letter)
    messages = [record.getMessage() for record in caplog.records]
    # The first was cut off, the others did not find room for one byte.
    assert len(messages) == 2
    assert all(str(path) in message for message in messages)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    assert [json.loads(line)["frame"] for line in lines] == ["good", "good again"]


@pytest.mark.parametrize("max_file_size", [10, 1000])
@pytest.mark.parametrize("take", [Path.unlink, lambda path: path.rename(path.with_name("moved"))])
def test_file_that_was_taken_away(tmp_path: Path, take: Callable[[Path], object], max_file_size: int) -> None:
    """Deleted to make room on the disk, say, or put aside by logrotate: a new one is begun."""
    path = tmp_path / "dropped"
    with opened(path, max_file_size=max_file_size) as dead_letter:
        drop(dead_letter, b"a")
        wait_written(dead_letter)
        take(path)
        drop(dead_letter, b"b")
    assert [line["frame"] for line in read_lines(path)] == ["b"]
    assert {file.name for file in tmp_path.iterdir()} <= {"dropped", "moved"}


def test_folder_that_was_taken_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "folder" / "dropped"
    path.parent.mkdir()
    with opened(path) as dead_letter:
        path.unlink()
        path.parent.rmdir()
        drop(dead_letter, b"a")
        wait_written(dead_letter)
        path.parent.mkdir()
        drop(dead_letter, b"b")
    assert [line["frame"] for line in read_lines(path)] == ["b"]
    assert f"{path}: cannot keep dropped frames: No such file or directory" in caplog.text
    assert (dead_letter.num_written, dead_letter.num_failed) == (1, 1)


def test_cannot_be_opened(tmp_path: Path) -> None:
    dead_letter = DeadLetterFile(tmp_path / "missing" / "dropped", LOG)
    with pytest.raises(FileNotFoundError):
        dead_letter.open()
    dead_letter.close()


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    link = tmp_path / "link"
    link.symlink_to("volume/dropped")
    with opened(link, max_file_size=10, num_kept=1) as dead_letter:
        for _ in range(3):
            drop(dead_letter, b"a")
    assert link.is_symlink()
    assert sorted(path.name for path in (tmp_path / "volume").iterdir()) == ["dropped", "dropped.1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "volume"]


def test_new_file_keeps_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "dropped"
    path.touch(0o600)
    with opened(path, max_file_size=10) as dead_letter:
        drop(dead_letter, b"a")
        drop(dead_letter, b"b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_names_that_are_taken_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dropped.2")
    with pytest.raises(OSError, match="got a FIFO"):
        DeadLetterFile(tmp_path / "dropped", LOG).open()


def test_file_that_cannot_be_put_aside_stays_bounded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "dropped"
    with opened(path, max_file_size=10, num_kept=1) as dead_letter:
        drop(dead_letter, b"a")
        wait_written(dead_letter)
        (tmp_path / "dropped.1" / "full").mkdir(parents=True)
        drop(dead_letter, b"b")
    assert [line["frame"] for line in read_lines(path)] == ["b"]
    assert "begun anew in place" in caplog.text


def test_what_controls_a_terminal_is_escaped(tmp_path: Path) -> None:
    text = "\x9b2J \u202e\u2066 \x85 \u2028 \x1b \u2126"
    with opened(tmp_path / "dropped") as dead_letter:
        drop(dead_letter, text.encode())
    written = (tmp_path / "dropped").read_text(encoding="utf-8").rstrip("\n")
    assert written.isprintable()
    assert "\u2126" in written
    assert json.loads(written)["frame"] == text


def test_pipe_that_nobody_reads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither writing nor closing waits for it; what is missing is told when it is read again."""
    reader, writer = os.pipe()
    link = tmp_path / "link"
    link.symlink_to(f"/dev/fd/{writer}")
    dead_letter = DeadLetterFile(link, LOG)
    dead_letter.open()
    num_frames = 3 * QUEUE_SIZE >> 20
    for _ in range(num_frames):
        drop(dead_letter, bytes(1 << 20))
    assert dead_letter.num_failed > 0
    assert [record.getMessage() for record in caplog.records] == [
        f"{link}: writing is too slow, or hangs; dropped frames are not kept there"
    ]
    assert select.select([reader], [], [], 20)[0]
    assert not dead_letter.close(0.01)
    # All but the one that is being written.
    assert dead_letter.num_failed == num_frames - 1
    assert "could not be written within 0.01 s" in caplog.text
    assert "more" in caplog.messages[1]
    os.close(writer)
    with os.fdopen(reader) as lines:
        assert json.loads(lines.readline())["frame"]
        last = json.loads(lines.readline())
    assert (last["reason"], last["num_lines"]) == ("not kept", dead_letter.num_failed)
    assert dead_letter.close()
