"""The clockOffset event: how far the TMA's clock is from ours."""

import asyncio
import logging
import math

from ..constants import CLOCK_OFFSET_EVENT_INTERVAL
from ..core import FrameProcessor
from ..resilience.cancellation import is_cancelled
from ..resilience.escape import describe_error
from ..resilience.rate_limited_log import RateLimitedLog
from ..sal.backend import SalBackend

__all__ = ["ClockOffset"]


class ClockOffset:
    """Writes the event when the processor has a time stamp, and asks for another one after the interval.

    Attributes
    ----------
    next_task : `asyncio.Task`
        Waits until another event may be written.
    offset : `float`
        The TMA's clock minus ours, when it was seen last [s]; NaN before.
    """

    def __init__(self, sal: SalBackend, processor: FrameProcessor, limited_log: RateLimitedLog) -> None:
        self._sal = sal
        self._processor = processor
        self._limited_log = limited_log
        self.offset = math.nan
        # Nothing to wait for yet; a task, so that the attribute is never None.
        self.next_task: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(0))

    def start(self) -> None:
        """Ask for a time stamp."""
        self._processor.clock_is_due = True

    async def write(self) -> None:
        """Publish the offset of the processor's time stamp; a failure is logged and costs that event."""
        self.offset = self._processor.pending_clock - self._sal.clock.now()
        try:
            await self._sal.write_event("clockOffset", offset=self.offset)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            self._limited_log.log(
                "clockOffset failed", logging.ERROR, f"clockOffset failed: {describe_error(error)}"
            )
        self.next_task = asyncio.create_task(asyncio.sleep(CLOCK_OFFSET_EVENT_INTERVAL))
        # Also if a user cancels it: the events go on.
        self.next_task.add_done_callback(lambda _: self.start())

    def refresh(self) -> None:
        """Tell the processor how to stamp records; leap seconds may come."""
        clock = self._sal.clock
        clock.refresh()
        self._processor.set_clock(clock.use_clock_tai, clock.tai_minus_utc)
