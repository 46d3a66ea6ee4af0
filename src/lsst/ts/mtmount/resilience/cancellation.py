"""Telling what asks our own task, or the process, to end from an error that a user's code raised."""

import asyncio

__all__ = ["ends_us", "is_cancelled"]


def is_cancelled() -> bool:
    """Tell whether the current task is asked to end.

    Whoever awaits a task that was cancelled gets a `CancelledError`, too: for
    him it is an error like any other.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def ends_us(error: BaseException) -> bool:
    """Tell whether what a user's coroutine raised is to be raised on; all else is an error of that code.

    That is the cancellation of the current task, the wish to leave the process, and the end of a
    coroutine that nobody will run again.
    """
    if isinstance(error, asyncio.CancelledError):
        return is_cancelled()
    return isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
