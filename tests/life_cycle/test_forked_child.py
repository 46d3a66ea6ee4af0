"""A process that a user's code forks from a program with a client, and what becomes of both."""

import asyncio
import sys
from pathlib import Path

import pytest

from ..test_telemetry_client import golden_frame
from ..tma import ScriptedTma
from .ends import END_LIMIT

PROGRAM = """
import asyncio, os, sys
from lsst.ts.mtmount import TelemetryClient, telemetry_client

telemetry_client.TELEMETRY_TIMEOUT = 60

async def come(client, num_frames):
    while client.counters.published < num_frames:
        await asyncio.sleep(0.01)

async def main():
    client = TelemetryClient(
        "127.0.0.1", int(sys.argv[2]), sal_backend="builtin", dead_letter="dropped", record="recordings"
    )
    await client.start_task
    await come(client, 1)
    child = os.fork()
    if not child:
        match sys.argv[1]:
            case "exit":
                sys.exit(3)
            case "raise":
                raise ValueError("of the child")
            case "close":
                await client.close()
                sys.exit(3)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    print("child", os.waitstatus_to_exitcode(status), flush=True)
    await come(client, 2)
    await client.close()
    print("parent", client.counters.acknowledged, client.failure, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(("how", "status"), [("exit", 3), ("raise", 1), ("close", 3)])
async def test_a_child_that_unwinds_leaves_the_parents_client_alone(
    tma: ScriptedTma, sal_environment: str, tmp_path: Path, how: str, status: int
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "ignore::DeprecationWarning", "program.py", how, str(tma.port)),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(3 * END_LIMIT):
            await tma.send(golden_frame("azimuth"))
            assert process.stdout is not None
            assert process.stderr is not None
            assert await process.stdout.readline() == f"child {status}\n".encode()
            await tma.send(golden_frame("azimuth"))
            assert await process.stdout.readline() == b"parent 2 None\n"
            assert await process.wait() == 0
            errors = (await process.stderr.read()).decode()
    finally:
        if process.returncode is None:
            process.kill()
    assert ("of the child" in errors) == (how == "raise")
    assert "exception was never retrieved" not in errors
    (recording,) = (tmp_path / "recordings").iterdir()
    assert recording.stat().st_size > 0
