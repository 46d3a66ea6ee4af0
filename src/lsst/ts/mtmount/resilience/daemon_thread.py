"""Blocking calls that the end of the program does not wait for."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["DaemonExecutor", "run_in_daemon_thread"]

T = TypeVar("T")


class DaemonExecutor(ThreadPoolExecutor):
    """Makes a daemon thread for each call; nobody waits for them at the end, as for a resolver that hangs."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call a function in a thread."""
        future: Future[T] = Future()
        # A call cannot be taken back: the thread begins at once.
        future.set_running_or_notify_cancel()

        def run() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name=f"call of {getattr(fn, '__name__', fn)}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for nothing."""


_executor = DaemonExecutor()


async def run_in_daemon_thread(function: Callable[..., T], *args: object) -> T:
    """Call a function that may hang in a thread of its own.

    Other than with `asyncio.to_thread`, neither the end of the event loop nor
    that of the process waits for the thread: cancelling this is enough.
    """
    return await asyncio.wrap_future(_executor.submit(function, *args))
