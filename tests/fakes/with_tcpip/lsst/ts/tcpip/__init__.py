"""A fake of the observatory's ``lsst.ts.tcpip``, for tests of our client beside it.

Put ``tests/fakes/with_tcpip`` on the path, and it is importable under the real
name. It conforms in what a client meets: a server that serves one client and
turns others away, with text, JSON and structures over one connection.
"""

from __future__ import annotations

import abc
import asyncio
import ctypes
import json
import logging
from types import TracebackType
from typing import Any

__version__ = "2.0.fake"


class BaseClientOrServer(abc.ABC):  # noqa: B024
    def __init__(self, encoding: str = "utf-8", terminator: bytes = b"\r\n") -> None:
        self.encoding = encoding
        self.terminator = terminator
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    @property
    def connected(self) -> bool:
        return self.writer is not None and not self.writer.is_closing()

    async def read_str(self) -> str:
        assert self.reader is not None
        line = await self.reader.readuntil(self.terminator)
        return line[: -len(self.terminator)].decode(self.encoding)

    async def read_json(self) -> Any:
        return json.loads(await self.read_str())

    async def read_into(self, struct: ctypes.Structure) -> None:
        assert self.reader is not None
        data = await self.reader.readexactly(ctypes.sizeof(struct))
        ctypes.memmove(ctypes.addressof(struct), data, len(data))

    async def write(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)
        await self.writer.drain()

    async def write_str(self, line: str) -> None:
        await self.write(line.encode(self.encoding) + self.terminator)

    async def write_json(self, data: Any) -> None:
        await self.write_str(json.dumps(data))

    async def write_from(self, *structs: ctypes.Structure) -> None:
        await self.write(b"".join(bytes(struct) for struct in structs))


class Client(BaseClientOrServer):
    """What our client is to isinstance."""


class OneClientServer(BaseClientOrServer):
    def __init__(
        self,
        host: str,
        port: int,
        log: logging.Logger,
        *,
        encoding: str = "utf-8",
        terminator: bytes = b"\r\n",
    ) -> None:
        super().__init__(encoding, terminator)
        self.host = host
        self.port = port
        self.connected_task: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.start_task = asyncio.create_task(self.start())
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._set_reader_writer, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _set_reader_writer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.connected:
            writer.close()
            return
        self.reader, self.writer = reader, writer
        self.connected_task.set_result(None)

    async def close_client(self) -> None:
        assert self.writer is not None
        self.writer.close()

    async def __aenter__(self) -> OneClientServer:
        await self.start_task
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        if self.writer is not None:
            self.writer.close()
        await self._server.wait_closed()
