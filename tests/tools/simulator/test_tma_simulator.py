import asyncio
import itertools
import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lsst.ts.mtmount.sal.tai import TaiClock
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from .helpers import TIMEOUT, count_due, count_topics, parse_frames, read_to_end


@asynccontextmanager
async def simulating(**arguments: Any) -> AsyncIterator[TmaSimulator]:
    async with asyncio.timeout(TIMEOUT), TmaSimulator(**arguments) as simulator:
        yield simulator


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[socket.socket]:
    """Connect a plain socket, for which nothing is read in advance."""
    with socket.socket() as sock:
        # A fixed size, so that the system does not make it larger.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        yield sock


async def receive_to_end(sock: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    pieces = []
    while piece := await loop.sock_recv(sock, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("rate", "max_ticks"), [(10, 30), (100, 205), (2000, 1001), (math.inf, 1234), (0, 25)]
)
async def test_sends_exactly_what_is_due(rate: float, max_ticks: int) -> None:
    async with simulating(rate=rate, max_ticks=max_ticks) as simulator:
        data = await read_to_end(simulator.port)
        await simulator.wait_complete()
        assert count_topics(parse_frames(data)) == count_due(max_ticks)
        assert simulator.sent == count_due(max_ticks)
        assert simulator.frames_sent == sum(count_due(max_ticks).values())
        assert simulator.bytes_sent == len(data)
        assert simulator.totals.ticks == max_ticks
        assert (simulator.num_clients, simulator.num_complete, simulator.num_connected) == (1, 1, 0)


async def test_time_stamps_tell_when_frames_were_sent() -> None:
    clock = TaiClock()
    async with simulating(rate=20, max_ticks=10) as simulator:
        begin = clock.now()
        frames = parse_frames(await read_to_end(simulator.port))
        end = clock.now()
    stamps = [frame["timestamp"] for frame in frames if frame["topicID"] == 6]
    assert all(begin - 1e-5 <= stamp <= end for stamp in stamps)
    # Ticks are 2.5 ms apart, or come later if the computer is busy; never earlier.
    assert len(stamps) == 10
    assert all(stamp > begin + tick * 0.0025 - 0.001 for tick, stamp in enumerate(stamps))


async def test_frames_of_a_tick_have_the_same_time() -> None:
    async with simulating(rate=20, max_ticks=10) as simulator:
        frames = parse_frames(await read_to_end(simulator.port))
    per_tick = [
        [frame["timestamp"] for frame in group]
        for _, group in itertools.groupby(frames, key=lambda frame: frame["timestamp"])
    ]
    assert sum(len(group) for group in per_tick) == len(frames)
    assert len(per_tick) <= 10


async def test_duration_ends_the_stream() -> None:
    async with simulating(rate=10, duration=0.25) as simulator:
        frames = parse_frames(await read_to_end(simulator.port))
    assert count_topics(frames) == count_due(50)


async def test_duration_ends_the_stream_at_full_speed() -> None:
    async with simulating(rate=math.inf, duration=0.02) as simulator:
        frames = parse_frames(await read_to_end(simulator.port))
        await simulator.wait_complete()
        assert count_topics(frames) == simulator.sent
        assert simulator.num_complete == 1


async def test_some_topics() -> None:
    async with simulating(rate=math.inf, max_ticks=200, topics=["elevation", 25]) as simulator:
        frames = parse_frames(await read_to_end(simulator.port))
        assert simulator.sent == {15: 200, 25: 2}
        assert [topic.name for topic in simulator.topics] == ["elevation", "oilSupplySystem"]
    assert count_topics(frames) == {15: 200, 25: 2}


async def test_each_client_gets_the_same_stream() -> None:
    def strip(data: bytes) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in frame.items() if not name.endswith("imestamp")}
            for frame in parse_frames(data)
        ]

    async with simulating(rate=math.inf, max_ticks=700, seed=4) as simulator:
        first = strip(await read_to_end(simulator.port))
        together = await asyncio.gather(*(read_to_end(simulator.port) for _ in range(3)))
        assert [strip(data) for data in together] == [first] * 3
        await simulator.wait_idle()
        assert simulator.num_clients == simulator.num_complete == 4
        assert simulator.sent == {topic_id: 4 * num for topic_id, num in count_due(700).items()}
    async with simulating(rate=math.inf, max_ticks=700, seed=5) as simulator:
        assert strip(await read_to_end(simulator.port)) != first


