"""Frames go to a sink as they are received; back-pressure, the end, and errors."""

import asyncio
import logging
import random
import time
from typing import Any

import pytest

from lsst.ts.mtmount import Client

from .peer import TIMEOUT, Peer, wait_until

log = logging.getLogger("test")


def make_client(peer: Peer, **kwargs: Any) -> Client:
    return Client("127.0.0.1", peer.port, log, **kwargs)


class Sink:
    """Takes frames; blocks after each `room` frames."""

    def __init__(self, client: Client, room: int = 10**9) -> None:
        self.client = client
        self.room = room
        self.frames: list[bytes] = []
        self.num_calls = 0
        self.is_blocked = asyncio.Event()

    def __call__(self) -> bool:
        self.num_calls += 1
        for _ in range(self.room):
            frame = self.client._buffer.next_frame()
            if frame is None:
                return True
            self.frames.append(frame)
        self.is_blocked.set()
        return False

    async def wait_blocked(self) -> None:
        async with asyncio.timeout(TIMEOUT):
            await self.is_blocked.wait()
        self.is_blocked.clear()


async def resume_until_the_end(client: Client, sink: Sink) -> Exception | None:
    """Go on each time when the sink was blocked; return why the stream has ended."""
    client.stream_ended.add_done_callback(lambda _: sink.is_blocked.set())
    while True:
        await sink.wait_blocked()
        if client.stream_ended.done():
            return client.stream_ended.result()
        client.resume_frames()


async def wait_ended(client: Client) -> Exception | None:
    async with asyncio.timeout(TIMEOUT):
        return await asyncio.shield(client.stream_ended)


async def test_frames_come_as_they_are_received() -> None:
    async with Peer() as peer, make_client(peer) as client:
        sink = Sink(client)
        client.set_frame_sink(sink)
        await peer.send(b"one\r\ntwo\r")
        await wait_until(lambda: sink.frames == [b"one"])
        await peer.send(b"\n\r\nthr")
        await wait_until(lambda: sink.frames == [b"one", b"two", b""])
        await peer.send(b"ee\r\n")
        await wait_until(lambda: len(sink.frames) == 4)
        assert sink.frames[3] == b"three"
        assert not client.stream_ended.done()
        await peer.close()
        assert await wait_ended(client) is None
        assert not client.connected


async def test_buffered_frames_are_handed_over_at_once() -> None:
    async with Peer() as peer, make_client(peer) as client:
        await peer.send(b"line\none\r\ntwo\r\nthr")
        await wait_until(lambda: len(client._buffer) == 18)
        assert await client.readline() == b"line\n"
        sink = Sink(client)
        client.set_frame_sink(sink)
        assert sink.frames == [b"one", b"two"]
        assert client.connected


async def test_back_to_the_read_methods() -> None:
    async with Peer() as peer, make_client(peer) as client:
        sink = Sink(client, room=1)
        client.set_frame_sink(sink)
        await peer.send(b"one\r\ntwo\r\nthree\n")
        await sink.wait_blocked()
        client.set_frame_sink(None)
        assert await client.read_str() == "two"
        assert await client.readline() == b"three\n"
        await peer.send(b"four\r\n")
        assert await client.read_str() == "four"
        assert sink.frames == [b"one"]


async def test_reads_and_a_sink_exclude_each_other() -> None:
    async with Peer() as peer, make_client(peer) as client:
        task = asyncio.create_task(client.read_str())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="a read is waiting"):
            client.set_frame_sink(Sink(client))
        await peer.send(b"one\r\n")
        assert await task == "one"
        client.set_frame_sink(Sink(client))
        with pytest.raises(RuntimeError, match="handed to a sink"):
            await client.readline()


async def test_blocked_sink_holds_up_the_sender() -> None:
    frame = b"x" * 1000
    async with Peer() as peer, make_client(peer) as client:
        sink = Sink(client, room=5)
        client.set_frame_sink(sink)
        send_task = asyncio.create_task(peer.send((frame + b"\r\n") * 20_000))
        await sink.wait_blocked()
        assert client._connection.is_paused
        for num_taken in range(5, 50, 5):
            assert len(sink.frames) == num_taken
            num_buffered = len(client._buffer)
            # Nothing more is received, though the sender has more.
            done, _ = await asyncio.wait([send_task], timeout=0.001)
            assert not done
            assert len(client._buffer) == num_buffered
            client.resume_frames()
        sink.room = 10**9
        client.resume_frames()
        await wait_until(lambda: len(sink.frames) == 20_000)
        await send_task
        assert set(sink.frames) == {frame}


async def test_bytes_that_come_while_it_is_blocked() -> None:
    """Bytes that a transport still had when it was paused: the sink knows whether it takes them."""
    async with Peer() as peer, make_client(peer) as client:
        sink = Sink(client, room=1)
        client.set_frame_sink(sink)
        await peer.send(b"one\r\n")
        await sink.wait_blocked()
        sink.room = 0
        client._connection.get_buffer(-1)[:5] = b"two\r\n"
        client._connection.buffer_updated(5)
        assert sink.frames == [b"one"]
        assert client._connection.is_paused
        sink.room = 2
        client.resume_frames()
        assert sink.frames == [b"one", b"two"]
        assert not client._connection.is_paused


