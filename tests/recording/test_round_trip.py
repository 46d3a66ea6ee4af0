"""Record with the client, replay to another one: the same messages; and no loss at a high rate."""

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.recording import find_files
from lsst.ts.mtmount.telemetry_map import TelemetryTopicId
from lsst.ts.mtmount.tools.simulator import TmaSimulator
from lsst.ts.mtmount.tools.simulator.replay import Replay, ReplayServer

from ..kafka_reader import KafkaReader
from .frames import read_back

pytestmark = pytest.mark.slow


async def run_client(port: int, num_frames: int, **options: Any) -> TelemetryClient:
    client = TelemetryClient("127.0.0.1", port, **options)
    async with asyncio.timeout(60):
        await client.start_task
        while client.counters.frames < num_frames:
            await asyncio.sleep(0.01)
    await client.close()
    assert client.counters.acknowledged == client.counters.frames == num_frames
    return client


@pytest.mark.parametrize("rate", [1.0, 100.0, math.inf])
async def test_a_replay_publishes_the_same(tmp_path: Path, kafka_reader: KafkaReader, rate: float) -> None:
    num_frames = 500
    async with TmaSimulator(max_frames=num_frames, stay_open=True) as simulator:
        await run_client(simulator.port, num_frames, record=tmp_path)
    async with ReplayServer(Replay(find_files(tmp_path), rate=rate), stay_open=True) as server:
        await run_client(server.port, num_frames)
    total = 2 * num_frames
    topics = list(TelemetryTopicId.__members__)
    records = await kafka_reader.read_until(
        lambda records: sum(len(records[topic]) for topic in topics) >= total, 60
    )
    for topic in topics:
        values = [
            {name: value for name, value in record.items() if not name.startswith("private_")}
            for record in records[topic]
        ]
        half = len(values) // 2
        assert values[:half] == values[half:], topic


async def test_recording_at_100_times_the_full_rate_loses_nothing(
    tmp_path: Path, kafka_reader: KafkaReader
) -> None:
    num_frames = 100_000
    async with TmaSimulator(rate=100, max_frames=num_frames, stay_open=True) as simulator:
        client = await run_client(simulator.port, num_frames, record=tmp_path)
    assert client.recorder is not None
    assert client.recorder.num_recorded == num_frames
    assert client.recorder.num_dropped == 0
    assert len(read_back(tmp_path)) == num_frames
