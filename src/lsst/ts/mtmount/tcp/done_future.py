"""The future ``done_task`` of a client."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any

__all__ = ["DoneFuture"]


class DoneFuture(asyncio.Future[None]):
    """A future that is done in the end, whoever waits for it and however long.

    A cancelled ``await`` leaves it as it is. To cancel the future itself, as
    `asyncio.gather` and Python 3.11's `asyncio.wait_for` do, asks for the end
    that it stands for: who does so may wait until it is done.
    ``on_cancel`` asks for the end.
    """

    def __init__(self, on_cancel: Callable[[], object]) -> None:
        super().__init__()
        self._on_cancel = on_cancel

    def cancel(self, msg: Any = None) -> bool:
        """Ask for the end; this future is not cancelled."""
        if not self.done():
            self._on_cancel()
        return False

    def __await__(self) -> Generator[Any, None, None]:
        if not self.done():
            waiter: asyncio.Future[None] = self.get_loop().create_future()

            def release(_: object) -> None:
                if not waiter.done():
                    waiter.set_result(None)

            self.add_done_callback(release)
            try:
                yield from waiter
            finally:
                self.remove_done_callback(release)
        return self.result()

    __iter__ = __await__
