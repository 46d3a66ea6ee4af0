"""What a program prints never makes it wait."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lsst.ts.mtmount.program.queued_output import QUEUE_SIZE

TIMEOUT = 60

PROGRAM = """
import logging, os, sys, threading, time, warnings
from lsst.ts.mtmount.program.queued_output import QueuedOutput, wait_printed
logging.basicConfig(format="%(levelname)s %(message)s")
with QueuedOutput():
    {statements}
"""


def start(statements: str, **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM.format(statements=statements)]
    return subprocess.Popen(command, **options)  # type: ignore[call-overload,no-any-return]


def run(statements: str, **environment: str) -> tuple[int, bytes]:
    process = start(
        statements, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **environment}
    )
    output, _ = process.communicate(timeout=TIMEOUT)
    return process.returncode, output


def test_all_ways_to_print_keep_their_order() -> None:
    statements = "print('a', 'b'); print('c', end=''); print('d', file=sys.stderr); print('e'); "
    statements += "logging.warning('f'); sys.stderr.write('g'); warnings.warn('h')"
    status, output = run(statements)
    assert status == 0
    assert output.startswith(b"a b\nd\nce\nWARNING f\ng")
    assert b"UserWarning: h" in output


def test_streams_are_as_before_afterwards() -> None:
    status, output = run("print('in')\nprint('out'); print(type(sys.stdout).__name__, sys.stdout.fileno())")
    assert (status, output) == (0, b"in\nout\nTextIOWrapper 1\n")


def test_character_that_the_stream_does_not_know_is_escaped() -> None:
    status, output = run(r"print('\u2126'); logging.warning('\u2126')", PYTHONIOENCODING="ascii")
    assert (status, output) == (0, b"\\u2126\nWARNING \\u2126\n")


def test_lines_of_threads_stay_whole() -> None:
    statements = "threads = [threading.Thread(target=lambda n=n: [print(n, n) for _ in range(1000)]) "
    statements += "for n in 'ab']; [t.start() for t in threads]; [t.join() for t in threads]"
    status, output = run(statements)
    assert status == 0
    assert sorted(output.split(b"\n")) == sorted([b""] + 1000 * [b"a a"] + 1000 * [b"b b"])


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    """Nobody reads until the program has printed far more than its bound, and says so in a file."""
    marker = tmp_path / "printed"
    statements = f"[print('x' * 1023) for _ in range(4 * {QUEUE_SIZE} // 1024)]; "
    statements += f"open({str(marker)!r}, 'w'); "
    statements += "print('waiting', file=sys.stderr); wait_printed(60); print('last')"
    process = start(statements, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stderr.readline() == b"waiting\n"
    assert marker.exists()
    lines = process.stdout.read().decode().splitlines()
    assert process.wait(TIMEOUT) == 0
    process.stderr.close()
    process.stdout.close()
    notices = [re.fullmatch(r"\((\d+) lines are missing here: they could not be written\)", x) for x in lines]
    missing = [int(notice[1]) for notice in notices if notice is not None]
    assert sum(missing) + lines.count("x" * 1023) == 4 * QUEUE_SIZE // 1024
    assert sum(missing) > 2 * QUEUE_SIZE // 1024
    assert lines[-1] == "last"


def test_full_disk_is_told_to_the_log() -> None:
    with Path("/dev/full").open("wb") as full:
        process = start("print('a'); print('b')", stdout=full, stderr=subprocess.PIPE)
        _, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, errors) == (0, b"WARNING Cannot print: No space left on device\n")


@pytest.mark.parametrize("streams", ["stdout", "stdout, stderr"])
def test_pipe_that_nobody_reads_keeps_nobody(streams: str) -> None:
    reader, writer = os.pipe()
    statements = f"[print('x' * 1024, file=s) for s in (sys.{streams.replace(' ', ' sys.')},) "
    statements += "for _ in range(200)]; sys.stdout.flush()"
    options = dict.fromkeys(streams.split(", "), writer)
    process = start(statements, **options)
    assert process.wait(TIMEOUT) == 0
    os.close(reader)
    os.close(writer)
