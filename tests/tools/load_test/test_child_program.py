import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from lsst.ts.mtmount.tools.load_test import child_program as program_module
from lsst.ts.mtmount.tools.load_test.child_program import ChildProgram, LoadTestError

TIMEOUT = 60

DEAF = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
sys.stdin.read()
"""


def make(text: str, folder: Path) -> ChildProgram:
    return ChildProgram("thing", [sys.executable, "-c", text], os.environ, folder, read_output=True)


async def test_lines_and_status(tmp_path: Path) -> None:
    text = "import sys; print('one'); print('two'); print('oops', file=sys.stderr); sys.exit(3)"
    async with asyncio.timeout(TIMEOUT), make(text, tmp_path) as program:
        assert await program.expect_line(TIMEOUT) == "one"
        assert await program.read_line() == "two"
        assert await program.read_line() is None
        assert await program.wait(TIMEOUT) == 3
        assert program.status == 3
    assert program.describe() == "    thing: oops"


async def test_is_ended(tmp_path: Path) -> None:
    async with asyncio.timeout(TIMEOUT), make("print('here', flush=True); input()", tmp_path) as program:
        await program.expect_line(TIMEOUT)
        assert await program.wait(0.01) is None
        assert program.meter.read() is not None
    assert program.status == -signal.SIGTERM
    assert program.meter.read() is None


async def test_what_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_module, "END_TIMEOUT", 0.2)
    async with asyncio.timeout(TIMEOUT), make(DEAF, tmp_path) as program:
        await program.expect_line(TIMEOUT)
    assert program.status == -signal.SIGKILL


async def test_ends_when_its_input_does(tmp_path: Path) -> None:
    async with asyncio.timeout(TIMEOUT), make("input()", tmp_path) as program:
        program.close_input()
        assert await program.wait(TIMEOUT) == 1


async def test_says_why_a_line_did_not_come(tmp_path: Path) -> None:
    async with asyncio.timeout(TIMEOUT), make("raise SystemExit('no way')", tmp_path) as program:
        with pytest.raises(LoadTestError, match=r"thing ended, status 1\n    thing: no way"):
            await program.expect_line(TIMEOUT)
    async with asyncio.timeout(TIMEOUT), make("input()", tmp_path) as program:
        with pytest.raises(LoadTestError, match=r"thing said nothing for 0\.05 s"):
            await program.expect_line(0.05)
