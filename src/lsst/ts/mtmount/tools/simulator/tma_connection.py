"""The connection of one client: hands its stream over, tick by tick."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from ...sal.tai import TaiClock
from .frame_stream import FrameStream
from .pace import Pace
from .stream_server import LINGER_TIMEOUT

__all__ = ["TmaConnection"]

LOG = logging.getLogger(__name__)

#: How much of what a client sends is discarded in one go [bytes].
DISCARD_SIZE = 65536


class TmaConnection:
    """Sends a stream to one client, whose non-blocking socket is closed at the end of `run`.

    ``record`` is called with all bytes that were handed over. With ``stay_open``, this side is not closed
    at the end of the stream before the client closes its own.
    """

    def __init__(
        self,
        sock: socket.socket,
        stream: FrameStream,
        pace: Pace,
        clock: TaiClock,
        *,
        record: Callable[[memoryview], object] | None,
        stay_open: bool,
    ) -> None:
        self.is_complete = False  #: Has the stream come to its end, and was all of it handed over?
        self._sock = sock
        self._stream = stream
        self._pace = pace
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
        stream, pace = self._stream, self._pace
        while not (self._is_stopping or self._peer_has_closed):
            elapsed = self._loop.time() - start
            if pace.is_over(elapsed, stream.next_tick):
                self.is_complete = True
                return
            tick = stream.next_tick
            if elapsed < (wake := pace.next_wake(tick)):
                await self._wait_until(start + wake)
                continue
            chunk = stream.prepare(pace.count_due(elapsed, tick), self._clock.now())
            stream.totals.late_ticks += pace.count_late(elapsed, tick, stream.next_tick - tick)
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
