"""Commands that end in order when they are interrupted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

__all__ = ["run_interruptible"]

#: Exit status of a shell's command that a signal has ended: this plus its number.
SIGNAL_STATUS = 128


def run_interruptible(command: Coroutine[Any, Any, int]) -> int:
    """Run a command; SIGINT and SIGTERM cancel it, so that it ends what it has started.

    Parameters
    ----------
    command : coroutine
        Returns the exit status.

    Returns
    -------
    status : `int`
        Exit status.
    """
    return asyncio.run(_run(command))


async def _run(command: Coroutine[Any, Any, int]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(command)
    received: list[int] = []

    def interrupt(signum: int) -> None:
        received.append(signum)
        task.cancel()

    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, interrupt, signum)
    await asyncio.wait([task])
    if task.cancelled() and received:
        return SIGNAL_STATUS + received[0]
    return task.result()
