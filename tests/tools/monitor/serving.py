"""The program that serves the page."""

import asyncio
import contextlib
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

from ...programs import find_program

TIMEOUT = 60


@contextlib.asynccontextmanager
async def serving(port: int, *arguments: str) -> AsyncIterator[Process]:
    """Run the program until the end of the test."""
    process = await asyncio.create_subprocess_exec(
        *(find_program("monitor_mtmount_telemetry"), "--web", str(port), *arguments),
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT):
            line = await process.stdout.readline()
        assert line == f"Open http://127.0.0.1:{port}/ in a web browser\n".encode()
        yield process
    finally:
        process.terminate()
        _, errors = await process.communicate()
    assert process.returncode == 0, errors
