"""One TCP connection: receives straight into a `FrameBuffer`, holds up either side where needed."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Protocol

from ..core import FrameBuffer
from .stream_reader import TcpStreamReader
from .stream_writer import TcpStreamWriter

__all__ = ["FrameSink", "ReceiveTap", "TappedConnection", "TcpConnection", "enable_keep_alive"]

#: Takes frames from the buffer; returns whether it can take more.
FrameSink = Callable[[], bool]

#: Silence after which the other end is probed [seconds].
KEEP_ALIVE_IDLE = 60
#: Time between two probes [seconds].
KEEP_ALIVE_INTERVAL = 15
#: Probes without an answer after which the connection is lost.
KEEP_ALIVE_PROBES = 4


def enable_keep_alive(sock: socket.socket) -> None:
    """Have the operating system notice that the other end is gone; nothing is done if it is not TCP."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_IDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_ALIVE_INTERVAL)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_ALIVE_PROBES)


class TcpConnection(asyncio.BufferedProtocol):
    """The protocol of a connection, for its whole life.

    What is received into the buffer goes to the reader, or to a frame sink where one is
    set. ``on_sink_error`` is called with an exception that the sink raised; the sink is
    not called again.

    Attributes
    ----------
    transport : `asyncio.Transport` or `None`
        The transport; `None` before there is one.
    last_receive_time : `float`
        When bytes were received last, by `time.monotonic` [seconds]; 0 if never.
    state_changed : `asyncio.Event`
        Set when `is_connected` may have changed.
    stream_ended : `asyncio.Future`
        Done when the connection has ended and the sink has taken all frames that came before.
        The result is what broke the connection, an exception, or `None` if it was closed.
    """

    def __init__(self, buffer: FrameBuffer, on_sink_error: Callable[[Exception], object]) -> None:
        self.state_changed = asyncio.Event()
        self.reader = TcpStreamReader(buffer, self)
        self.writer = TcpStreamWriter(self)
        self.transport: asyncio.Transport | None = None
        self.last_receive_time = 0.0
        self.stream_ended: asyncio.Future[Exception | None] = asyncio.Future()
        self._buffer = buffer
        self._on_sink_error = on_sink_error
        self._sink: FrameSink | None = None
        self._is_tls = False
        # Was `close` called?
        self._is_closed = False
        # Will nothing more be received, and why?
        self._has_ended = False
        self._end_reason: Exception | None = None
        self._closed: asyncio.Future[Exception | None] = asyncio.Future()
        self._writing_is_paused = False
        self._drain_waiters: set[asyncio.Future[None]] = set()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to read from and write to.

        After the other end has closed its side there is as long as there are
        unread bytes.
        """
        return (
            self.transport is not None
            and not self._is_closed
            and self.reader.exception() is None
            and not self.reader.at_eof()
        )

    @property
    def is_paused(self) -> bool:
        """Whether nothing is received, though the connection is open."""
        transport = self.transport
        return transport is not None and not transport.is_closing() and not transport.is_reading()

    @property
    def has_sink(self) -> bool:
        """Whether received bytes go to a sink."""
        return self._sink is not None

    def set_sink(self, sink: FrameSink | None) -> None:
        """Set what takes frames, at once and after each receive; see `Client.set_frame_sink`."""
        if sink is not None and self.reader.is_waiting:
            raise RuntimeError("cannot hand frames to a sink while a read is waiting")
        self._sink = sink
        if sink is None:
            self.resume_reading()
            self.reader.note_received()
        else:
            self.run_sink()

    def run_sink(self) -> None:
        """Let the sink take what is in the buffer; receive again if it can take more."""
        if self._sink is None:
            return
        try:
            may_go_on = self._sink()
        except Exception as error:
            self._sink = None
            self.pause_reading()
            if not self.stream_ended.done():
                self.stream_ended.set_result(error)
            self._on_sink_error(error)
            return
        if not may_go_on:
            self.pause_reading()
            return
        self.resume_reading()
        if self._has_ended and not self.stream_ended.done():
            self.stream_ended.set_result(self._end_reason)

    def pause_reading(self) -> None:
        """Receive nothing more."""
        if self.transport is not None and not self.transport.is_closing() and self.transport.is_reading():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        if self.is_paused:
            assert self.transport is not None
            self.transport.resume_reading()

    def close(self) -> None:
        """Begin to close the connection, once what was written is sent."""
        if self.transport is not None and not self._is_closed:
            # Once only: asyncio's TLS transport cannot be used after a second time.
            self._is_closed = True
            self.transport.close()
            self.state_changed.set()

    def abort(self) -> None:
        """Close the connection at once, if it is not closed, without what was written and not sent."""
        if self.transport is not None and not self._closed.done():
            self.close()
            self.transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed; raise what broke it, if anything did."""
        if self.transport is None:
            return
        # Shielded, because others may wait for the same future.
        reason = await asyncio.shield(self._closed)
        if reason is not None:
            raise reason

    async def shut_down(self, timeout: float) -> bool:  # noqa: ASYNC109
        """Close the connection, and wait until it is closed; return False if it was dropped.

        That happens if the other end does not receive within the time-out [seconds] what was
        written.
        """
        if self.transport is None:
            return True
        self.close()
        await asyncio.wait([self._closed], timeout=timeout)
        if self._closed.done():
            return True
        self.transport.abort()
        await asyncio.wait([self._closed], timeout=timeout)
        return False

    async def drain(self) -> None:
        """Wait until more may be written; ConnectionError if the connection is lost."""
        exception = self.reader.exception()
        if exception is not None:
            raise exception
        if self.transport is not None and self.transport.is_closing():
            # `connection_lost` comes in a moment: let a loop of writes and
            # drains notice it.
            await asyncio.sleep(0)
        if self.transport is None or self._closed.done():
            raise ConnectionResetError("Connection lost")
        if not self._writing_is_paused:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._drain_waiters.add(waiter)
        try:
            await waiter
        finally:
            self._drain_waiters.discard(waiter)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        # One that reads and writes, by the contract of `create_connection`;
        # some event loops' are no subclasses.
        self.transport = transport  # type: ignore[assignment]
        self._is_tls = transport.get_extra_info("sslcontext") is not None

    def get_buffer(self, sizehint: int) -> memoryview:
        """Offer memory to receive into."""
        return self._buffer.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was received."""
        self._buffer.buffer_updated(nbytes)
        self.last_receive_time = time.monotonic()
        if self._sink is None:
            self.reader.note_received()
        else:
            self.run_sink()

    def eof_received(self) -> bool:
        """Take note that the other end has closed its side; return whether this side may still write.

        With TLS, which has no half-closed connections, it may not.
        """
        self._end(None)
        self.reader.feed_eof()
        return not self._is_tls

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        self._end(exc)
        if exc is None:
            self.reader.feed_eof()
        else:
            self.reader.set_exception(exc)
        if not self._closed.done():
            self._closed.set_result(exc)
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.set_exception(exc or ConnectionResetError("Connection lost"))

    def pause_writing(self) -> None:
        """Make `drain` wait."""
        self._writing_is_paused = True

    def resume_writing(self) -> None:
        """Let `drain` go on."""
        self._writing_is_paused = False
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _end(self, reason: Exception | None) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._end_reason = reason
        self.run_sink()


class ReceiveTap(Protocol):
    """Takes a copy of all bytes that a connection receives."""

    def record(self, data: bytes) -> object:
        """Take received bytes, at once."""

    def end_stream(self) -> object:
        """Take note that the connection has ended."""


class TappedConnection(TcpConnection):
    """A connection that hands a copy of what it receives to a tap.

    A class of its own, so that a connection without a tap costs nothing more.
    """

    def __init__(
        self, buffer: FrameBuffer, on_sink_error: Callable[[Exception], object], tap: ReceiveTap
    ) -> None:
        super().__init__(buffer, on_sink_error)
        self._tap = tap
        self._offered = memoryview(b"")

    def get_buffer(self, sizehint: int) -> memoryview:
        """Offer memory to receive into."""
        self._offered = super().get_buffer(sizehint)
        return self._offered

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was received."""
        self._tap.record(bytes(self._offered[:nbytes]))
        super().buffer_updated(nbytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        self._tap.end_stream()
        super().connection_lost(exc)
