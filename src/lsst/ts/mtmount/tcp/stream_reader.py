"""A reader with the manners of `asyncio.StreamReader`, which reads from a `FrameBuffer`."""

import asyncio
import ctypes
import operator
from typing import TYPE_CHECKING, Any

from ..core import FrameBuffer, StructArrayReader, read_struct
from .stream_writer import BytesLike

if TYPE_CHECKING:
    from .connection import TcpConnection

__all__ = ["TcpStreamReader"]


class TcpStreamReader:
    """Reads from a buffer, and waits where it has to.

    The buffer's limit is the reader's: the longest line, and half of what may be unread
    before receiving is paused. ``connection`` is what to hold up then, and told when `at_eof` or
    `exception` may have changed. Exceptions are those of `asyncio.StreamReader`.
    """

    def __init__(self, buffer: FrameBuffer, connection: "TcpConnection | None" = None) -> None:
        self._buffer = buffer
        self._limit = buffer.limit
        self._connection = connection
        self._eof = False
        self._exception: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._buffer)} bytes, eof={self._eof}, e={self._exception!r}>"

    def __aiter__(self) -> "TcpStreamReader":
        return self

    async def __anext__(self) -> bytes:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    @property
    def is_waiting(self) -> bool:
        """Whether a read waits for bytes."""
        return self._waiter is not None

    def at_eof(self) -> bool:
        """Tell whether the end has been reached and everything was read."""
        return self._eof and not len(self._buffer)

    def exception(self) -> Exception | None:
        """Return what broke the connection, if anything did."""
        return self._exception

    def set_exception(self, exception: Exception) -> None:
        """Make all reads fail, the waiting one included."""
        self._exception = exception
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(exception)
        self._note_change()

    def feed_eof(self) -> None:
        """Take note that nothing more will come."""
        self._eof = True
        self._wake()
        self._note_change()

    def feed_data(self, data: bytes) -> None:
        """Take bytes that did not come through the buffer."""
        if data:
            self._buffer.feed(data)
            self.note_received()

    def note_received(self) -> None:
        """Take note that there is more in the buffer."""
        self._wake()
        connection = self._connection
        if connection is not None and not connection.is_paused and len(self._buffer) > 2 * self._limit:
            connection.pause_reading()

    def unread(self, data: bytes) -> None:
        """Put back what was read last, before anything else can come: after the end."""
        self._buffer.feed(data)

    async def read(self, n: int = -1) -> bytes:
        """Read up to n bytes; -1: all until the end."""
        n = operator.index(n)
        self._raise_exception()
        if n == 0:
            return b""
        if n < 0:
            # What came stays in the buffer until the end, so that a cancelled
            # read loses nothing.
            while not self._eof:
                await self._wait_for_data("read")
            n = len(self._buffer)
        while not len(self._buffer) and not self._eof:
            await self._wait_for_data("read")
        return self._take(min(n, len(self._buffer)))

    async def readline(self) -> bytes:
        """Read up to and including a newline; at the end, what there is.

        ValueError if the line is longer than the limit; it is discarded as far as it was received.
        """
        try:
            return await self.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            return error.partial
        except asyncio.LimitOverrunError as error:
            has_end = self._buffer.find(b"\n") == error.consumed
            self._take(error.consumed + 1 if has_end else len(self._buffer))
            raise ValueError(error.args[0]) from None

    async def readuntil(self, separator: BytesLike | tuple[BytesLike, ...] = b"\n") -> bytes:
        """Read up to and including a separator: bytes, or a tuple of them, of which the first end counts."""
        several = separator if isinstance(separator, tuple) else (separator,)
        _, end = await self._find(tuple(sorted((bytes(memoryview(one)) for one in several), key=len)))
        return self._take(end)

    async def read_frame(self, terminator: bytes) -> bytes:
        """Read a frame, and return it without its terminator; errors are those of `readuntil`."""
        start, _ = await self._find((terminator,))
        frame = self._buffer.take(start)
        self._buffer.skip(len(terminator))
        self._note_consumed()
        return frame

    async def readexactly(self, n: int) -> bytes:
        """Read exactly n bytes."""
        if n < 0:
            raise ValueError("readexactly size can not be less than zero")
        await self._gather(n)
        return self._take(n)

    async def read_into(self, struct: ctypes.Structure | ctypes.Union) -> None:
        """Read the bytes of a structure; errors are those of `readexactly`, and TypeError."""
        if not isinstance(struct, ctypes.Structure | ctypes.Union):
            raise TypeError(f"expected a ctypes.Structure or Union, got {struct!r}")
        await self._gather(ctypes.sizeof(struct))
        read_struct(self._buffer, struct)
        self._note_consumed()

    async def read_array(self, structs: StructArrayReader, count: int) -> Any:
        """Read structures into a NumPy array; errors are those of `readexactly`."""
        if count < 0:
            raise ValueError(f"expected a count of 0 or more, got {count}")
        await self._gather(count * structs.itemsize)
        array = structs.read(self._buffer, count)
        self._note_consumed()
        return array

    async def _find(self, separators: tuple[bytes, ...]) -> tuple[int, int]:
        """Wait for one of the separators, shortest first, and return its start and end."""
        if not separators:
            raise ValueError("Separator should contain at least one element")
        if not separators[0]:
            raise ValueError("Separator should be at least one-byte string")
        self._raise_exception()
        buffer = self._buffer
        while True:
            found = [(start, start + len(one)) for one in separators if (start := buffer.find(one)) >= 0]
            if found:
                break
            # The longest one may have begun in the last bytes.
            offset = len(buffer) + 1 - len(separators[-1])
            if offset > self._limit:
                raise asyncio.LimitOverrunError("Separator is not found, and chunk exceed the limit", offset)
            if self._eof:
                raise asyncio.IncompleteReadError(self._take(len(buffer)), None)
            await self._wait_for_data("readuntil")
        start, end = min(found, key=lambda match: match[1])
        if start > self._limit:
            raise asyncio.LimitOverrunError("Separator is found, but chunk is longer than limit", start)
        return start, end

    async def _gather(self, n: int) -> None:
        """Wait until n bytes are there."""
        self._raise_exception()
        while len(self._buffer) < n:
            if self._eof:
                raise asyncio.IncompleteReadError(self._take(len(self._buffer)), n)
            await self._wait_for_data("readexactly")

    async def _wait_for_data(self, method: str) -> None:
        if self._waiter is not None:
            raise RuntimeError(f"{method}() called while another coroutine is already waiting for data")
        if self._connection is not None:
            # Who waits wants more than there is, however much that is.
            self._connection.resume_reading()
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        finally:
            # Woken up, this one may run after another read began to wait.
            if self._waiter is waiter:
                self._waiter = None

    def _raise_exception(self) -> None:
        if self._exception is not None:
            raise self._exception

    def _take(self, n: int) -> bytes:
        data = self._buffer.take(n)
        self._note_consumed()
        return data

    def _note_consumed(self) -> None:
        connection = self._connection
        if connection is not None and connection.is_paused and len(self._buffer) <= self._limit:
            connection.resume_reading()
        if self._eof:
            self._note_change()

    def _note_change(self) -> None:
        if self._connection is not None:
            self._connection.state_changed.set()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
