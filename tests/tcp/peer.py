"""The other end of a client's connection, in the hands of the test."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Self, cast

#: How long anything here may take [seconds].
TIMEOUT = 60.0


async def wait_until(is_true: Callable[[], object]) -> None:
    """Let the event loop run until something is true."""
    async with asyncio.timeout(TIMEOUT):
        while not is_true():
            await asyncio.sleep(0)


class Peer:
    """A TCP server for one client.

    Parameters
    ----------
    tls : `ssl.SSLContext` or `None`
        Speak TLS with that.
    receive_buffer : `int`
        Size of the socket's receive buffer [bytes]; 0: the system's default.
    host : `str`
        Address to listen on.

    Attributes
    ----------
    port : `int`
        Port that it listens on.
    reader, writer
        The streams, once a client has connected.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, receive_buffer: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self.port = 0
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self._tls = tls
        self._host = host
        self._receive_buffer = receive_buffer
        self._is_connected = asyncio.Event()

    async def __aenter__(self) -> Self:
        sock = socket.create_server(
            (self._host, 0), family=socket.AF_INET6 if ":" in self._host else socket.AF_INET
        )
        if self._receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        self._server = await asyncio.start_server(self._serve, sock=sock, ssl=self._tls)
        self.port = sock.getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        if self._is_connected.is_set():
            self.writer.transport.abort()
        async with asyncio.timeout(TIMEOUT):
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._is_connected.set()

    async def wait_connected(self) -> None:
        async with asyncio.timeout(TIMEOUT):
            await self._is_connected.wait()

    async def send(self, *chunks: bytes) -> None:
        """Send chunks; they may arrive as one, or in more pieces."""
        await self.wait_connected()
        for chunk in chunks:
            self.writer.write(chunk)
            async with asyncio.timeout(TIMEOUT):
                await self.writer.drain()

    async def receive(self, n: int) -> bytes:
        """Receive exactly n bytes."""
        await self.wait_connected()
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.readexactly(n)

    async def receive_all(self) -> bytes:
        """Receive until the client has closed."""
        await self.wait_connected()
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.read()

    async def stop_receiving(self) -> None:
        """Take nothing more from the socket."""
        await self.wait_connected()
        cast(asyncio.Transport, self.writer.transport).pause_reading()

    def start_receiving(self) -> None:
        """Take from the socket again."""
        cast(asyncio.Transport, self.writer.transport).resume_reading()

    async def close(self) -> None:
        """Close, after everything is sent."""
        await self.wait_connected()
        self.writer.close()

    async def close_half(self) -> None:
        """Say that nothing more will come."""
        await self.wait_connected()
        self.writer.write_eof()

    async def reset(self) -> None:
        """Break the connection with RST."""
        await self.wait_connected()
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
