"""A file with the process ID of a program, as long as that runs."""

from __future__ import annotations

import errno
import os
from typing import Self

from ..resilience.output_file import OutputFile

__all__ = ["PidFile"]

#: No process ID has more digits, and a newline.
MAX_LENGTH = 12


class PidFile:
    """Holds this process's ID in a file, as a context manager.

    Parameters
    ----------
    output : `OutputFile`
        The file. What an ended program has left is replaced.

    Raises
    ------
    OSError
        If there is the ID of another process that runs, or anything else.
    """

    def __init__(self, output: OutputFile) -> None:
        self.output = output
        self._text = f"{os.getpid()}\n"
        if not output.is_replaceable:
            raise OSError(errno.EINVAL, "expected a regular file", str(output.path))
        text = self._read()
        if text is None or not text.strip():
            return
        if not text.strip().isdecimal():
            raise OSError(errno.EEXIST, f"expected a process ID in it, got {text!r}", str(output.path))
        pid = int(text)
        if pid != os.getpid() and _is_running(pid):
            raise OSError(errno.EEXIST, f"the process {pid} of this file still runs", str(output.path))

    def __enter__(self) -> Self:
        self.output.replace(self._text.encode())
        return self

    def __exit__(self, *exc_info: object) -> None:
        # Another program may have taken it over.
        if self._read() == self._text:
            self.output.target.unlink(missing_ok=True)

    def _read(self) -> str | None:
        try:
            with self.output.target.open("rb") as file:
                return file.read(MAX_LENGTH).decode("ascii", "backslashreplace")
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
