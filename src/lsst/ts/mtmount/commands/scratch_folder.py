"""Commands with a scratch folder, which end in order when they are interrupted."""

import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console

from ..program.event_loop import SIGNAL_STATUS, SignalRelay
from .runner import SignalReceivedError, run_until_signal, wait_for_signal

__all__ = ["run_in_scratch_folder"]


def run_in_scratch_folder(
    command: Callable[[Path], Coroutine[Any, Any, int]],
    prefix: str,
    console: Console,
    relay: SignalRelay | None,
) -> int:
    """Run a command; SIGINT, SIGTERM and SIGHUP cancel it, so that it ends what it has started.

    The command takes the folder, and returns the exit status, which is returned here. The
    folder, whose name begins with ``prefix``, is kept only if that is 1, and told.
    """

    async def run() -> int:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            status = await wait_for_signal(command(folder))
        except SignalReceivedError as error:
            status = SIGNAL_STATUS + error.number
        if status == 1:
            console.print(f"The output of the programs is in {folder}", markup=False, soft_wrap=True)
        else:
            shutil.rmtree(folder)
        return status

    return run_until_signal(run(), relay, is_output_needed=True)
