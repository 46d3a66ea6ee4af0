"""When a server of streams has done what it is there for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

__all__ = ["wait_complete"]

LOG = logging.getLogger(__name__)


async def wait_complete(
    change: asyncio.Condition,
    is_connected: Callable[[], object],
    is_complete: Callable[[], object],
    idle_timeout: float | None,
) -> None:
    """Wait until a stream has come to its end and no client is connected.

    Or until no client was connected for ``idle_timeout`` [s]. ``change`` is notified of each change.
    """
    async with change:
        while is_connected() or not is_complete():
            try:
                async with asyncio.timeout(None if is_connected() else idle_timeout):
                    await change.wait()
            except TimeoutError:
                if not is_connected():
                    LOG.warning("No client is connected for %g s", idle_timeout)
                    return
