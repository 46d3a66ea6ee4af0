"""A TMA whose every byte a test decides."""

import asyncio
import contextlib
import socket
from typing import Self


class ScriptedTma:
    """A TCP server for one client at a time; sends what it is told to.

    Attributes
    ----------
    port : `int`
        Port that it listens on.
    """

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None
        self._connected = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        self.close_connection()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own, to wait for: a loop that ends before leaves its socket open.
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ended.clear()
        self._connected.set()
        try:
            await reader.read()
        except ConnectionError:
            pass  # the client went away in its own manner; that is no fault
        finally:
            self._connected.clear()
            self._ended.set()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def wait_connected(self) -> None:
        async with asyncio.timeout(60):
            await self._connected.wait()

    async def wait_disconnected(self) -> None:
        async with asyncio.timeout(60):
            await self._ended.wait()

    async def send(self, *frames: bytes, terminator: bytes = b"\r\n", chunk: int = 0) -> None:
        """Send frames, each with its terminator; in chunks of that many bytes if not 0."""
        await self.wait_connected()
        assert self._writer is not None
        data = b"".join(frame + terminator for frame in frames)
        for start in range(0, len(data), chunk or len(data) or 1):
            self._writer.write(data[start : start + chunk] if chunk else data)
            await self._writer.drain()

    def close_connection(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def reset_connection(self) -> None:
        """Close with RST."""
        assert self._writer is not None
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._writer.transport.abort()
