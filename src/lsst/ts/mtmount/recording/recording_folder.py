"""The folder of a flight recorder: names of its files, and which of them must go."""

import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["free_share", "list_recordings", "make_room", "name_recording"]

#: Names of a recorder's files; those of one name sort by their start.
NAME = re.compile(r"tma_\d{8}T\d{6}\.\d{6}Z_\d+\.mcap", re.ASCII)


def name_recording(utc_ns: int, pid: int) -> str:
    """Return the name of a file that begins at a time [UTC unix ns]."""
    start = datetime.fromtimestamp(utc_ns // 10**9, UTC)
    return f"tma_{start:%Y%m%dT%H%M%S}.{utc_ns % 10**9 // 1000:06d}Z_{pid}.mcap"


def list_recordings(folder: Path) -> list[tuple[Path, int]]:
    """List the regular files of a recorder's names, the oldest first, and their sizes [bytes].

    Links are not followed.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not NAME.fullmatch(entry.name):
                continue
            try:
                info = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(info.st_mode):
                found.append((folder / entry.name, info.st_size))
    return sorted(found)


def make_room(folder: Path, limit: int, keep: Path | None = None) -> list[Path]:
    """Delete the oldest recordings until all take no more than a limit [bytes]; return the deleted.

    ``keep`` stays in any case.
    """
    files = list_recordings(folder)
    total = sum(size for _, size in files)
    deleted = []
    for path, size in files:
        if total <= limit:
            break
        if path == keep:
            continue
        path.unlink(missing_ok=True)
        deleted.append(path)
        total -= size
    return deleted


def free_share(folder: Path) -> float:
    """Return which part of a folder's disk is free, from 0 to 1."""
    info = os.statvfs(folder)
    # Some file systems tell no size: nothing can be said of them.
    return info.f_bavail / info.f_blocks if info.f_blocks else 1.0
