"""A file of all frames that were dropped."""

import base64
import itertools
import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

from ..core import FrameError

__all__ = ["DeadLetterFile"]

#: A file that has grown to this is put aside, and a new one begun [bytes].
MAX_FILE_SIZE = 16 << 20

#: Files that were put aside and are kept: ``FILE.1`` is the youngest.
NUM_KEPT = 3


class DeadLetterFile:
    """Keeps dropped frames, one a line, as JSON objects; of bounded size.

    Lines are appended, also to a file that is there already. That a line cannot
    be written is logged, once for each reason, and ends nothing.

    Parameters
    ----------
    path : `pathlib.Path`
        The file. Older ones are beside it, with ``.1``, ``.2``, ... at the end
        of the name.
    log : `logging.Logger`
        Where to log.
    max_file_size : `int`
        Size from which on a new file is begun [bytes]. Together the files take
        up to ``num_kept + 1`` times this, and one line more.
    num_kept : `int`
        How many older files are kept; 1 or more.
    clock : callable
        Returns the current time.

    Attributes
    ----------
    num_written : `int`
        Lines written.
    num_failed : `int`
        Lines that could not be written.

    Raises
    ------
    ValueError
        If a bound is less than 1.

    Notes
    -----
    Members of a line: ``time`` (UTC, ISO 8601), ``reason`` (of `DropReason`, or
    ``handler failed``), ``detail`` (text), ``frame`` (text), or
    ``frame_base64`` where that is no UTF-8, and where they are known
    ``topic_id`` and ``field``. A frame that is too long is there with its first
    200 bytes.
    """

    def __init__(
        self,
        path: Path,
        log: logging.Logger,
        *,
        max_file_size: int = MAX_FILE_SIZE,
        num_kept: int = NUM_KEPT,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if max_file_size < 1 or num_kept < 1:
            raise ValueError(f"max_file_size={max_file_size} and num_kept={num_kept} must be 1 or more")
        self.num_written = 0
        self.num_failed = 0
        self._path = path
        self._log = log
        self._max_file_size = max_file_size
        self._num_kept = num_kept
        self._clock = clock
        self._last_error = ""
        self._file: FileIO | None = None
        self._size = 0
        # Does the file end with a line that was not finished?
        self._is_torn = False

    def open(self) -> None:
        """Open the file.

        Raises
        ------
        OSError
            If it cannot be opened.
        """
        # Unbuffered: what was dropped is there also if the program is killed.
        self._file = self._path.open("a+b", buffering=0)
        self._size = self._file.seek(0, os.SEEK_END)
        self._is_torn = False
        if self._size:
            self._file.seek(-1, os.SEEK_END)
            self._is_torn = self._file.read(1) != b"\n"

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, error: BaseException, reason: str, frame: bytes) -> None:
        """Keep a dropped frame. The file must be open.

        Parameters
        ----------
        error : `BaseException`
            Why it was dropped.
        reason : `str`
            The same in one word or two.
        frame : `bytes`
            The frame, without its terminator.
        """
        line = json.dumps(self._describe(error, reason, frame), ensure_ascii=False).encode(
            errors="backslashreplace"
        )
        try:
            if self._size >= self._max_file_size:
                self._rotate()
            # A line that was not finished must not spoil the next one.
            self._append((b"\n" if self._is_torn else b"") + line + b"\n")
        except OSError as failure:
            self.num_failed += 1
            if str(failure) != self._last_error:
                self._log.error(f"Cannot keep dropped frames in {self._path}: {failure}")
            self._last_error = str(failure)
        else:
            self.num_written += 1
            self._last_error = ""

    def _describe(self, error: BaseException, reason: str, frame: bytes) -> dict[str, Any]:
        line: dict[str, Any] = {"time": self._clock().isoformat(), "reason": reason}
        if isinstance(error, FrameError):
            known = {"detail": error.detail, "topic_id": error.topic_id, "field": error.field}
            line |= {name: value for name, value in known.items() if value is not None}
        else:
            line["detail"] = repr(error)
        try:
            line["frame"] = frame.decode()
        except UnicodeDecodeError:
            line["frame_base64"] = base64.b64encode(frame).decode()
        return line

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        num_bytes = self._file.write(data)
        self._size += num_bytes
        self._is_torn = num_bytes < len(data)
        if self._is_torn:
            raise OSError("a line could not be finished")

    def _rotate(self) -> None:
        """Put the file aside, and begin a new one."""
        # Somebody may have taken it away meanwhile.
        if self._path.exists():
            names = [self._path, *(self._name_kept(number + 1) for number in range(self._num_kept))]
            for younger, older in reversed(list(itertools.pairwise(names))):
                if younger.exists():
                    younger.replace(older)
        full = self._file
        self.open()
        assert full is not None
        full.close()

    def _name_kept(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
