"""An event loop in a process that was forked while it ran."""

import asyncio
import selectors
from typing import Any

__all__ = ["note_fork", "part_from_parent", "stay_in_loop"]

#: The running loop of the thread that forks, and its task.
_forking: tuple[asyncio.AbstractEventLoop | None, asyncio.Task[Any] | None] = (None, None)


def note_fork() -> None:
    """Note in which loop and task a process is about to be forked."""
    global _forking
    loop = asyncio._get_running_loop()
    _forking = loop, None if loop is None else asyncio.current_task(loop)


def stay_in_loop() -> None:
    """Be in the loop and task in which this process was forked, which asyncio has forgotten.

    From Python 3.14 on, it is an error if a task ends that is not the current one of the running loop: the
    process would never come out of its copy of the loop.
    """
    loop, task = _forking
    if loop is None:
        return
    asyncio._set_running_loop(loop)
    if task is not None and asyncio.current_task(loop) is None:
        asyncio.tasks._enter_task(loop, task)


def part_from_parent(loop: asyncio.AbstractEventLoop, transport: asyncio.BaseTransport | None) -> None:
    """Have what a forked process does to its copy of the loop leave the parent's alone.

    Both share one epoll: what the copy forgets when it is closed, the parent would never hear of again.
    ``transport`` is the parent's: here nothing is read from it.
    """
    # asyncio has no public way to it; a loop without, such as uvloop's, has its own means.
    shared: selectors.BaseSelector | None = getattr(loop, "_selector", None)
    if shared is None:
        return
    own = selectors.DefaultSelector()
    left = transport.get_extra_info("socket") if transport is not None else None
    for key in (shared.get_map() or {}).values():
        if left is None or key.fd != left.fileno():
            own.register(key.fileobj, key.events, key.data)
    loop._selector = own  # type: ignore[attr-defined]
    shared.close()
