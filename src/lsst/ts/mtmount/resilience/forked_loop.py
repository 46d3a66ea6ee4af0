"""An event loop in a process that was forked while it ran."""

import asyncio
import selectors

__all__ = ["part_from_parent"]


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
