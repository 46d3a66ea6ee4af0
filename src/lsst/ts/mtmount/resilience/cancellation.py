"""Telling a cancellation of our own task from a `CancelledError` that somebody's code raised."""

import asyncio

__all__ = ["is_cancelled"]


def is_cancelled() -> bool:
    """Tell whether the current task is asked to end.

    Whoever awaits a task that was cancelled gets a `CancelledError`, too: for
    him it is an error like any other.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
