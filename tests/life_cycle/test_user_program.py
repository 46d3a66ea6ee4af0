"""Programs of users: a subclass run by `amain`, or by `run_mtmount_telemetry_client`."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ..test_telemetry_client import golden_frame
from ..tma import ScriptedTma
from .ends import END_LIMIT

SUBCLASS = """
import asyncio, os, sys, time
from lsst.ts.mtmount import TelemetryClient, run_mtmount_telemetry_client

class MyClient(TelemetryClient):
    def __init__(self, *args, **kwargs):
        print("making the client", flush=True)
        # A signal may come here.
        sys.stdin.readline()
        super().__init__(*args, **kwargs)

    def _preprocess_azimuth(self, data):
        print("mine", flush=True)
"""

#: The documented ways to run a subclass.
RUNS = {
    "asyncio.run": "sys.exit(asyncio.run(MyClient.amain()))\n",
    "run_mtmount_telemetry_client": "run_mtmount_telemetry_client(client_class=MyClient)\n",
}


@pytest.fixture(autouse=True)
def hangup_is_not_ignored() -> Iterator[None]:
    """The suite itself may run under nohup, which its programs would inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@asynccontextmanager
async def start(
    folder: Path, run: str, port: int, more: str = ""
) -> AsyncIterator[asyncio.subprocess.Process]:
    program = folder / "program.py"
    program.write_text(SUBCLASS + more + RUNS[run])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        *("--host=127.0.0.1", f"--port={port}", "--reconnect"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(3 * END_LIMIT):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def read_to(process: asyncio.subprocess.Process, text: str) -> str:
    assert process.stdout is not None
    seen = ""
    while text not in seen:
        line = (await process.stdout.readline()).decode()
        assert line, f"{text!r} is not in {seen}"
        seen += line
    return seen


def release(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
async def test_a_signal_ends_a_subclass(
    tma: ScriptedTma, sal_environment: str, tmp_path: Path, run: str, number: signal.Signals
) -> None:
    async with start(tmp_path, run, tma.port) as process:
        await read_to(process, "making the client")
        release(process)
        await read_to(process, "running")
        await tma.send(golden_frame("azimuth"))
        await read_to(process, "mine")
        process.send_signal(number)
        await read_to(process, "MTMount telemetry client done")
        assert await process.wait() == 0


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
async def test_a_signal_while_the_client_is_made(
    tma: ScriptedTma, sal_environment: str, tmp_path: Path, run: str, number: signal.Signals
) -> None:
    """It waits until the client can end; the process is not killed."""
    async with start(tmp_path, run, tma.port) as process:
        await read_to(process, "making the client")
        process.send_signal(number)
        release(process)
        await read_to(process, "MTMount telemetry client done")
        assert await process.wait() == 0


#: What a user's subclass may do about signals, that does not end it.
DEAF = {
    "handle_signals": "super().__init__(*args, handle_signals=False, **kwargs)",
    "signal_handler": "super().__init__(*args, **kwargs); self.signal_handler = lambda: None",
    "replaced": "super().__init__(*args, **kwargs)\n"
    "        asyncio.get_running_loop().add_signal_handler(15, print, 'replaced')",
}


@pytest.mark.parametrize(
    ("run", "how"),
    # In an ordinary event loop, a user's handler is all there is.
    [(run, how) for run in RUNS for how in DEAF if (run, how) != ("asyncio.run", "replaced")],
)
async def test_a_signal_ends_a_subclass_that_does_not_follow_it(
    tma: ScriptedTma, sal_environment: str, tmp_path: Path, run: str, how: str
) -> None:
    """In order, and not by force."""
    more = f"""
class MyClient(MyClient):
    def __init__(self, *args, **kwargs):
        {DEAF[how].replace("super()", "super(MyClient, self)")}
"""
    async with start(tmp_path, run, tma.port, more) as process:
        await read_to(process, "making the client")
        release(process)
        await read_to(process, "running")
        await tma.send(golden_frame("azimuth"))
        await read_to(process, "mine")
        process.send_signal(signal.SIGTERM)
        seen = await read_to(process, "MTMount telemetry client done")
        assert "by force" not in seen
        assert await process.wait() == 0


@pytest.mark.parametrize("run", RUNS)
async def test_a_signal_while_a_subclass_starts(
    tma: ScriptedTma, sal_environment: str, tmp_path: Path, run: str
) -> None:
    more = """
class MyClient(MyClient):
    async def start(self, **kwargs):
        print("my start", flush=True)
        await asyncio.sleep(3600)
"""
    async with start(tmp_path, run, tma.port, more) as process:
        await read_to(process, "making the client")
        release(process)
        await read_to(process, "my start")
        process.send_signal(signal.SIGTERM)
        await read_to(process, "MTMount telemetry client done")
        assert await process.wait() == 0
