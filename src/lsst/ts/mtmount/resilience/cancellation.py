"""Telling what asks our own task, or the process, to end from an error that a user's code raised."""

import asyncio
import contextlib
from typing import Any

__all__ = ["ends_us", "is_cancelled"]


def is_cancelled() -> bool:
    """Tell whether the current task is asked to end.

    Whoever awaits a task that was cancelled gets a `CancelledError`, too: for
    him it is an error like any other.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def ends_us(error: BaseException, task: "asyncio.Task[Any] | None") -> bool:
    """Tell whether what a user's coroutine raised is to be raised on; all else is an error of that code.

    That is the cancellation of the task that called it, the wish to leave the process, and the end of a
    coroutine that nobody will run again: then another task is the current one, or none.
    """
    if isinstance(error, asyncio.CancelledError):
        return is_cancelled()
    if isinstance(error, GeneratorExit):
        with contextlib.suppress(RuntimeError):
            return asyncio.current_task() is not task
        # No event loop runs.
        return True
    return isinstance(error, KeyboardInterrupt | SystemExit)
