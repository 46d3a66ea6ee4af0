"""All read methods, in any mix, for any chunking, and all their errors."""

import asyncio
import ctypes
import errno
import json
import logging
import math
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from lsst.ts.mtmount import Client
from lsst.ts.mtmount.core import StructArrayReader

from .peer import TIMEOUT, Peer, wait_until

log = logging.getLogger("test")

ENCODINGS = ["utf-8", "utf-16", "utf-16-be", "utf-32", "latin-1"]
TERMINATORS = [b"\r\n", b"\n", b"\n\r", b"\r\r\n", b"aab", b"XYZZY", b"\1\2\3\4"]


class Triple(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("count", ctypes.c_int16), ("number", ctypes.c_double), ("flag", ctypes.c_bool)]


READS: dict[str, Callable[[Client], Coroutine[Any, Any, Any]]] = {
    "read": lambda client: client.read(10),
    "read all": lambda client: client.read(-1),
    "readexactly": lambda client: client.readexactly(10),
    "readline": lambda client: client.readline(),
    "readuntil": lambda client: client.readuntil(b"X"),
    "read_str": lambda client: client.read_str(),
    "read_json": lambda client: client.read_json(),
    "read_into": lambda client: client.read_into(Triple()),
    "read_array": lambda client: client.read_array(StructArrayReader(Triple), 2),
}
WRITES: dict[str, Callable[[Client], Coroutine[Any, Any, Any]]] = {
    "write": lambda client: client.write(b"data"),
    "writelines": lambda client: client.writelines([b"data"]),
    "write_str": lambda client: client.write_str("data"),
    "write_json": lambda client: client.write_json({}),
    "write_from": lambda client: client.write_from(Triple()),
    "bad json": lambda client: client.write_json(object()),
}

read_methods = pytest.mark.parametrize("read", READS.values(), ids=READS)
all_methods = pytest.mark.parametrize("call", [*READS.values(), *WRITES.values()], ids=[*READS, *WRITES])


def make_client(peer: Peer, **kwargs: Any) -> Client:
    return Client("127.0.0.1", peer.port, log, **kwargs)


async def begin(read: Awaitable[Any]) -> "asyncio.Future[Any]":
    """Start to read, as far as it gets without more bytes."""
    task = asyncio.ensure_future(read)
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def wait_for_bytes(client: Client, n: int) -> None:
    """Wait until that many bytes are unread."""
    await wait_until(lambda: len(client._buffer) == n)


async def end(task: "asyncio.Future[Any]") -> Any:
    async with asyncio.timeout(TIMEOUT):
        return await task


@all_methods
async def test_not_connected(call: Callable[[Client], Coroutine[Any, Any, Any]]) -> None:
    async with Peer() as peer:
        client = make_client(peer)
        with pytest.raises(ConnectionError):
            await call(client)  # not yet
        await client.start_task
        await client.close()
        with pytest.raises(ConnectionError):
            await call(client)
        assert await client._reader.readline() == b""
    with pytest.raises(ConnectionError):
        await call(Client("", 0, log))


@all_methods
async def test_connection_lost_before(call: Callable[[Client], Coroutine[Any, Any, Any]]) -> None:
    async with Peer() as peer, make_client(peer) as client:
        await peer.close()
        await wait_until(lambda: not client.connected)
        with pytest.raises(ConnectionError):
            await call(client)
        assert client.should_be_connected
    async with Peer() as peer, make_client(peer) as client:
        await peer.send(b"unread")
        await peer.reset()
        await wait_until(lambda: not client.connected)
        with pytest.raises(ConnectionError):
            await call(client)


@read_methods
async def test_connection_reset_while_reading(read: Callable[[Client], Coroutine[Any, Any, Any]]) -> None:
    states = []

    async def note(client: Client) -> None:
        states.append(client.connected)

    async with Peer() as peer, make_client(peer, connect_callback=note) as client:
        task = await begin(read(client))
        await peer.reset()
        with pytest.raises(ConnectionError):
            await end(task)
        assert not client.connected
        assert states == [True, False]


@read_methods
async def test_lost_for_another_reason(read: Callable[[Client], Coroutine[Any, Any, Any]]) -> None:
    """No answer to keep-alive probes is no ConnectionError of the standard library's."""
    async with Peer() as peer, make_client(peer) as client:
        task = await begin(read(client))
        client._connection.connection_lost(TimeoutError(errno.ETIMEDOUT, "timed out"))
        with pytest.raises(ConnectionError, match="timed out"):
            await end(task)


