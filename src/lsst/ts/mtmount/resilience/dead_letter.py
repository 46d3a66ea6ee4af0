"""A file of all frames that were dropped."""

import base64
import itertools
import json
import logging
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, ClassVar

from ..core import FrameError
from .escape import describe_error
from .output_file import OutputFile, write_all
from .rate_limited_log import RateLimitedLog
from .writer_thread import WriterThread

__all__ = ["DeadLetterFile"]

#: Upper bound of what waits to be written [bytes].
QUEUE_SIZE = 16 << 20

#: What a line takes in memory besides its frame, about [bytes].
LINE_OVERHEAD = 1000

#: How long `DeadLetterFile.close` waits for what is still to be written [seconds].
CLOSE_TIMEOUT = 1.0


class DeadLetterFile:
    """Keeps dropped frames, one a line, as JSON objects; of bounded size.

    Lines are appended, also to a file that is there already, by a thread of its own: within 0.2 s,
    unless the disk hangs. That lines cannot be written is logged, once for each reason, and ends
    nothing.

    Parameters
    ----------
    path : path-like
        The file. Links are followed; older files are beside the target, with ``.1``, ``.2``, ... at the
        end of the name. A character device or ``/dev/stderr`` is written as it is.

    Attributes
    ----------
    num_written : `int`
        Frames written.

    Notes
    -----
    Members of a line: ``time`` (UTC, ISO 8601), ``reason`` (of `DropReason`,
    ``handler failed``, or ``not kept`` with the number of lines that are missing here in
    ``num_lines``), ``detail`` (text), ``frame`` (text), or
    ``frame_base64`` where that is not UTF-8, and where they are known
    ``topic_id`` and ``field``. A frame that is too long is there with its first
    200 bytes.
    """

    #: A file that has grown to this is put aside, and a new one begun [bytes].
    max_file_size: ClassVar[int] = 16 << 20

    #: Files that were put aside and are kept: ``FILE.1`` is the youngest.
    num_kept: ClassVar[int] = 3

    def __init__(
        self,
        path: str | os.PathLike[str],
        log: logging.Logger,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.num_written = 0
        self._path = path
        self._log = log
        self._limited_log = RateLimitedLog(log, max_lines=1)
        self._clock = clock
        self._num_refused = 0
        self._last_error = ""
        self._output: OutputFile | None = None
        self._file: FileIO | None = None
        self._target = Path()
        self._is_regular = False
        self._size = 0
        # Does the file end with a line that was not finished?
        self._is_torn = False
        self._thread = WriterThread("dead letters", self._write, self._write_dropped, QUEUE_SIZE)

    @property
    def num_failed(self) -> int:
        """Frames that could not be written."""
        return self._num_refused + self._thread.num_dropped

    @classmethod
    def list_files(cls, target: Path) -> list[Path]:
        """Return the file and those that are put aside, the youngest first."""
        numbers = range(1, cls.num_kept + 1)
        return [target, *(target.with_name(f"{target.name}.{number}") for number in numbers)]

    @classmethod
    def check(cls, path: str | os.PathLike[str]) -> OutputFile:
        """Check that a file can be kept there, and put aside without harm to anything else."""
        output = OutputFile(path)
        if output.is_replaceable:
            for kept in cls.list_files(output.target)[1:]:
                if os.path.lexists(kept):
                    OutputFile(kept)
        return output

    def open(self) -> None:
        """Open the file."""
        self._output = self.check(self._path)
        self._open()

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Write what waits, and close the file if it is open.

        Return False if that takes more than the time-out [seconds]: the disk hangs,
        say, and the rest is given up.
        """
        self._limited_log.flush(force=True)
        is_written = self._thread.close(timeout)
        if not is_written:
            num_lines = len(self._thread.give_up())
            self._log.error(
                f"{self._path}: could not be written within {timeout:g} s; at least {num_lines} dropped "
                "frames are not kept there"
            )
        elif self._file is not None:
            self._file.close()
            self._file = None
        return is_written

    def write(self, error: BaseException, reason: str, frame: bytes) -> None:
        """Keep a dropped frame, without its terminator. The file must be open."""
        line: dict[str, Any] = {"time": self._clock().isoformat(), "reason": reason}
        if isinstance(error, FrameError):
            known = {"detail": str(error.detail), "topic_id": error.topic_id, "field": error.field}
            line |= {name: value for name, value in known.items() if value is not None}
        else:
            line["detail"] = describe_error(error)
        size = LINE_OVERHEAD + len(frame) + len(line["detail"])
        if not self._thread.put((line, frame), size):
            self._limited_log.log(
                "Dead letters are late",
                logging.ERROR,
                f"{self._path}: writing is too slow, or hangs; dropped frames are not kept there",
            )

    def _write(self, item: tuple[dict[str, Any], bytes]) -> None:
        line, frame = item
        try:
            line["frame"] = frame.decode()
        except UnicodeDecodeError:
            line["frame_base64"] = base64.b64encode(frame).decode()
        if self._write_line(line):
            self.num_written += 1
        else:
            self._num_refused += 1

    def _write_dropped(self, num_dropped: int) -> None:
        self._write_line({"time": self._clock().isoformat(), "reason": "not kept", "num_lines": num_dropped})

    def _write_line(self, line: dict[str, Any]) -> bool:
        try:
            if self._is_regular:
                self._follow_name()
            if self._is_regular and self._size >= self.max_file_size:
                self._rotate()
            # A line that was not finished must not spoil the next one.
            self._append((("\n" if self._is_torn else "") + _encode(line) + "\n").encode())
        except OSError as failure:
            if str(failure) != self._last_error:
                self._log.error(f"{self._path}: cannot keep dropped frames: {failure.strerror or failure}")
            self._last_error = str(failure)
            return False
        self._last_error = ""
        return True

    def _open(self, mode: int | None = None) -> None:
        assert self._output is not None
        self._file = self._output.open(append=True)
        if mode is not None:
            os.fchmod(self._file.fileno(), mode)
        self._target = self._output.target
        self._is_regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode) and self._file.readable()
        self._is_torn = False
        if self._is_regular:
            self._size = self._file.seek(0, os.SEEK_END)
            self._is_torn = self._size > 0 and os.pread(self._file.fileno(), 1, self._size - 1) != b"\n"

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        if not self._is_regular:
            write_all(self._file.fileno(), data)
            return
        num_bytes = self._file.write(data)
        self._size += num_bytes
        self._is_torn = num_bytes < len(data)
        if self._is_torn:
            raise OSError("a line could not be finished")

    def _follow_name(self) -> None:
        """Begin a new file if somebody has deleted this one, or put it aside; look how long it is."""
        assert self._file is not None
        info = os.fstat(self._file.fileno())
        try:
            if os.path.samestat(self._target.stat(), info):
                self._size = info.st_size
                return
        except FileNotFoundError:
            pass
        old = self._file
        self._open(mode=stat.S_IMODE(info.st_mode))
        old.close()

    def _rotate(self) -> None:
        """Put the file aside, and begin a new one."""
        full = self._file
        assert full is not None
        names = self.list_files(self._target)
        try:
            for younger, older in reversed(list(itertools.pairwise(names))):
                if younger.exists():
                    younger.replace(older)
        except OSError as error:
            # In a folder that cannot be written; the bound holds all the same.
            self._log.warning(
                f"{self._path}: begun anew in place, as it cannot be put aside: {error.strerror}"
            )
            full.truncate(0)
            self._size = 0
            return
        self._open(mode=stat.S_IMODE(os.fstat(full.fileno()).st_mode))
        full.close()


def _encode(line: dict[str, Any]) -> str:
    r"""Return readable JSON, with ``\u001b``, ``\u202e``, ... for what would control a terminal."""
    text = json.dumps(line, ensure_ascii=False, default=str)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
