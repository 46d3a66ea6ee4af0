"""Record with the client, replay to another one: the same messages; and no loss at a high rate."""

import asyncio
import math
import time
from pathlib import Path
from typing import Any

import pytest

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.recording import find_files
from lsst.ts.mtmount.telemetry_map import TelemetryTopicId
from lsst.ts.mtmount.tools.simulator import TICK_INTERVAL, TmaSimulator
from lsst.ts.mtmount.tools.simulator.replay import Replay
from lsst.ts.mtmount.tools.simulator.replay_server import ReplayServer

from ..kafka_reader import KafkaReader
from ..tools.simulator.helpers import count_due
from .frames import read_back


async def run_client(port: int, num_frames: int, **options: Any) -> TelemetryClient:
    client = TelemetryClient("127.0.0.1", port, **options)
    async with asyncio.timeout(90):
        await client.start_task
        while client.counters.frames < num_frames:
            await asyncio.sleep(0.01)
    await client.close()
    assert client.counters.acknowledged == client.counters.frames == num_frames
    return client


def strip_private_fields(value: bytes) -> bytes:
    """Return what of a message depends on its frame alone: schema ID, and the record's own fields."""
    # Zero byte and schema ID; then four time stamps.
    position = 5 + 4 * 8
    position = skip_long(value, position)
    for _ in ("private_revCode", "private_identity"):
        # Lengths below 64 take one byte, which holds twice their value.
        position += 1 + value[position] // 2
    return value[:5] + value[skip_long(value, position) :]


def skip_long(value: bytes, position: int) -> int:
    while value[position] & 0x80:
        position += 1
    return position + 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("num_ticks", [20, pytest.param(1200, marks=pytest.mark.slow)])
async def test_replays_publish_the_same_bytes(
    tmp_path: Path, kafka_reader: KafkaReader, num_ticks: int
) -> None:
    """One second, or a minute, of the full rate: recorded by the client, replayed at 1x, 100x and max."""
    num_frames = sum(count_due(num_ticks).values())
    async with TmaSimulator(max_ticks=num_ticks, stay_open=True) as simulator:
        await run_client(simulator.port, num_frames, record=tmp_path)
    published: list[dict[str, list[bytes]]] = [await read_new(kafka_reader, num_frames)]
    for rate in (1.0, 100.0, math.inf):
        async with ReplayServer(Replay(find_files(tmp_path), rate=rate), stay_open=True) as server:
            start = time.monotonic()
            await run_client(server.port, num_frames)
            if rate == 1.0:
                assert time.monotonic() - start > (num_ticks - 1) * TICK_INTERVAL - 0.1
        published.append(await read_new(kafka_reader, num_frames))
    first, *others = published
    assert len(first) == len(TelemetryTopicId)
    assert all(other == first for other in others)


async def read_new(reader: KafkaReader, num_frames: int) -> dict[str, list[bytes]]:
    """Read what one client has published, by topic, without the private fields."""
    topics = list(TelemetryTopicId.__members__)
    await reader.read_until(lambda records: sum(len(records[topic]) for topic in topics) >= num_frames, 60)
    values = {topic: [strip_private_fields(value) for value in reader.values[topic]] for topic in topics}
    reader.records.clear()
    reader.values.clear()
    return values


@pytest.mark.slow
async def test_recording_at_100_times_the_full_rate_loses_nothing(
    tmp_path: Path, kafka_reader: KafkaReader
) -> None:
    num_ticks = 9000
    num_frames = sum(count_due(num_ticks).values())
    async with TmaSimulator(rate=100, max_ticks=num_ticks, stay_open=True) as simulator:
        client = await run_client(simulator.port, num_frames, record=tmp_path)
    assert client.recorder is not None
    assert client.recorder.num_recorded == num_frames
    assert client.recorder.num_dropped == 0
    assert len(read_back(tmp_path)) == num_frames