@read_methods
async def test_closed_while_reading(read: Callable[[Client], Coroutine[Any, Any, Any]]) -> None:
    async with Peer() as peer, make_client(peer) as client:
        task = await begin(read(client))
        await client.close()
        try:
            assert await end(task) == b""
        except asyncio.IncompleteReadError as error:
            assert error.partial == b""


@pytest.mark.parametrize("data", [b"", b"abc"])
async def test_end_while_reading(data: bytes) -> None:
    async def read_to_the_end(name: str) -> Any:
        async with Peer() as peer, make_client(peer) as client:
            task = await begin(READS[name](client))
            await peer.send(data)
            await peer.close()
            return await end(task)

    assert await read_to_the_end("read") == data
    assert await read_to_the_end("read all") == data
    assert await read_to_the_end("readline") == data
    for name, expected in {
        "readexactly": 10,
        "readuntil": None,
        "read_str": None,
        "read_json": None,
        "read_into": 11,
        "read_array": 22,
    }.items():
        with pytest.raises(asyncio.IncompleteReadError) as info:
            await read_to_the_end(name)
        assert info.value.partial == data
        assert info.value.expected == expected


@read_methods
async def test_cancelled_read_loses_nothing(read: Callable[[Client], Coroutine[Any, Any, Any]]) -> None:
    async with Peer() as peer, make_client(peer) as client:
        await peer.send(b"12345")
        await wait_for_bytes(client, 5)
        task = asyncio.create_task(read(client))
        await asyncio.sleep(0)
        if task.done():
            assert task.result() == b"12345"
            return
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await peer.send(b"6789\n")
        assert await client.readline() == b"123456789\n"


async def test_two_reads_at_once() -> None:
    async with Peer() as peer, make_client(peer) as client:
        task = await begin(client.read_str())
        with pytest.raises(RuntimeError, match="already waiting"):
            await client.readline()
        await peer.send(b"still\r\n")
        assert await end(task) == "still"


async def test_reads_in_turn() -> None:
    """A read that begins just when another one is woken up does not get lost."""
    async with Peer() as peer, make_client(peer) as client:
        first = await begin(client.readexactly(2))
        second = asyncio.ensure_future(client.readexactly(3))
        client._reader.feed_data(b"ab")
        assert await end(first) == b"ab"
        assert client._reader.is_waiting
        await peer.send(b"cde")
        assert await end(second) == b"cde"


async def test_any_mix() -> None:
    """Calls in random order, on bytes that were sent for them in chunks that fit none."""
    rng = random.Random(1)

    def make_call() -> tuple[bytes, Callable[[Client], Awaitable[Any]], Any]:
        n = rng.randrange(1, 400)
        letters = bytes(rng.choices(b"abcdefgh", k=n))
        kind = rng.randrange(7)
        if kind == 0:
            return letters, lambda client: client.readexactly(n), letters
        if kind == 1:
            return letters + b"\n", lambda client: client.readline(), letters + b"\n"
        if kind == 2:
            return letters + b"xyx", lambda client: client.readuntil(b"xyx"), letters + b"xyx"
        if kind == 3:
            return letters + b"\r\n", lambda client: client.read_str(), letters.decode()
        if kind == 4:
            data = {"letters": letters.decode(), "n": n}
            return json.dumps(data).encode() + b"\r\n", lambda client: client.read_json(), data
        if kind == 5:
            array = (Triple * 3)(*(Triple(n, n / 7, bool(n % 2)) for _ in range(3)))
            reader = StructArrayReader(Triple)
            return bytes(array), lambda client: client.read_array(reader, 3), bytes(array)
        struct = Triple(n, n / 3, True)

        async def read_struct(client: Client) -> bytes:
            copy = Triple()
            await client.read_into(copy)
            return bytes(copy)

        return bytes(struct), read_struct, bytes(struct)

    calls = [make_call() for _ in range(400)]
    stream = b"".join(data for data, _, _ in calls)

    async def send_all(peer: Peer) -> None:
        position = 0
        while position < len(stream):
            n = rng.choice([1, 2, 3, 100, 5000])
            await peer.send(stream[position : position + n])
            position += n
            await asyncio.sleep(0)

    async with Peer() as peer, make_client(peer) as client:
        send_task = asyncio.create_task(send_all(peer))
        async with asyncio.timeout(TIMEOUT):
            for _, call, expected in calls:
                result = await call(client)
                assert (result.tobytes() if hasattr(result, "tobytes") else result) == expected
        await send_task
        assert not len(client._buffer)


