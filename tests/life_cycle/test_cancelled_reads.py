"""A read that is cancelled, wherever it waits, loses nothing."""

import asyncio
import ctypes
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lsst.ts.mtmount import Client
from lsst.ts.mtmount.core import StructArrayReader

from .ends import CancelledAt


class Pair(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("number", ctypes.c_uint32), ("value", ctypes.c_double))


PAIRS = (Pair * 2)(Pair(1, 1.5), Pair(2, 2.5))


async def read_into(client: Client) -> bytes:
    pair = Pair()
    await client.read_into(pair)
    return bytes(pair)


async def read_array(client: Client) -> bytes:
    return (await client.read_array(StructArrayReader(Pair), 2)).tobytes()


#: What is sent, and how it is read; whether what is read is all that is sent before the end.
READS: dict[str, tuple[bytes, Callable[[Client], Awaitable[Any]], Any]] = {
    "read": (b"abcdef", lambda client: client.read(100), b"abcdef"),
    "read to the end": (b"abcdef", lambda client: client.read(-1), b"abcdef"),
    "readexactly": (b"abcdef", lambda client: client.readexactly(6), b"abcdef"),
    "readline": (b"abcde\n", lambda client: client.readline(), b"abcde\n"),
    "readline without an end": (b"abcdef", lambda client: client.readline(), b"abcdef"),
    "readuntil": (b"abcde;", lambda client: client.readuntil(b";"), b"abcde;"),
    "readuntil one of two": (b"abcd==", lambda client: client.readuntil((b";", b"==")), b"abcd=="),
    "read_str": (b"abcd\r\n", lambda client: client.read_str(), "abcd"),
    "read_json": (b'{"a": 1}\r\n', lambda client: client.read_json(), {"a": 1}),
    "read_into": (bytes(PAIRS[0]), read_into, bytes(PAIRS[0])),
    "read_array": (bytes(PAIRS), read_array, bytes(PAIRS)),
}

#: Reads that cannot have what they want: what is sent is their error's ``partial``.
SHORT_READS: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "readexactly": lambda client: client.readexactly(100),
    "readuntil": lambda client: client.readuntil(b";"),
    "readuntil one of two": lambda client: client.readuntil((b";", b"==")),
    "read_str": lambda client: client.read_str(),
    "read_json": lambda client: client.read_json(),
    "read_into": read_into,
    "read_array": read_array,
}


async def read_with_a_cancellation(
    data: bytes, read: Callable[[Client], Awaitable[Any]], *, at: int
) -> tuple[Any, bool]:
    """Read while data come in two parts and the connection is closed; return the result.

    The read is cancelled at the given wait, if it waits so often, which is returned as well, and tried again.
    """
    is_waiting = asyncio.Event()

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await is_waiting.wait()
        for part in (data[: len(data) // 2], data[len(data) // 2 :]):
            writer.write(part)
            await writer.drain()
            for _ in range(5):
                await asyncio.sleep(0)
        writer.close()

    async def report(client: Client) -> None:
        # Slowly: the read waits for it, with what it has taken.
        for _ in range(3):
            await asyncio.sleep(0)

    async def run() -> Any:
        return await read(client)

    server = await asyncio.start_server(send, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    was_cancelled = False
    async with asyncio.timeout(60), Client("127.0.0.1", port, logging.getLogger("test"), report) as client:
        task = asyncio.ensure_future(CancelledAt(run(), at))
        asyncio.get_running_loop().call_soon(is_waiting.set)
        await asyncio.wait([task])
        if task.cancelled():
            was_cancelled = True
            task = asyncio.ensure_future(run())
            await asyncio.wait([task])
        try:
            result = task.result()
        except asyncio.IncompleteReadError as error:
            result = error.partial
        if isinstance(result, bytes) and client.connected:
            # A plain `read` returns what there is.
            result += await client.read(-1)
    server.close()
    await server.wait_closed()
    return result, was_cancelled


@pytest.mark.parametrize("name", READS)
async def test_a_cancelled_read_loses_nothing(name: str) -> None:
    data, read, expected = READS[name]
    for at in range(20):
        result, was_cancelled = await read_with_a_cancellation(data, read, at=at)
        assert result == expected
        if not was_cancelled:
            break
    assert at >= 1, "there is at least one wait to be cancelled at"
    assert not was_cancelled, "and all were tried"


@pytest.mark.parametrize("name", SHORT_READS)
async def test_a_cancelled_read_that_gets_too_little_loses_nothing(name: str) -> None:
    for at in range(20):
        result, was_cancelled = await read_with_a_cancellation(b"abcdef", SHORT_READS[name], at=at)
        assert result == b"abcdef"
        if not was_cancelled:
            break
    # Two parts and the report of the end.
    assert at >= 2
    assert not was_cancelled
