"""All write methods and their errors, and the writer."""

import asyncio
import ctypes
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lsst.ts.mtmount import Client

from .peer import TIMEOUT, Peer, wait_until

log = logging.getLogger("test")


class Pair(ctypes.BigEndianStructure):
    _fields_ = [("count", ctypes.c_int32), ("number", ctypes.c_float)]


def make_client(peer: Peer, **kwargs: Any) -> Client:
    return Client("127.0.0.1", peer.port, log, **kwargs)


async def test_everything_is_sent_in_order() -> None:
    structs = (Pair(1, 2.5), Pair(-3, 4.5))
    async with Peer() as peer, make_client(peer) as client:
        await client.write(b"bytes")
        await client.write(b"")
        await client.write(bytearray(b"more"))
        await client.writelines([b"a\n", b"b\n"])
        await client.writelines(line for line in (b"c", b"d"))
        await client.write_from(*structs)
        await client.write_from()
        await client.write_str("é")
        await client.write_json({"a": [1, None, "\U0001f600"]})
        await client.close()
        assert await peer.receive_all() == b"".join(
            [
                b"bytesmorea\nb\ncd",
                *(bytes(struct) for struct in structs),
                "é\r\n".encode(),
                json.dumps({"a": [1, None, "\U0001f600"]}).encode() + b"\r\n",
            ]
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.write("text"),
        lambda client: client.write(5),
        lambda client: client.writelines(["text"]),
        lambda client: client.writelines([b"ok", None]),
        lambda client: client.write_str(b"bytes"),
        lambda client: client.write_str(None),
        lambda client: client.write_str("\ud800"),
        lambda client: client.write_json(object()),
        lambda client: client.write_json({b"bytes": 1}),
        lambda client: client.write_json([client]),
        lambda client: client.write_from(b"bytes"),
        lambda client: client.write_from(Pair(), 5),
    ],
)
async def test_data_that_cannot_be_encoded(call: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    async with Peer() as peer, make_client(peer) as client:
        with pytest.raises((TypeError, ValueError)):
            await call(client)
        assert client.connected
        await client.close()
        assert await peer.receive_all() == b""


async def test_circular_json() -> None:
    circle: list[Any] = []
    circle.append(circle)
    async with Peer() as peer, make_client(peer) as client:
        with pytest.raises(ValueError, match="Circular"):
            await client.write_json(circle)


async def test_text_that_the_encoding_lacks() -> None:
    async with Peer() as peer, make_client(peer, encoding="ascii") as client:
        with pytest.raises(UnicodeEncodeError):
            await client.write_str("é")
        await client.write_json("é")
        assert await peer.receive(10) == b'"\\u00e9"\r\n'


async def test_write_waits_for_the_peer() -> None:
    data = bytes(10_000_000)
    async with Peer(receive_buffer=4096) as peer, make_client(peer) as client:
        await peer.stop_receiving()
        tasks = [asyncio.create_task(client.write(data)) for _ in range(2)]
        done, _ = await asyncio.wait(tasks, timeout=0.05)
        assert not done
        peer.start_receiving()
        assert await peer.receive(2 * len(data)) == data + data
        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(*tasks)


async def test_connection_lost_while_writing() -> None:
    states = []

    async def note(client: Client) -> None:
        states.append(client.connected)

    async with (
        Peer(receive_buffer=4096) as peer,
        make_client(peer, connect_callback=note, monitor_connection_interval=0) as client,
    ):
        await peer.stop_receiving()
        tasks = [asyncio.create_task(client.write(bytes(20_000_000))) for _ in range(2)]
        done, _ = await asyncio.wait(tasks, timeout=0.05)
        assert not done
        await peer.reset()
        async with asyncio.timeout(TIMEOUT):
            errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(error, ConnectionError) for error in errors)
        assert not client.connected
        assert states == [True, False]


async def test_writes_into_a_broken_connection_fail_in_the_end() -> None:
    async with Peer() as peer, make_client(peer) as client:
        await peer.reset()

        async def write_on() -> None:
            while True:
                await client.write(b"anybody there?")
                await asyncio.sleep(0)

        with pytest.raises(ConnectionError):
            async with asyncio.timeout(TIMEOUT):
                await write_on()


async def test_writer() -> None:
    async with Peer() as peer:
        client = make_client(peer)
        writer = client._writer
        assert writer.is_closing()
        assert writer.get_extra_info("peername", "nobody") == "nobody"
        with pytest.raises(ConnectionError):
            writer.write(b"too early")
        with pytest.raises(ConnectionError):
            await writer.drain()
        await writer.wait_closed()
        await client.start_task
        assert not writer.is_closing()
        assert writer.get_extra_info("peername") == ("127.0.0.1", peer.port)
        assert writer.transport is not None
        assert "transport" in repr(writer)
        writer.write(b"one ")
        writer.writelines([b"two", b" three"])
        await writer.drain()
        assert writer.can_write_eof()
        writer.write_eof()
        assert await peer.receive_all() == b"one two three"
        await peer.send(b"an answer\n")
        assert await client.readline() == b"an answer\n"
        writer.close()
        assert writer.is_closing()
        assert not client.connected
        async with asyncio.timeout(TIMEOUT):
            await writer.wait_closed()
        with pytest.raises(ConnectionError):
            await writer.drain()
        await client.close()


async def test_wait_closed_tells_what_broke_the_connection() -> None:
    async with Peer() as peer, make_client(peer) as client:
        await peer.reset()
        await wait_until(lambda: not client.connected)
        with pytest.raises(ConnectionResetError):
            await client._writer.wait_closed()