@pytest.mark.parametrize("terminator", TERMINATORS)
async def test_split_at_every_byte(terminator: bytes) -> None:
    """Through a real socket: the first part has arrived before the second is sent."""
    text = '{"first": "\\r and \\n", "x": [1, 2.5, null]}'
    stream = text.encode() + terminator
    async with Peer() as peer, make_client(peer, terminator=terminator) as client:
        for split in range(1, len(stream)):
            task = await begin(client.read_json())
            await peer.send(stream[:split])
            await wait_for_bytes(client, split)
            await peer.send(stream[split:])
            assert await end(task) == json.loads(text)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("terminator", TERMINATORS)
async def test_encodings_and_terminators(encoding: str, terminator: bytes) -> None:
    text = "données" if encoding == "latin-1" else "data with \U0001f600 in it"
    async with Peer() as peer, make_client(peer, encoding=encoding, terminator=terminator) as client:
        await peer.send(text.encode(encoding) + terminator)
        assert await client.read_str() == text
        await peer.send(json.dumps({"text": text}).encode(encoding) + terminator)
        assert await client.read_json() == {"text": text}
        await client.write_str(text)
        expected = text.encode(encoding) + terminator
        assert await peer.receive(len(expected)) == expected
        await client.write_json([text])
        expected = json.dumps([text]).encode(encoding) + terminator
        assert await peer.receive(len(expected)) == expected


async def test_encoding_and_terminator_may_change() -> None:
    async with Peer() as peer, make_client(peer) as client:
        await peer.send(b"one\r\ntwo|" + "three".encode("utf-16") + b"|")
        assert await client.read_str() == "one"
        client.terminator = b"|"
        assert await client.read_str() == "two"
        client.encoding = "utf-16"
        assert await client.read_str() == "three"


async def test_bytes_that_are_no_text() -> None:
    async with Peer() as peer, make_client(peer) as client:
        await peer.send(b"\xff\xfe\r\ngood\r\n")
        with pytest.raises(UnicodeDecodeError):
            await client.read_str()
        assert await client.read_str() == "good"
        await peer.send(b'{"a": "\xff"}\r\n{}\r\n')
        with pytest.raises(UnicodeDecodeError):
            await client.read_json()
        assert await client.read_json() == {}


@pytest.mark.parametrize(
    "text",
    [
        *("0", "-0", "-0.0", "1e400", "1e-400", "123456789012345678901234567890", "0.1", "-1.5e-7"),
        *("NaN", "Infinity", "-Infinity", "true", "null", '"text \\u00e9 \\ud83d\\ude00"', '"\\ud800"'),
        *("[]", "{}", '{"a": 1, "a": 2}', ' \t[1, {"b": [[]]}]\r', '{"": ""}', "1" * 4300),
    ],
)
async def test_json_is_what_json_loads_returns(text: str) -> None:
    async with Peer() as peer, make_client(peer) as client:
        await peer.send(text.encode() + b"\r\n")
        result, expected = await client.read_json(), json.loads(text)
        assert repr(result) == repr(expected)
        assert type(result) is type(expected)
        if isinstance(expected, float) and not math.isnan(expected):
            assert result == expected


@pytest.mark.parametrize(
    "text",
    ["not valid json", "", "{", '{"a": }', "[1,]", "'a'", '{"quote": \'"}', "nul", "\ufeff{}", "01", "+1"],
)
async def test_bad_json_is_in_the_message(text: str) -> None:
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    async with Peer() as peer, make_client(peer) as client:
        await peer.send(text.encode() + b"\r\n[1]\r\n")
        with pytest.raises(json.JSONDecodeError) as info:
            await client.read_json()
        assert text in str(info.value)
        assert expected.value.msg in str(info.value)
        assert (info.value.doc, info.value.pos) == (text, expected.value.pos)
        assert await client.read_json() == [1]


# Python 3.14 goes deeper than those before, and finds that the second one does not end.
@pytest.mark.parametrize("text", ["1" * 5000, "[" * 60_000])
async def test_json_fails_where_json_loads_fails(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)) as expected:
        json.loads(text)
    error = expected.type
    async with Peer() as peer, make_client(peer) as client:
        await peer.send(text.encode() + b"\r\n[1]\r\n")
        with pytest.raises(error):
            await client.read_json()
        assert await client.read_json() == [1]


