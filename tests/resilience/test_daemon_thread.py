import subprocess
import sys
import threading
import time

import pytest

from lsst.ts.mtmount.resilience.daemon_thread import run_in_daemon_thread

PROGRAM = """
import asyncio, threading
from lsst.ts.mtmount.resilience.daemon_thread import run_in_daemon_thread

async def main():
    try:
        async with asyncio.timeout(0.1):
            await run_in_daemon_thread(threading.Event().wait)
    except TimeoutError:
        print("given up")

asyncio.run(main())
"""


async def test_result_and_error() -> None:
    assert await run_in_daemon_thread(divmod, 7, 2) == (3, 1)
    assert await run_in_daemon_thread(lambda: threading.current_thread().daemon)
    with pytest.raises(ZeroDivisionError):
        await run_in_daemon_thread(divmod, 7, 0)


def test_the_process_ends_although_a_thread_hangs() -> None:
    begin = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "given up\n", "")
    assert time.monotonic() - begin < 30