async def test_nothing_is_lost_however_often_it_blocks() -> None:
    rng = random.Random(4)
    frames = [b"%d:" % i + b"y" * rng.randrange(2000) for i in range(5000)]
    stream = b"".join(frame + b"\r\n" for frame in frames)

    async def send(peer: Peer) -> None:
        position = 0
        while position < len(stream):
            n = rng.choice([1, 500, 20_000, 300_000])
            await peer.send(stream[position : position + n])
            position += n
            await asyncio.sleep(0)
        await peer.close()

    async with Peer() as peer, make_client(peer, limit=3000) as client:
        sink = Sink(client, room=7)
        client.set_frame_sink(sink)
        send_task = asyncio.create_task(send(peer))
        assert await resume_until_the_end(client, sink) is None
        await send_task
        assert sink.frames == frames


@pytest.mark.parametrize("is_reset", [False, True])
async def test_end_comes_after_the_frames(is_reset: bool) -> None:
    """What was received is handed over, though the connection has ended meanwhile."""
    async with Peer() as peer, make_client(peer) as client:
        await peer.send(b"one\r\ntwo\r\nthree\r\nhalf")
        await wait_until(lambda: len(client._buffer) == 21)
        await (peer.reset() if is_reset else peer.close())
        await wait_until(lambda: client._reader._eof or client._reader.exception())
        assert not client.stream_ended.done()
        sink = Sink(client, room=2)
        client.set_frame_sink(sink)
        assert sink.frames == [b"one", b"two"]
        assert not client.stream_ended.done()
        client.resume_frames()
        assert sink.frames == [b"one", b"two", b"three"]
        reason = await wait_ended(client)
        assert isinstance(reason, ConnectionResetError) if is_reset else reason is None
        assert client._buffer.take(len(client._buffer)) == b"half"


async def test_end_while_paused() -> None:
    """The end is noticed once the sink takes frames again."""
    async with Peer() as peer, make_client(peer) as client:
        sink = Sink(client, room=1)
        client.set_frame_sink(sink)
        await peer.send(b"one\r\ntwo\r\n")
        await sink.wait_blocked()
        await peer.close()
        sink.room = 10
        client.resume_frames()
        assert await wait_ended(client) is None
        assert sink.frames == [b"one", b"two"]


async def test_reset_is_the_reason() -> None:
    async with Peer() as peer, make_client(peer) as client:
        client.set_frame_sink(Sink(client))
        await peer.reset()
        assert isinstance(await wait_ended(client), ConnectionResetError)


async def test_closing_is_an_end() -> None:
    async with Peer() as peer, make_client(peer) as client:
        client.set_frame_sink(Sink(client))
        await peer.wait_connected()
        await client.close()
        assert await wait_ended(client) is None


@pytest.mark.parametrize("is_buffered", [True, False])
async def test_sink_that_raises(is_buffered: bool, caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def fail() -> bool:
        calls.append(1)
        raise LookupError("this sink fails")

    async with Peer() as peer:
        client = make_client(peer)
        await client.start_task
        await peer.send(b"frame\r\n")
        if is_buffered:
            await wait_until(lambda: len(client._buffer) == 7)
        client.set_frame_sink(fail)
        await peer.send(b"frame\r\n")
        async with asyncio.timeout(TIMEOUT):
            with pytest.raises(LookupError, match="this sink fails"):
                await client.done_task
        assert isinstance(await wait_ended(client), LookupError)
        assert not client.connected
        assert "this sink fails" in caplog.text
        assert len(calls) == 1
        await client.close()
        with pytest.raises(LookupError):
            client.done_task.result()


async def test_time_of_the_last_receive() -> None:
    async with Peer() as peer, make_client(peer) as client:
        assert client.last_receive_time == 0
        before = time.monotonic()
        sink = Sink(client)
        client.set_frame_sink(sink)
        await peer.send(b"frame\r\n")
        await wait_until(lambda: sink.frames)
        first = client.last_receive_time
        assert before <= first <= time.monotonic()
        await peer.send(b"frame\r\n")
        await wait_until(lambda: len(sink.frames) == 2)
        assert client.last_receive_time > first


async def test_one_call_takes_all_frames_of_a_receive() -> None:
    stream = b"x" * 100 + b"\r\n"
    async with Peer() as peer, make_client(peer) as client:
        await peer.send(stream * 500)
        await wait_until(lambda: len(client._buffer) == 500 * len(stream))
        sink = Sink(client)
        client.set_frame_sink(sink)
        assert sink.num_calls == 1
        assert len(sink.frames) == 500


async def test_without_a_sink_there_is_nothing_to_resume() -> None:
    async with Peer() as peer, make_client(peer) as client:
        client.resume_frames()
        client.set_frame_sink(None)
        await peer.send(b"one\r\n")
        assert await client.read_str() == "one"
