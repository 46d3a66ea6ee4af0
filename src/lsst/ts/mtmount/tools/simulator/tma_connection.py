"""The connection of one client: hands its stream over, tick by tick."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass

from ...sal.tai import TaiClock
from .frame_stream import MAX_CHUNK_TICKS, FrameStream, StreamTotals
from .schedule import TICK_INTERVAL

__all__ = ["Pace", "TmaConnection"]

LOG = logging.getLogger(__name__)

#: Shortest time between two wake-ups [s], the resolution of the event loop's
#: timers. Where ticks are due more often, each wake-up handles several.
WAKE_INTERVAL = 0.001

#: A tick that begins this long after it was due is late at any rate [s]: more
#: than grouping ticks and rounding timers up can add.
MIN_LATENESS = 5 * WAKE_INTERVAL

#: What rounding may add to a time, or take from it [ticks].
ROUNDING = 1e-6

#: How long a client may take to read the rest and to close [s].
LINGER_TIMEOUT = 10.0

#: How much of what a client sends is discarded in one go [bytes].
DISCARD_SIZE = 65536


@dataclass(frozen=True)
class Pace:
    """When the ticks of a stream are due, and when it ends."""

    rate: float  #: Multiple of the TMA's full rate; infinity: always due
    #: The stream ends before the first tick that is due this long after its start [s].
    duration: float = math.inf
    max_ticks: float = math.inf  #: The stream ends after this many ticks

    @property
    def interval(self) -> float:
        """Time between two ticks [s]."""
        return TICK_INTERVAL / self.rate

    @property
    def late_after(self) -> float:
        """A tick that begins this long after it was due is late [s]."""
        return max(self.interval, MIN_LATENESS)

    @property
    def end(self) -> float:
        """Number of ticks after which the stream ends, which may be infinity."""
        if math.isinf(self.rate) or math.isinf(self.duration):
            return self.max_ticks
        return min(self.max_ticks, math.ceil(self.duration / self.interval - ROUNDING))

    def is_over(self, elapsed: float, tick: int) -> bool:
        """Tell whether the stream has ended, if ``tick`` comes next, ``elapsed`` after its start [s]."""
        return tick >= self.end or (math.isinf(self.rate) and elapsed >= self.duration)

    def next_wake(self, tick: int) -> float:
        """Return when to wake up, if ``tick`` comes next [s from the start of the stream]."""
        if math.isinf(self.rate):
            return 0.0
        group = max(1, round(WAKE_INTERVAL / self.interval))
        return (min(tick + group, self.end) - 1) * self.interval

    def count_due(self, elapsed: float, tick: int) -> int:
        """Count the ticks from ``tick`` on that are due after a wake-up: at least 1."""
        if math.isinf(self.rate):
            return int(min(MAX_CHUNK_TICKS, self.end - tick))
        num_due = math.floor(elapsed / self.interval + ROUNDING) + 1
        return max(1, int(min(num_due, self.end)) - tick)

    def count_late(self, elapsed: float, tick: int, num_ticks: int) -> int:
        """Count which of ``num_ticks`` ticks from ``tick`` on begin late now."""
        if math.isinf(self.rate):
            return 0
        first_punctual = math.ceil((elapsed - self.late_after) / self.interval)
        return min(max(0, first_punctual - tick), num_ticks)


class TmaConnection:
    """Sends a stream to one client.

    Parameters
    ----------
    sock : `socket.socket`
        Non-blocking. Closed at the end of `run`.
    totals : `StreamTotals`
        Where to count late ticks.
    record : callable, optional
        Called with all bytes that were handed over, as they are.
    stay_open : `bool`
        At the end of the stream, do not close this side before the client
        closes its own?

    Attributes
    ----------
    is_complete : `bool`
        Has the stream come to its end, and was all of it handed over?
    """

    def __init__(
        self,
        sock: socket.socket,
        stream: FrameStream,
        pace: Pace,
        totals: StreamTotals,
        clock: TaiClock,
        *,
        record: Callable[[memoryview], object] | None = None,
        stay_open: bool = False,
    ) -> None:
        self.is_complete = False
        self._sock = sock
        self._stream = stream
        self._pace = pace
        self._totals = totals
        self._clock = clock
        self._record = record
        self._stay_open = stay_open
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._is_stopping = False
        self._peer_has_closed = False

    async def run(self) -> None:
        """Send the stream until it ends, the client leaves, or `stop` is called.

        Then close this side, and wait (within a bound) for the client to have
        read everything and to close.
        """
        self._loop.add_reader(self._sock, self._discard_input)
        try:
            await self._send_ticks()
            if not self._stay_open:
                self._sock.shutdown(socket.SHUT_WR)
            await self._wait_for_peer(self._loop.time() + LINGER_TIMEOUT)
        except OSError as error:
            LOG.info("Client lost: %s", error)
        finally:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def stop(self) -> None:
        """End the stream after the ticks that are being sent."""
        self._is_stopping = True
        self._wake()

    async def _send_ticks(self) -> None:
        start = self._loop.time()
        stream, pace, totals = self._stream, self._pace, self._totals
        while not (self._is_stopping or self._peer_has_closed):
            elapsed = self._loop.time() - start
            if stream.at_end or pace.is_over(elapsed, stream.next_tick):
                self.is_complete = True
                return
            tick = stream.next_tick
            if elapsed < (wake := pace.next_wake(tick)):
                await self._wait_until(start + wake)
                continue
            chunk = stream.prepare(pace.count_due(elapsed, tick), self._clock.now())
            totals.late_ticks += pace.count_late(elapsed, tick, stream.next_tick - tick)
            await self._send(chunk)
            # A client that takes everything at once must not starve the others.
            await asyncio.sleep(0)

    async def _send(self, chunk: memoryview) -> None:
        num_sent = 0
        try:
            while num_sent < len(chunk) and not self._peer_has_closed:
                try:
                    num_sent += self._sock.send(chunk[num_sent:])
                except BlockingIOError:
                    await self._wait_for_room()
        finally:
            self._stream.account(num_sent)
            if self._record is not None:
                self._record(chunk[:num_sent])

    def _discard_input(self) -> None:
        """Read what the client sends, which the TMA ignores, until it closes."""
        try:
            is_open = bool(self._sock.recv(DISCARD_SIZE))
        except BlockingIOError:
            return
        except OSError as error:
            LOG.info("Client lost: %s", error)
            is_open = False
        if not is_open:
            self._loop.remove_reader(self._sock)
            self._peer_has_closed = True
            self._wake()

    async def _wait_for_room(self) -> None:
        self._loop.add_writer(self._sock, self._wake)
        try:
            await self._wait()
        finally:
            self._loop.remove_writer(self._sock)

    async def _wait_until(self, deadline: float) -> None:
        """Wait until a time of the loop's clock, or until there is another reason to go on."""
        timer = self._loop.call_at(deadline, self._wake)
        try:
            await self._wait()
        finally:
            timer.cancel()

    async def _wait_for_peer(self, deadline: float) -> None:
        while not self._peer_has_closed and self._loop.time() < deadline:
            await self._wait_until(deadline)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
