"""A file with the process ID of a program, as long as that runs."""

import contextlib
import errno
import fcntl
import logging
import os
import struct
import threading
from io import FileIO
from typing import Self

from ..constants import LOGGER_NAME
from ..resilience.guarded_log import guard_logger
from ..resilience.input_file import read_file
from ..resilience.output_file import OutputFile, write_all

__all__ = ["PidFile"]

#: Its messages reach SAL, as the client's do.
LOG = guard_logger(logging.getLogger(LOGGER_NAME).getChild("program"))

#: No process ID has more digits, and a newline.
MAX_LENGTH = 12

#: What is read of a file that may be another one [bytes].
MAX_SIZE = 1 << 16

#: How long removing the file may take [seconds].
REMOVE_TIMEOUT = 1.0

#: The ``struct flock`` of fcntl(2) on 64 bits: type, whence, start, length, process ID.
FLOCK = struct.Struct("hhqqi4x")

#: For writing, from the start to whatever the end is.
WHOLE_FILE = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)

#: The files that this process holds.
_held: set[FileIO] = set()


class PidFile:
    """Holds this process's ID in a file, as a context manager; what an ended program has left is replaced.

    The file is locked until the process ends, however it ends: so the ID of an ended process counts for
    nothing, even if another process has got it since. The lock is one of the open file (``F_OFD_SETLK``):
    it can be asked for without taking it, and closing another descriptor of the file does not release it.

    `OSError` if anything else than a process ID is in the file: both when it is made, and when it is
    entered. `OSError`, too, if another program holds it when it is entered. Of programs that start at the
    same moment, only one gets the file.
    """

    def __init__(self, output: OutputFile) -> None:
        self.output = output
        self._text = f"{os.getpid()}\n"
        self._file: FileIO | None = None
        if not output.is_replaceable:
            raise OSError(errno.EINVAL, "expected a regular file", str(output.path))
        if output.target.exists():
            with output.open(append=True) as file:
                self._check_content(file)

    def check_free(self) -> None:
        """Raise `OSError` if another program holds the file."""
        if self.output.target.exists():
            with self.output.open(append=True) as file:
                if _find_lock(file) == fcntl.F_WRLCK:
                    raise self._make_held_error(file)

    def __enter__(self) -> Self:
        try:
            while self._file is None:
                self._file = self._take()
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"--pid-file {self.output.path}") from None
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._file is None or self._file.closed:
            # A forked child, which must leave its parent's file.
            return
        # What has become of its folder meanwhile must not change how the program ends.
        remover = threading.Thread(target=self._remove, name="PID file", daemon=True)
        remover.start()
        remover.join(REMOVE_TIMEOUT)
        if remover.is_alive():
            LOG.error(f"{self.output.path}: could not be removed within {REMOVE_TIMEOUT:g} s")

    def _take(self) -> FileIO | None:
        """Lock the file and write the ID; `None` if a program that ended has removed it meanwhile."""
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(self.output.open(append=True))
            try:
                fcntl.fcntl(file, fcntl.F_OFD_SETLK, WHOLE_FILE)
            except BlockingIOError:
                if _find_lock(file) != fcntl.F_RDLCK:
                    raise self._make_held_error(file) from None
                # Of somebody who may read it: no program that runs, and nothing to wait for.
                if self._is_in_place(file):
                    self.output.target.unlink(missing_ok=True)
                return None
            if not self._is_in_place(file):
                return None
            self._check_content(file)
            try:
                file.truncate(0)
                write_all(file.fileno(), self._text.encode())
            except OSError:
                self.output.target.unlink(missing_ok=True)
                raise
            stack.pop_all()
            _held.add(file)
            return file

    def _is_in_place(self, file: FileIO) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.output.target.stat())
        except FileNotFoundError:
            return False

    def _check_content(self, file: FileIO) -> None:
        text = _read_text(file)
        if text and not text.isdecimal():
            raise OSError(errno.EEXIST, f"expected a process ID in it, got {text!r}", str(self.output.path))

    def _make_held_error(self, file: FileIO) -> OSError:
        # A program that has just begun may not have written its ID yet.
        reason = f"held by a running process, process ID in it: {_read_text(file) or 'none'}"
        return OSError(errno.EAGAIN, reason, str(self.output.path))

    def _remove(self) -> None:
        try:
            # Another program may have taken it over.
            if read_file(str(self.output.target), MAX_SIZE) == self._text.encode():
                self.output.target.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except OSError as error:
            LOG.error(f"{self.output.path}: cannot be removed: {error.strerror}")
        finally:
            assert self._file is not None
            _held.discard(self._file)
            self._file.close()


def _find_lock(file: FileIO) -> int:
    """Return the kind of lock that keeps us from locking the file; ``F_UNLCK`` if there is none."""
    answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, WHOLE_FILE)
    return int(FLOCK.unpack(answer)[0])


def _release_in_child() -> None:
    """Let go of the parent's files, whose locks would outlive it."""
    for file in _held:
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_release_in_child)


def _read_text(file: FileIO) -> str:
    return os.pread(file.fileno(), MAX_LENGTH, 0).decode("ascii", "backslashreplace").strip()