@pytest.mark.parametrize("extra", [2, 3, 15])
@pytest.mark.parametrize("name", ["read_str", "read_json"])
async def test_over_the_limit(name: str, extra: int) -> None:
    """The error comes again and again, and nothing is lost."""
    frame = b"7" * (20 + extra)
    async with Peer() as peer, make_client(peer, limit=20, terminator=b"X\n") as client:
        await peer.send(frame)
        await wait_for_bytes(client, len(frame))
        for _ in range(2):
            with pytest.raises(asyncio.LimitOverrunError, match="not found") as info:
                await READS[name](client)
            # The terminator may have begun in the last byte.
            assert info.value.consumed == len(frame) - 1
        await peer.send(b"X\n")
        await wait_for_bytes(client, len(frame) + 2)
        for _ in range(2):
            with pytest.raises(asyncio.LimitOverrunError, match="longer") as info:
                await READS[name](client)
            assert info.value.consumed == len(frame)
        assert await client.readexactly(len(frame)) == frame
        assert await client.readline() == b"X\n"


@pytest.mark.parametrize("extra", [0, 1])
async def test_at_the_limit(extra: int) -> None:
    frame = b"7" * (20 + extra)
    async with Peer() as peer, make_client(peer, limit=20, terminator=b"X\n") as client:
        for split in range(1, len(frame) + 2):
            task = await begin(client.readuntil(b"X\n"))
            await peer.send((frame + b"X\n")[:split])
            await wait_for_bytes(client, split)
            assert not task.done()
            await peer.send((frame + b"X\n")[split:])
            if extra:
                with pytest.raises(asyncio.LimitOverrunError):
                    await end(task)
                assert await client.readexactly(len(frame) + 2) == frame + b"X\n"
            else:
                assert await end(task) == frame + b"X\n"


async def test_line_over_the_limit() -> None:
    async with Peer() as peer, make_client(peer, limit=20) as client:
        await peer.send(b"1" * 21 + b"\n" + b"2" * 20 + b"\n")
        await wait_for_bytes(client, 43)
        with pytest.raises(ValueError, match="longer than limit"):
            await client.readline()
        assert await client.readline() == b"2" * 20 + b"\n"
        await peer.send(b"3" * 40)
        await wait_for_bytes(client, 40)
        with pytest.raises(ValueError, match="not found"):
            await client.readline()
        assert not len(client._buffer)
        await peer.send(b"4\n")
        assert await client.readline() == b"4\n"


async def test_odd_arguments() -> None:
    async with Peer() as peer, make_client(peer) as client:
        assert await client.read(0) == b""
        assert await client.readexactly(0) == b""
        await peer.send(b"a|b|")
        separator: Any = bytearray(b"|")
        assert await client.readuntil(separator) == b"a|"
        with pytest.raises(ValueError, match="Separator"):
            await client.readuntil(b"")
        with pytest.raises(ValueError, match="less than zero"):
            await client.readexactly(-1)
        with pytest.raises(ValueError, match="0 or more, got -1"):
            await client.read_array(StructArrayReader(Triple), -1)
        for wrong in (None, 5, b"bytes", Triple):
            with pytest.raises(TypeError):
                await client.read_into(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await client.readuntil("|")  # type: ignore[arg-type]
        assert await client.read(10) == b"b|"


async def test_more_than_the_limit_at_once() -> None:
    """What a read needs is received, however much it is."""
    data = random.Random(2).randbytes(3_000_000)
    async with Peer() as peer, make_client(peer, limit=1000) as client:
        send_task = asyncio.create_task(peer.send(data, data))
        async with asyncio.timeout(TIMEOUT):
            assert await client.readexactly(len(data)) == data
            await send_task
            await peer.close()
            assert await client.read(-1) == data


async def test_unread_bytes_hold_up_the_sender() -> None:
    limit = 10_000
    data = random.Random(3).randbytes(20_000_000)
    async with Peer() as peer, make_client(peer, limit=limit) as client:
        send_task = asyncio.create_task(peer.send(data))
        await wait_until(lambda: client._connection.is_paused)
        # No receive brings more than this.
        assert 2 * limit < len(client._buffer) <= 2 * limit + (1 << 20)
        assert not send_task.done()
        assert client.connected
        received = bytearray()
        async with asyncio.timeout(TIMEOUT):
            while len(received) < len(data):
                received += await client.read(7000)
                assert len(client._buffer) <= 2 * limit + (1 << 20)
            await send_task
        assert received == data
        assert not client._connection.is_paused


async def test_lines_of_the_reader() -> None:
    async with Peer() as peer, make_client(peer) as client:
        await peer.send(b"one\ntwo\nrest")
        await peer.close()
        assert [line async for line in client._reader] == [b"one\n", b"two\n", b"rest"]
        assert client._reader.at_eof()
        assert client._reader.exception() is None
        assert "eof=True" in repr(client._reader)
