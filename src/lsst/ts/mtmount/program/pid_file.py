"""A file with the process ID of a program, as long as that runs."""

import errno
import fcntl
import logging
import os
import threading
from typing import Self

from ..constants import LOGGER_NAME
from ..resilience.guarded_log import guard_logger
from ..resilience.input_file import read_file
from ..resilience.output_file import OutputFile

__all__ = ["PidFile"]

#: Its messages reach SAL, as the client's do.
LOG = guard_logger(logging.getLogger(LOGGER_NAME).getChild("program"))

#: No process ID has more digits, and a newline.
MAX_LENGTH = 12

#: What is read of a file that may be another one [bytes].
MAX_SIZE = 1 << 16

#: How long removing the file may take [seconds].
REMOVE_TIMEOUT = 1.0


class PidFile:
    """Holds this process's ID in a file, as a context manager; what an ended program has left is replaced.

    `OSError` if there is the ID of another process that runs, or anything else: both when it is made,
    and when it is entered. Of programs that start at the same moment, only one gets the file.
    """

    def __init__(self, output: OutputFile) -> None:
        self.output = output
        self._text = f"{os.getpid()}\n"
        if not output.is_replaceable:
            raise OSError(errno.EINVAL, "expected a regular file", str(output.path))
        self._check()

    def __enter__(self) -> Self:
        try:
            folder = os.open(self.output.target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                # The file itself gets another inode, so a lock of it would be none for the next program.
                fcntl.flock(folder, fcntl.LOCK_EX)
                self._check()
                self.output.replace(self._text.encode())
            finally:
                os.close(folder)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"--pid-file {self.output.path}") from None
        return self

    def __exit__(self, *exc_info: object) -> None:
        # What has become of its folder meanwhile must not change how the program ends.
        remover = threading.Thread(target=self._remove, name="PID file", daemon=True)
        remover.start()
        remover.join(REMOVE_TIMEOUT)
        if remover.is_alive():
            LOG.error(f"{self.output.path}: could not be removed within {REMOVE_TIMEOUT:g} s")

    def _check(self) -> None:
        text = self._read() or ""
        if not text.strip():
            return
        if not text.strip().isdecimal():
            raise OSError(errno.EEXIST, f"expected a process ID in it, got {text!r}", str(self.output.path))
        pid = int(text)
        if pid != os.getpid() and _is_running(pid):
            raise OSError(errno.EEXIST, f"the process {pid} of this file still runs", str(self.output.path))

    def _remove(self) -> None:
        try:
            # Another program may have taken it over.
            if self._read() == self._text:
                self.output.target.unlink(missing_ok=True)
        except OSError as error:
            LOG.error(f"{self.output.path}: cannot be removed: {error.strerror}")

    def _read(self) -> str | None:
        try:
            return read_file(str(self.output.target), MAX_SIZE)[:MAX_LENGTH].decode(
                "ascii", "backslashreplace"
            )
        except FileNotFoundError:
            return None


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0
