import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lsst.ts.mtmount.tools.load_test.procfs import (
    ProcessMeter,
    _read_scheduler_account,
    _read_ticks,
    list_tree,
)

BURN_AND_WAIT = """
import sys, threading, time
def burn():
    while time.thread_time() < 0.1: pass
thread = threading.Thread(target=burn)
{start}
print("done", flush=True)
sys.stdin.read()
"""

OPEN_FILES = """
import os, sys
print("here", flush=True)
sys.stdin.readline()
files = open(os.devnull), open(os.devnull)
print("opened", flush=True)
sys.stdin.read()
"""

FAMILY = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "print('here', flush=True); input()"])
child.wait()
"""


@contextmanager
def running(program: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.communicate("")


@pytest.mark.parametrize(
    ("start", "least"),
    [("thread.start(); thread.join()", 0.0), ("burn(); thread.start(); thread.join()", 0.1)],
)
def test_cpu_time(start: str, least: float) -> None:
    with running(BURN_AND_WAIT.format(start=start)) as process:
        usage = ProcessMeter(process.pid).read()
    assert usage is not None
    # Python's start takes some, too; threads that have ended are not seen.
    assert least <= usage.cpu < least + 0.5


def test_both_accounts_of_cpu_time_agree() -> None:
    folder = Path(f"/proc/self/task/{threading.get_native_id()}")
    while time.thread_time() < 0.2:
        pass
    used = time.thread_time()
    for read in (_read_scheduler_account, _read_ticks):
        # The system's ticks are of 10 ms, and sampled.
        assert read(folder) / 1e9 == pytest.approx(used, abs=0.05 + 0.2 * used)


def test_cpu_time_of_threads_that_end_is_kept() -> None:
    meter = ProcessMeter(os.getpid())
    meter.read()
    meter._cpu[-1] = 5_000_000_000
    usage = meter.read()
    assert usage is not None
    assert usage.cpu > 5


def test_memory_files_and_threads() -> None:
    # Not of this process, in which other tests may have left what opens and closes files.
    with running(OPEN_FILES) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        meter = ProcessMeter(process.pid)
        before = meter.read()
        assert before is not None
        process.stdin.write("open\n")
        process.stdin.flush()
        assert process.stdout.readline() == "opened\n"
        after = meter.read()
    assert after is not None
    assert after.num_fds == before.num_fds + 2
    assert 1e6 < after.rss <= after.peak_rss
    assert after.num_threads == 1


def test_children_belong_to_it() -> None:
    with running(FAMILY) as process:
        pids = list_tree(process.pid)
        usage = ProcessMeter(process.pid).read()
        assert len(pids) == 2
        alone = ProcessMeter(pids[1]).read()
    assert usage is not None
    assert alone is not None
    assert usage.rss > alone.rss
    assert usage.num_threads == 2


def test_process_that_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert ProcessMeter(process.pid).read() is None
    assert list_tree(process.pid) == [process.pid]
