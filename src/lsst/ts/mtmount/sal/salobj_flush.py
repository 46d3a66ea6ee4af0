"""Flushing salobj's producer when there is something to flush: see `FlushWhenWritten`."""

import asyncio
from contextlib import suppress
from typing import Any

__all__ = ["FlushWhenWritten"]

#: Longest time between two flushes [s]. At its end, salobj waits 0.5 s for the loop that flushes.
MAX_PAUSE = 0.4

#: How long a message waits for the flush [s], as at most with salobj alone: mostly Kafka has it by then, and
#: the flush need not wait for that.
FLUSH_DELAY = 0.025

#: How long salobj's loop runs to flush once [s]: a little longer than its period.
FLUSH_TIME = 0.03


class FlushWhenWritten:
    """Flushes the producer of a `lsst.ts.salobj.SalInfo` after it wrote something, and now and then.

    salobj flushes it 40 times a second as long as it runs, mostly for nothing: each time its own thread and
    that of librdkafka wake up, which takes nearly as much as all the telemetry at the TMA's rate. This
    takes the place of its ``flush_loop``, and lets that run for one flush at a time.
    """

    def __init__(self, salinfo: Any) -> None:
        self._flush_loop = salinfo.flush_loop
        self._write_data = salinfo.write_data
        self._has_written = asyncio.Event()
        salinfo.flush_loop = self._run
        salinfo.write_data = self._write

    async def _write(self, *args: Any, **kwargs: Any) -> None:
        try:
            await self._write_data(*args, **kwargs)
        finally:
            self._has_written.set()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(MAX_PAUSE):
                    await self._has_written.wait()
                    self._has_written.clear()
                    await asyncio.sleep(FLUSH_DELAY)
            timer = asyncio.timeout(FLUSH_TIME)
            try:
                async with timer:
                    await self._flush_loop()
            except TimeoutError:
                if not timer.expired():
                    raise
            if not timer.expired():
                # It ends when salobj does.
                return
