"""Commands with a scratch folder, which end in order when they are interrupted."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console

__all__ = ["run_in_scratch_folder"]

#: Exit status of a shell's command that a signal has ended: this plus its number.
SIGNAL_STATUS = 128


def run_in_scratch_folder(
    command: Callable[[Path], Coroutine[Any, Any, int]], prefix: str, console: Console
) -> int:
    """Run a command; SIGINT, SIGTERM and SIGHUP cancel it, so that it ends what it has started.

    The command takes the folder, and returns the exit status, which is returned here. The
    folder, whose name begins with ``prefix``, is kept only if that is 1, and told.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    status = asyncio.run(_run(command(folder)))
    if status == 1:
        console.print(f"The output of the programs is in {folder}", markup=False, soft_wrap=True)
    else:
        shutil.rmtree(folder)
    return status


async def _run(command: Coroutine[Any, Any, int]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(command)
    received: list[int] = []

    def interrupt(signum: int) -> None:
        received.append(signum)
        task.cancel()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # An ignored SIGHUP was inherited: nohup.
        if signal.getsignal(signum) is not signal.SIG_IGN:
            loop.add_signal_handler(signum, interrupt, signum)
    await asyncio.wait([task])
    if task.cancelled() and received:
        return SIGNAL_STATUS + received[0]
    return task.result()
