"""Blocking calls that the end of the program does not wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["run_in_daemon_thread"]

T = TypeVar("T")


async def run_in_daemon_thread(function: Callable[..., T], *args: object) -> T:
    """Call a function that may hang in a thread of its own.

    Other than with `asyncio.to_thread`, neither the end of the event loop nor
    that of the process waits for the thread: cancelling this is enough.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = function(*args)
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(finish, result, error)
        except RuntimeError:
            # The loop was closed: nobody waits any more.
            return

    threading.Thread(target=run, name=getattr(function, "__name__", "call"), daemon=True).start()
    return await future
