import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from .tcp_proxy import Cut, Faults, TcpProxy

TIMEOUT = 60
DATA = bytes(range(256)) * 40


class Server:
    """Sends DATA to each client when it has connected, then reads what the client sends."""

    def __init__(self) -> None:
        self.port = 0
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.keeps_open = False
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def run(self) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await asyncio.gather(*self._tasks)
            await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(DATA)
            if not self.keeps_open:
                writer.write_eof()
            await self.received.put(await reader.read())
        except ConnectionError:
            await self.received.put(b"lost")
        finally:
            await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def connected(
    faults: Faults, *, keeps_open: bool = False
) -> AsyncIterator[tuple[TcpProxy, Server, asyncio.StreamReader, asyncio.StreamWriter]]:
    server = Server()
    server.keeps_open = keeps_open
    async with asyncio.timeout(TIMEOUT), server.run(), TcpProxy(server.port, faults) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        try:
            yield proxy, server, reader, writer
        finally:
            await close(writer)


async def test_forwards_both_ways() -> None:
    async with connected(Faults()) as (proxy, server, reader, writer):
        assert await reader.read() == DATA
        writer.write(b"to the server")
        writer.write_eof()
        assert await server.received.get() == b"to the server"
        assert proxy.num_connections == 1
        assert proxy.num_bytes == len(DATA)


@pytest.mark.parametrize("split", [1, 7, 4096])
async def test_splits(split: int) -> None:
    async with connected(Faults(split=split)) as (_, _, reader, _):
        first = await reader.read(len(DATA))
        assert len(first) <= split
        assert first + await reader.read() == DATA


async def test_dribbles() -> None:
    async with connected(Faults(split=1, pause=0.001, cut_after=20)) as (_, _, reader, _):
        pieces = []
        while piece := await reader.read(len(DATA)):
            pieces.append(piece)
        assert b"".join(pieces) == DATA[:20]
        assert len(pieces) > 1


async def test_stalls_without_loss() -> None:
    async with connected(Faults(split=100)) as (proxy, _, reader, _):
        begin = await reader.readexactly(50)
        proxy.stall()
        rest = asyncio.create_task(reader.read())
        # The piece that was on its way may still arrive, the end may not.
        _, pending = await asyncio.wait([rest], timeout=0.05)
        assert pending
        assert proxy.num_bytes < len(DATA)
        proxy.resume()
        assert begin + await rest == DATA


@pytest.mark.parametrize("cut_after", [1, 333, len(DATA)])
async def test_closes_after_exactly_so_many_bytes(cut_after: int) -> None:
    async with connected(Faults(cut_after=cut_after), keeps_open=True) as (proxy, server, reader, _):
        assert await reader.read() == DATA[:cut_after]
        assert proxy.was_cut.is_set()
        assert proxy.num_bytes == cut_after
        await server.received.get()  # the server has noticed as well


async def test_resets() -> None:
    async with connected(Faults(cut_after=333, cut=Cut.RESET), keeps_open=True) as (proxy, _, reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(len(DATA))
        assert proxy.was_cut.is_set()


async def test_half_closes() -> None:
    faults = Faults(cut_after=333, cut=Cut.HALF_CLOSE)
    async with connected(faults, keeps_open=True) as (_, server, reader, writer):
        assert await reader.read() == DATA[:333]
        writer.write(b"still here")
        writer.write_eof()
        assert await server.received.get() == b"still here"


async def test_faults_may_change() -> None:
    async with connected(Faults(cut_after=10)) as (proxy, _, reader, _):
        assert await reader.read() == DATA[:10]
        proxy.faults = Faults()
        second_reader, second_writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await second_reader.read() == DATA
        await close(second_writer)
        assert proxy.num_connections == 2
