"""SAL without salobj: see `BuiltinBackend`."""

from __future__ import annotations

from typing import Any

from ..tma_interface import TmaInterface
from .controller import Controller

__all__ = ["BuiltinBackend"]


class BuiltinBackend:
    """SAL without salobj; see `SalBackend`."""

    def __init__(self, tma_interface: TmaInterface) -> None:
        self.controller = Controller(tma_interface=tma_interface)
        self.tma_interface = self.controller.interface.tma_interface
        self.log = self.controller.log
        self.publisher = self.controller.publisher
        self.clock = self.controller.clock
        self.start_task = self.controller.start_task

    async def write_event(self, name: str, **fields: Any) -> None:
        """Write an event; see `SalBackend`."""
        topic = self.controller.topics.get(f"evt_{name}")
        if topic is not None:
            await topic.set_write_known(**fields)

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109
        """Close the controller; see `SalBackend`."""
        await self.controller.close(timeout=timeout)
