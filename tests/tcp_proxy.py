"""A TCP proxy that does to connections what networks do to them."""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Self

READ_SIZE = 65536


class Cut(Enum):
    """How the proxy ends a connection."""

    CLOSE = "close both ways"
    RESET = "RST: what the receiver has not read yet may be lost"
    HALF_CLOSE = "no more to the client; the client may still send"


@dataclass
class Faults:
    """What happens to the bytes on their way from the server to a client.

    Parameters
    ----------
    split
        Hand over at most this many bytes at a time; 0: as they come.
    pause
        Time between two pieces [s]. With ``split=1`` the stream dribbles.
    cut_after
        End a connection after exactly this many bytes, which may be in the
        middle of a frame; None: never.
    cut
        How to end it.
    """

    split: int = 0
    pause: float = 0.0
    cut_after: int | None = None
    cut: Cut = Cut.CLOSE


class TcpProxy:
    """Forwards connections to a server, with faults. An async context manager.

    Parameters
    ----------
    server_port
        Port of the server, on the loopback address.
    faults
        The faults; they may be replaced at any time.
    port
        Port to listen on; 0 for any free one.

    Attributes
    ----------
    port
        Port for clients.
    num_connections
        Number of clients that have connected so far.
    num_bytes
        Bytes handed over to clients so far.
    was_cut
        Set when a connection was cut as ``faults`` say.
    """

    def __init__(self, server_port: int, faults: Faults | None = None, port: int = 0) -> None:
        self.faults = faults or Faults()
        self.port = port
        self.num_connections = 0
        self.num_bytes = 0
        self.was_cut = asyncio.Event()
        self._server_port = server_port
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    def stall(self) -> None:
        """Hand over nothing more to clients; their connections stay."""
        self._flowing.clear()

    def resume(self) -> None:
        """Go on after a stall, without loss."""
        self._flowing.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio reports its own one as failed if it is cancelled.
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Also if the task is cancelled before it has begun.
        task.add_done_callback(lambda _: writer.close())
        self.num_connections += 1

    async def _serve(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        writers = [client_writer]
        try:
            # Each piece is a packet of its own, as far as that can be had.
            client_writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            writers.append(server_writer)
            async with asyncio.TaskGroup() as group:
                upstream = group.create_task(_copy(client_reader, server_writer))
                group.create_task(self._deliver(server_reader, client_writer, upstream))
        except* OSError:
            pass  # either end went away: so does the other
        finally:
            # All at once: the wait may be cancelled.
            for writer in writers:
                writer.close()
            for writer in writers:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _deliver(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: asyncio.Task[None]
    ) -> None:
        """Forward from the server to a client."""
        num_delivered = 0
        while data := await reader.read(READ_SIZE):
            while data:
                await self._flowing.wait()
                size = self.faults.split or len(data)
                if self.faults.cut_after is not None:
                    size = min(size, self.faults.cut_after - num_delivered)
                piece, data = data[:size], data[size:]
                writer.write(piece)
                await writer.drain()
                num_delivered += len(piece)
                self.num_bytes += len(piece)
                if num_delivered == self.faults.cut_after:
                    self._cut(writer, upstream)
                    return
                # A client in this event loop receives each piece by itself: its
                # socket is found readable in the next turn, and read at its end.
                await asyncio.sleep(self.faults.pause)
                await asyncio.sleep(0)
        if writer.can_write_eof():
            writer.write_eof()

    def _cut(self, writer: asyncio.StreamWriter, upstream: asyncio.Task[None]) -> None:
        self.was_cut.set()
        if self.faults.cut is Cut.HALF_CLOSE:
            writer.write_eof()
            return
        if self.faults.cut is Cut.RESET:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        upstream.cancel()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward from a client to the server, as it comes."""
    while data := await reader.read(READ_SIZE):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
