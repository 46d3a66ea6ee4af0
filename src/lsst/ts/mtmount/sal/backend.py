"""What the telemetry client needs of SAL, whoever provides it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from ..tma_interface import TmaInterface
from .publisher import KafkaPublisher
from .tai import TaiClock

__all__ = ["SalBackend"]


class SalBackend(Protocol):
    """What the telemetry client needs of SAL, whoever provides it.

    It starts when it is made, in a running event loop.
    """

    #: A `Controller`, or salobj's. For users: the life cycle, and the topics as ``tel_...`` and ``evt_...``.
    controller: Any
    log: logging.Logger  #: The controller's logger
    publisher: KafkaPublisher  #: Where telemetry goes
    clock: TaiClock
    tma_interface: TmaInterface  #: What the TMA sends, its members in the fields of the SAL topics
    start_task: asyncio.Task[None]  #: Done when messages can be published; it raises what prevents that

    async def write_event(self, name: str, **fields: Any) -> None:
        """Set an event's fields, by names without ``evt_``, and write it if a value changed.

        What the SAL interface lacks, event or field, is passed over: there
        was a warning at the start.
        """

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109
        """Publish what is queued, at most for ``timeout`` [s], and close the controller."""
