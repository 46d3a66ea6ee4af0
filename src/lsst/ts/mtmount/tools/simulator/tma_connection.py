"""The connection of one client: hands its stream over, tick by tick."""

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

from ...sal.tai import TaiClock
from .frame_stream import FrameStream
from .stream_server import LINGER_TIMEOUT
from .tick_pace import Pace

__all__ = ["TmaConnection"]

LOG = logging.getLogger(__name__)

#: How much of what a client sends is discarded in one go [bytes].
DISCARD_SIZE = 65536


@dataclass(eq=False)
class TmaConnection:
    """Sends a stream to one client."""

    sock: socket.socket  #: The client's, non-blocking; closed at the end of `run`
    stream: FrameStream
    pace: Pace
    clock: TaiClock
    record: Callable[[memoryview], object] | None  #: Called with all bytes that were handed over
    stay_open: bool  #: Is this side not closed at the end of the stream before the client closes its own?
    is_complete: bool = False  #: Has the stream come to its end, and was all of it handed over?

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake_up = asyncio.Event()
        self._is_stopping = False
        self._peer_has_closed = False

    async def run(self) -> None:
        """Send the stream until it ends, the client leaves, or `stop` is called.

        Then close this side, and wait (within a bound) for the client to have
        read everything and to close.
        """
        self._loop.add_reader(self.sock, self._discard_input)
        try:
            await self._send_ticks()
            if not self.stay_open:
                self.sock.shutdown(socket.SHUT_WR)
            deadline = self._loop.time() + LINGER_TIMEOUT
            while not self._peer_has_closed and self._loop.time() < deadline:
                await self._wait_until(deadline)
        except OSError as error:
            LOG.info("Client lost: %s", error)
        finally:
            self._loop.remove_reader(self.sock)
            self.sock.close()

    def stop(self) -> None:
        """End the stream after the ticks that are being sent."""
        self._is_stopping = True
        self._wake_up.set()

    async def _send_ticks(self) -> None:
        start = self._loop.time()
        stream, pace = self.stream, self.pace
        while not (self._is_stopping or self._peer_has_closed):
            elapsed = self._loop.time() - start
            if pace.is_over(elapsed, stream.next_tick):
                self.is_complete = True
                return
            tick = stream.next_tick
            if elapsed < (wake := pace.next_wake(tick)):
                await self._wait_until(start + wake)
                continue
            chunk = stream.prepare(pace.count_due(elapsed, tick), self.clock.now())
            stream.totals.late_ticks += pace.count_late(elapsed, tick, stream.next_tick - tick)
            await self._send(chunk)
            # A client that takes everything at once must not starve the others.
            await asyncio.sleep(0)

    async def _send(self, chunk: memoryview) -> None:
        num_sent = 0
        try:
            while num_sent < len(chunk) and not self._peer_has_closed:
                try:
                    num_sent += self.sock.send(chunk[num_sent:])
                except BlockingIOError:
                    await self._wait_for_room()
        finally:
            self.stream.account(num_sent)
            if self.record is not None:
                self.record(chunk[:num_sent])

    def _discard_input(self) -> None:
        """Read what the client sends, which the TMA ignores, until it closes."""
        try:
            is_open = bool(self.sock.recv(DISCARD_SIZE))
        except BlockingIOError:
            return
        except OSError as error:
            LOG.info("Client lost: %s", error)
            is_open = False
        if not is_open:
            self._loop.remove_reader(self.sock)
            self._peer_has_closed = True
            self._wake_up.set()

    async def _wait_for_room(self) -> None:
        self._loop.add_writer(self.sock, self._wake_up.set)
        try:
            await self._wait()
        finally:
            self._loop.remove_writer(self.sock)

    async def _wait_until(self, deadline: float) -> None:
        """Wait until a time of the loop's clock, or until there is another reason to go on."""
        timer = self._loop.call_at(deadline, self._wake_up.set)
        try:
            await self._wait()
        finally:
            timer.cancel()

    async def _wait(self) -> None:
        self._wake_up.clear()
        await self._wake_up.wait()
