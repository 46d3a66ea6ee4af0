"""A disk that is small enough to fill."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

#: Longest time for one command on the disk [s].
COMMAND_TIMEOUT = 60.0


class SmallDisk:
    """A file system in memory, seen only by the processes started with `command_prefix`.

    It lives in a mount name space of its own, held by one idle process that ends with its standard
    input: whatever happens to the tests, no mount is left behind.

    Parameters
    ----------
    folder : `pathlib.Path`
        Existing folder that it is mounted on.
    size : `str`
        Size as ``mount`` takes it, e.g. ``"64m"``.
    """

    def __init__(self, folder: Path, size: str) -> None:
        self._filler = folder / "filler"
        script = f"mount -t tmpfs -o size={size} tmpfs '{folder}' && echo mounted && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"mounted\n":
            self.close()
            raise OSError(f"cannot mount a tmpfs of {size}: {self.find_obstacle() or 'see standard error'}")

    @staticmethod
    def find_obstacle() -> str | None:
        """Say why no such disk can be had here.

        Returns
        -------
        str or None
            The reason in words, or None if it can.
        """
        if os.geteuid() != 0:
            return "only root can mount a tmpfs"
        script = 'folder=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs "$folder"; status=$?; '
        script += 'umount "$folder"; rmdir "$folder"; exit $status'
        result = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script],
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
        )
        return f"mounting a tmpfs fails: {result.stderr.strip()}" if result.returncode != 0 else None

    @property
    def command_prefix(self) -> list[str]:
        """What to put in front of a command that shall see the disk."""
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--"]

    def fill(self) -> None:
        """Take all space that is left."""
        # The command ends when there is no space: that is its purpose.
        self._run(f"cat /dev/zero > '{self._filler}'", expect_success=False)

    def free(self) -> None:
        """Give back what `fill` took."""
        self._run(f"rm '{self._filler}'", expect_success=True)

    def close(self) -> None:
        """End the disk; its processes must have ended."""
        self._holder.communicate()

    def _run(self, script: str, *, expect_success: bool) -> None:
        """Run a shell script that sees the disk."""
        command = [*self.command_prefix, "sh", "-c", script]
        result = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT)
        if (result.returncode == 0) != expect_success:
            raise OSError(f"{script!r} ended with {result.returncode}: {result.stderr.strip()}")