async def test_client_that_pauses_loses_nothing() -> None:
    # 26 MB, far more than the buffers of the system hold (4 MB).
    async with simulating(rate=math.inf, max_ticks=2000) as simulator, connected(simulator.port) as sock:
        await asyncio.sleep(0.2)
        assert 0 < simulator.totals.ticks < 2000
        data = await receive_to_end(sock)
        assert count_topics(parse_frames(data)) == count_due(2000) == simulator.sent


async def test_delayed_ticks_are_caught_up_and_counted() -> None:
    # All ticks are due within 0.05 s, while the client sleeps.
    async with simulating(rate=2000, max_ticks=2000) as simulator, connected(simulator.port) as sock:
        await asyncio.sleep(0.3)
        assert 0 < simulator.totals.ticks < 2000
        data = await receive_to_end(sock)
        assert count_topics(parse_frames(data)) == count_due(2000) == simulator.sent
        assert 0 < simulator.totals.late_ticks <= 2000


async def test_counts_only_whole_frames_of_a_client_that_leaves() -> None:
    async with simulating(rate=math.inf) as simulator:
        async with connected(simulator.port) as sock:
            received = await asyncio.get_running_loop().sock_recv(sock, 100_000)
        await simulator.wait_idle()
        assert simulator.num_complete == 0
        # What was handed over is more than what was received, and bounded by
        # what the system's buffers hold.
        assert simulator.bytes_sent >= len(received)
        assert received.count(b"\r\n") <= simulator.frames_sent
        # The next client's stream begins with the first tick.
        async with connected(simulator.port) as sock:
            begin = await asyncio.get_running_loop().sock_recv(sock, 100)
            assert begin.startswith(b'{"topicID": 1, ')


async def test_input_is_ignored() -> None:
    async with simulating(rate=100, max_ticks=100) as simulator:
        reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
        writer.write(b"heartbeat\r\n" * 1000)
        data = b""
        while piece := await reader.read(65536):
            writer.write(b"heartbeat\r\n")
            data += piece
        assert count_topics(parse_frames(data)) == count_due(100)
        writer.close()
        await writer.wait_closed()


async def test_close_ends_streams_after_a_whole_frame() -> None:
    async with simulating(rate=100) as simulator:
        reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
        begin = await reader.readexactly(1)
        _, data = await asyncio.gather(simulator.close(), reader.read())
        data = begin + data
        writer.close()
        await writer.wait_closed()
        assert count_topics(parse_frames(data)) == {
            topic_id: num for topic_id, num in simulator.sent.items() if num
        }
        assert len(data) == simulator.bytes_sent
        assert simulator.num_connected == 0
        assert simulator.num_complete == 0


async def test_close_does_not_wait_for_a_client_that_does_not_read() -> None:
    async with simulating(rate=math.inf) as simulator, connected(simulator.port) as sock:
        await asyncio.get_running_loop().sock_recv(sock, 1)
        await simulator.close()
        assert simulator.num_connected == 0


@pytest.mark.parametrize("num_steps", range(1, 5))
async def test_close_that_is_cancelled_leaves_nothing_open(num_steps: int) -> None:
    async with simulating(rate=math.inf) as simulator, connected(simulator.port) as sock:
        port = simulator.port
        await asyncio.get_running_loop().sock_recv(sock, 1)
        closing = asyncio.create_task(simulator.close())
        for _ in range(num_steps):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        await simulator.wait_idle()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_can_be_started_again() -> None:
    simulator = TmaSimulator(rate=math.inf, max_ticks=1)
    for num_clients in (1, 2):
        async with asyncio.timeout(TIMEOUT), simulator:
            with pytest.raises(RuntimeError, match="already"):
                await simulator.start()
            await read_to_end(simulator.port)
            await simulator.wait_idle()
            assert simulator.num_clients == num_clients
        with pytest.raises(RuntimeError, match="not listening"):
            _ = simulator.port


async def test_address_in_use() -> None:
    async with simulating() as simulator:
        with pytest.raises(OSError, match="in use"):
            await TmaSimulator(port=simulator.port).start()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": -1}, "expected rate .*got -1"),
        ({"rate": math.nan}, "expected rate .*got nan"),
        ({"duration": 0}, "expected duration .*got 0"),
        ({"duration": math.nan}, "expected duration .*got nan"),
        ({"max_ticks": 0}, "expected max_ticks .*got 0"),
        ({"topics": ["nonsense"]}, "got nonsense"),
        ({"seed": -1}, "expected seed .*got -1"),
    ],
)
async def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TmaSimulator(**arguments)
