"""A writer with the manners of `asyncio.StreamWriter`."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from .connection import TcpConnection

__all__ = ["BytesLike", "TcpStreamWriter"]

#: What can be written.
BytesLike: TypeAlias = bytes | bytearray | memoryview


class TcpStreamWriter:
    """Writes to a connection."""

    def __init__(self, connection: "TcpConnection") -> None:
        self._connection = connection

    def __repr__(self) -> str:
        return f"<{type(self).__name__} transport={self.transport!r}>"

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport; `None` before there is one."""
        return self._connection.transport

    def write(self, data: BytesLike) -> None:
        """Begin to write bytes."""
        self._get_transport().write(data)

    def writelines(self, lines: Iterable[BytesLike]) -> None:
        """Begin to write bytes, one after the other, as they are."""
        self._get_transport().write(b"".join(lines))

    def write_eof(self) -> None:
        """Tell the other end that nothing more will come."""
        self._get_transport().write_eof()

    def can_write_eof(self) -> bool:
        """Tell whether `write_eof` is possible."""
        return self._get_transport().can_write_eof()

    def close(self) -> None:
        """Begin to close the connection, once what was written is sent."""
        self._connection.close()

    def is_closing(self) -> bool:
        """Tell whether the connection is closed, being closed, or not there yet."""
        return self.transport is None or self.transport.is_closing()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed."""
        await self._connection.wait_closed()

    async def drain(self) -> None:
        """Wait until more may be written; ConnectionError if the connection is lost."""
        await self._connection.drain()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport tells about itself, see `asyncio.BaseTransport.get_extra_info`."""
        return default if self.transport is None else self.transport.get_extra_info(name, default)

    def _get_transport(self) -> asyncio.Transport:
        if self.transport is None:
            raise ConnectionError("Not connected")
        return self.transport
