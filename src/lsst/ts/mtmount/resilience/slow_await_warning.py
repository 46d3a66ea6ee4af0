"""Telling of a coroutine that takes long, while it does."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

__all__ = ["warn_while_slow"]

#: How often it is told again [seconds].
INTERVAL = 60.0


@contextlib.contextmanager
def warn_while_slow(
    log: logging.Logger, text: str, limit: float, is_due: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Log a warning if what is done in this context takes longer than ``limit`` [s], then one a minute.

    ``text`` is what goes on, for people; "for ... s" follows. Nothing is logged while ``is_due`` returns
    false; it is asked again after ``limit``.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()

    timer: asyncio.TimerHandle | None = None

    def wait(seconds: float) -> None:
        nonlocal timer
        timer = loop.call_later(seconds, tell)

    def tell() -> None:
        if is_due():
            log.warning(f"{text} for {loop.time() - start:.0f} s")
            wait(INTERVAL)
        else:
            wait(limit)

    wait(limit)
    try:
        yield
    finally:
        assert timer is not None
        timer.cancel()
