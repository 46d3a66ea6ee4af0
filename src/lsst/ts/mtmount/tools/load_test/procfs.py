"""What a process and its children use, as Linux tells it under ``/proc``."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProcessMeter", "Usage", "list_tree"]

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a process and its children use, at one moment."""

    cpu: float  #: CPU time of all threads since the start [s]
    rss: int  #: Memory that is resident [bytes]
    peak_rss: int  #: The largest `rss` of each of the processes so far, summed up [bytes]
    num_fds: int
    num_threads: int


class ProcessMeter:
    """Reads what a process and its children use, again and again.

    CPU time comes from the scheduler's own account, in nanoseconds, where the
    system keeps one: that of ``/proc/<pid>/stat`` is in steps of 10 ms, coarse
    beside a client that takes a few milliseconds a second. What threads used
    that have ended since the last reading is not lost, what they used after
    it is.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        # CPU time of each thread that was ever seen [ns].
        self._cpu: dict[int, int] = {}

    def read(self) -> Usage | None:
        """Read what is used now; None if the process has ended."""
        usages = [self._read_process(pid) for pid in list_tree(self.pid)]
        found = [usage for usage in usages if usage is not None]
        if not found:
            return None
        return Usage(sum(self._cpu.values()) / 1e9, *map(sum, zip(*found, strict=True)))

    def _read_process(self, pid: int) -> tuple[int, int, int, int] | None:
        """Read one process: what `Usage` has after the CPU time, in its order; None if it has ended."""
        folder = Path(f"/proc/{pid}")
        try:
            tids = [int(task.name) for task in (folder / "task").iterdir()]
            for tid in tids:
                self._read_cpu(folder, tid)
            rss = int((folder / "statm").read_text().split()[1]) * PAGE_SIZE
            num_fds = sum(1 for _ in (folder / "fd").iterdir())
            return rss, max(rss, _read_peak(folder)), num_fds, len(tids)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            # It ended meanwhile. (The files of a process that has ended, but was
            # not yet waited for, belong to root.)
            return None

    def _read_cpu(self, folder: Path, tid: int) -> None:
        # If the thread has ended, what it had used before stays in the account.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            self._cpu[tid] = read_thread_cpu(folder / "task" / str(tid))


def _read_scheduler_account(folder: Path) -> int:
    """Read the CPU time of a thread [ns] as the scheduler counts it."""
    return int((folder / "schedstat").read_text().split()[0])


def _read_ticks(folder: Path) -> int:
    """Read the CPU time of a thread [ns] as the system samples it, in ticks."""
    # The name in parentheses may hold anything; utime and stime are fields 14 and 15.
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // TICKS_PER_SECOND


def _has_scheduler_account() -> bool:
    try:
        return _read_scheduler_account(Path("/proc/self")) > 0
    except FileNotFoundError:
        return False


read_thread_cpu = _read_scheduler_account if _has_scheduler_account() else _read_ticks


def list_tree(pid: int) -> list[int]:
    """Return a process and all that descend from it, as far as they are running."""
    tree = [pid]
    for parent in tree:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                tree += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            # It ended meanwhile; its children now belong to another.
            continue
    return tree


def _read_peak(folder: Path) -> int:
    for line in (folder / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    # A process that has ended has no memory.
    return 0
