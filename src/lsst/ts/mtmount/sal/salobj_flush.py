"""Flushing salobj's producer when there is something to flush, and Kafka takes it: see `FlushWhenWritten`."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from .send_queue import RETRY_INTERVAL

__all__ = ["FlushWhenWritten"]

#: Longest time between two flushes [s]. At its end, salobj waits 0.5 s for the loop that flushes.
MAX_PAUSE = 0.4

#: How long a message waits for the flush [s], as at most with salobj alone: mostly Kafka has it by then, and
#: the flush need not wait for that.
FLUSH_DELAY = 0.025

#: How long salobj's loop runs to flush once [s]: a little longer than its period.
FLUSH_TIME = 0.03

#: How long what was written to a topic that Kafka does not take puts off the flush [s]: a little longer than
#: librdkafka's default of ``message.timeout.ms``, after which it gives a message up. A flush is needed to get
#: the reports of deliveries out of its queue, which takes 100,000.
MAX_DEFERRAL = 305.0


class FlushWhenWritten:
    """Flushes the producer of a `lsst.ts.salobj.SalInfo` after it wrote something, and now and then.

    salobj flushes it 40 times a second as long as it runs, mostly for nothing: each time its own thread and
    that of librdkafka wake up, which takes nearly as much as all the telemetry at the TMA's rate. This
    takes the place of its ``flush_loop``, and lets that run for one flush at a time.

    A flush blocks the event loop until Kafka has taken all messages. So ``is_taking`` is asked first, about
    the Kafka topics that were written, and nothing is flushed until Kafka takes messages for all of them.
    librdkafka sends these by itself, as soon as it can.
    """

    def __init__(self, salinfo: Any, is_taking: Callable[[str], Awaitable[bool]]) -> None:
        self._flush_loop = salinfo.flush_loop
        self._write_data = salinfo.write_data
        self._is_taking = is_taking
        self._is_stopped = False
        self._asking = asyncio.Lock()
        self._has_written = asyncio.Event()
        # The Kafka topics that were written since the last flush, and when last [s, monotonic].
        self._unflushed: dict[str, float] = {}
        # Nothing is written during a flush: it was not asked about.
        self._may_write = asyncio.Event()
        self._may_write.set()
        salinfo.flush_loop = self._run
        salinfo.write_data = self._write

    async def stop(self) -> None:
        """Ask and flush nothing more: salobj flushes by itself when it is closed."""
        self._is_stopped = True
        self._has_written.set()
        async with self._asking:
            pass  # what was asked has been answered

    async def _write(self, topic_info: Any, *args: Any, **kwargs: Any) -> None:
        await self._may_write.wait()
        self._unflushed[topic_info.kafka_name] = time.monotonic()
        try:
            await self._write_data(topic_info, *args, **kwargs)
        finally:
            # A flush may have come before it was written.
            self._unflushed[topic_info.kafka_name] = time.monotonic()
            self._has_written.set()

    async def _run(self) -> None:
        while not self._is_stopped:
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_INTERVAL if self._unflushed else MAX_PAUSE):
                    await self._has_written.wait()
            if self._has_written.is_set():
                await asyncio.sleep(FLUSH_DELAY)
                self._has_written.clear()
            if await self._may_flush():
                self._unflushed.clear()
                if await self._flush():
                    return

    async def _may_flush(self) -> bool:
        asked = dict(self._unflushed)
        async with self._asking:
            for kafka_topic, written in asked.items():
                if self._is_stopped:
                    return False
                if time.monotonic() - written < MAX_DEFERRAL and not await self._is_taking(kafka_topic):
                    return False
        # What was written meanwhile was not asked about.
        return self._unflushed == asked and not self._is_stopped

    async def _flush(self) -> bool:
        """Flush once; return whether salobj's loop has ended, as it does when salobj ends."""
        self._may_write.clear()
        timer = asyncio.timeout(FLUSH_TIME)
        try:
            async with timer:
                await self._flush_loop()
        except TimeoutError:
            if not timer.expired():
                raise
        finally:
            self._may_write.set()
        return not timer.expired()
