"""Faults of a real Kafka, while telemetry flows."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka.admin import AdminClient

from lsst.ts.mtmount import DropReason, TelemetryClient
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..integration.kafka import KafkaCluster, SmallDisk, create_topic, find_leader, read_topic
from .client import ClientProgram, run_client, wait_for_client, wait_until
from .conftest import LeadTo
from .outcome import RecordOutcome
from .read_back import read_back
from .stepped_clock import SteppedClock

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

IDEMPOTENT = {"enable.idempotence": True}
ORDERED = {"max.in.flight.requests.per.connection": 1}

#: Frames in one second at the TMA's full rate.
FULL_RATE = 218


async def run_seconds(client: TelemetryClient, seconds: float, rate: float) -> None:
    """Wait until so many seconds' worth of frames were published."""
    target = client.counters.published + seconds * rate * FULL_RATE
    await wait_for_client(client, lambda: client.counters.published >= target)


async def catch_up(client: TelemetryClient) -> float:
    """Wait until all that was published so far is acknowledged or given up; return how long that took [s]."""
    target = client.counters.published
    return await wait_for_client(
        client, lambda: client.counters.acknowledged + client.counters.failed >= target
    )


async def end_telemetry(simulator: TmaSimulator, client: TelemetryClient) -> None:
    """Let the TMA end its stream, and the client read it to the end."""
    await simulator.close()
    await client.done_task
    assert isinstance(client.failure, ConnectionError), client.failure
    assert client.counters.frames == simulator.frames_sent


@pytest.mark.parametrize(
    ("kind", "producer"),
    [("acks=1", {}), ("acks=1, one request at a time", ORDERED), ("idempotent", IDEMPOTENT)],
    ids=["default", "ordered", "idempotent"],
)
async def test_broker_killed_and_restarted(
    broker: KafkaCluster,
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    kind: str,
    producer: Mapping[str, Any],
) -> None:
    environment = lead_to(broker, producer)
    async with TmaSimulator(rate=10) as simulator, run_client(simulator.port) as client:
        await run_seconds(client, 2, 10)
        await asyncio.to_thread(broker.kill, 1)
        await run_seconds(client, 2, 10)
        await asyncio.to_thread(broker.restart, 1)
        seconds = await catch_up(client)
        await run_seconds(client, 1, 10)
        await end_telemetry(simulator, client)
    found = await asyncio.to_thread(read_back, environment)
    assert found.unique == simulator.sent
    assert client.counters.failed == 0
    if kind != "acks=1":
        assert found.num_late == 0
    if kind == "idempotent":
        assert found.num_duplicated == 0
    record_outcome(
        f"broker killed and restarted at 10x ({kind})",
        "nothing lost" + (f"; {found.num_late} out of order" if found.num_late else ""),
        client.counters,
        sent=simulator.frames_sent,
        found=found,
        seconds=seconds,
    )


async def test_leader_killed(
    three_brokers: KafkaCluster, lead_to: LeadTo, record_outcome: RecordOutcome, subname: str
) -> None:
    environment = lead_to(three_brokers, IDEMPOTENT)
    async with TmaSimulator(rate=10) as simulator, run_client(simulator.port) as client:
        assert client.controller.publisher._configuration["acks"] == "all"
        await run_seconds(client, 2, 10)
        topic = f"lsst.{subname}.MTMount.azimuth"
        leader = await asyncio.to_thread(find_leader, three_brokers, topic)
        await asyncio.to_thread(three_brokers.kill, leader)
        seconds = await catch_up(client)
        await run_seconds(client, 2, 10)
        await end_telemetry(simulator, client)
    found = await asyncio.to_thread(read_back, environment)
    await asyncio.to_thread(three_brokers.restart, leader)
    assert found.unique == simulator.sent
    assert found.num_duplicated == found.num_late == client.counters.failed == 0
    record_outcome(
        "leader of 3 brokers killed at 10x (acks=all, idempotent)",
        "nothing lost, nothing twice, in order",
        client.counters,
        sent=simulator.frames_sent,
        found=found,
        seconds=seconds,
    )


async def test_full_queue(
    broker: KafkaCluster,
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    caplog: pytest.LogCaptureFixture,
) -> None:
    environment = lead_to(broker, {"queue.buffering.max.messages": 2000})
    async with TmaSimulator(rate=10) as simulator, run_client(simulator.port) as client:
        await run_seconds(client, 1, 10)
        broker.suspend(1)
        try:
            await wait_for_client(client, lambda: client.counters.pending == 1)
            num_frames = client.counters.frames
            os.kill(os.getpid(), signal.SIGUSR1)
            await wait_until(lambda: '"pending": 1' in caplog.text)
            # Three times as long as the TMA itself may keep silent.
            await asyncio.sleep(3)
        finally:
            broker.resume(1)
        # Nothing was read meanwhile, so nothing took up memory.
        assert client.counters.frames == num_frames
        assert sys.getsizeof(client._buffer) < 3 << 20
        seconds = await catch_up(client)
        await run_seconds(client, 2, 10)
        await end_telemetry(simulator, client)
    found = await asyncio.to_thread(read_back, environment)
    assert found.unique == simulator.sent
    assert client.counters.failed == 0
    assert "queue is full; reading telemetry is paused" in caplog.text
    record_outcome(
        "broker frozen at 10x until the queue was full",
        "socket paused and resumed; no false time-out",
        client.counters,
        sent=simulator.frames_sent,
        found=found,
        seconds=seconds,
    )


@pytest.mark.slow
async def test_stall_is_told(
    broker: KafkaCluster, lead_to: LeadTo, record_outcome: RecordOutcome, tmp_path: Path
) -> None:
    environment = lead_to(broker)
    async with (
        TmaSimulator(rate=1) as simulator,
        ClientProgram(environment, tmp_path, simulator.port) as program,
    ):
        await wait_until(lambda: program.counters["acknowledged"] > FULL_RATE)
        begin = time.time()
        broker.suspend(1)
        try:
            # After 5 s, and after 30 s more.
            await wait_until(lambda: len(find_stalls(program.output)) == 2)
        finally:
            broker.resume(1)
        end = time.monotonic()
        await program.wait_output("Kafka acknowledges messages again, after ")
        target = program.counters["published"]
        await wait_until(lambda: program.counters["acknowledged"] >= target)
        seconds = time.monotonic() - end
        program.send_signal(signal.SIGTERM)
        status, _ = await program.wait_ended()
    assert status == 0
    stalls = find_stalls(program.output)
    assert [stall for stall, _, _ in stalls] == [pytest.approx(5, abs=2), pytest.approx(35, abs=4)]
    for stall, since, num_waiting in stalls:
        assert since == pytest.approx(begin, abs=3)
        assert num_waiting == pytest.approx(FULL_RATE * stall, rel=0.5)
    (line,) = (line for line in program.output.splitlines() if "acknowledges messages again" in line)
    assert " INFO " in line
    counters = program.counters
    assert counters["failed"] == 0
    assert counters["acknowledged"] == counters["published"]
    found = await asyncio.to_thread(read_back, environment)
    assert found.num_unique == counters["published"]
    record_outcome(
        "broker frozen at 1x for 35 s",
        "a warning after 5 s and 35 s, and a line when it is over; nothing lost",
        counters,
        sent=counters["frames"],
        found=found,
        seconds=seconds,
    )


def find_stalls(output: str) -> list[tuple[int, float, int]]:
    """Return the warnings of a stall: its length [s], since when [s], and how many messages wait."""
    pattern = r" WARNING .* has acknowledged nothing for (\d+) s \(since (\S+)\); (\d+) messages wait"
    return [
        (int(stall), datetime.fromisoformat(since).timestamp(), int(num_waiting))
        for stall, since, num_waiting in re.findall(pattern, output)
    ]


async def test_outage_beyond_the_message_timeout(
    broker: KafkaCluster,
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    caplog: pytest.LogCaptureFixture,
) -> None:
    environment = lead_to(broker, {"message.timeout.ms": 3000})
    async with TmaSimulator(rate=1) as simulator, run_client(simulator.port) as client:
        await run_seconds(client, 2, 1)
        await asyncio.to_thread(broker.kill, 1)
        await wait_for_client(client, lambda: client.counters.failed > FULL_RATE)
        await asyncio.to_thread(broker.restart, 1)
        seconds = await catch_up(client)
        await run_seconds(client, 1, 1)
        await end_telemetry(simulator, client)
    found = await asyncio.to_thread(read_back, environment)
    # What was given up may have arrived all the same, when only the answer was lost.
    assert simulator.frames_sent - found.num_unique <= client.counters.failed
    assert found.num_unique >= client.counters.acknowledged
    assert "was not delivered: Local: Message timed out" in caplog.text
    assert "more messages like this" in caplog.text
    record_outcome(
        "broker away for longer than message.timeout.ms (3 s)",
        "what was given up is counted and logged; goes on",
        client.counters,
        sent=simulator.frames_sent,
        found=found,
        seconds=seconds,
    )


async def test_topic_deleted_and_made_again(
    broker: KafkaCluster,
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    caplog: pytest.LogCaptureFixture,
    subname: str,
    tmp_path: Path,
) -> None:
    settings = {"topic.metadata.propagation.max.ms": 1000, "topic.metadata.refresh.interval.ms": 500}
    environment = lead_to(broker, settings)
    topic = f"lsst.{subname}.MTMount.azimuth"
    dead_letters = tmp_path / "dead"
    admin = AdminClient({"bootstrap.servers": broker.environment(subname)["LSST_KAFKA_BROKER_ADDR"]})
    async with (
        TmaSimulator(rate=1) as simulator,
        run_client(simulator.port, dead_letter=dead_letters) as client,
    ):
        await run_seconds(client, 1, 1)
        await asyncio.to_thread(lambda: admin.delete_topics([topic])[topic].result(30))
        await wait_for_client(client, lambda: client.counters.dropped[DropReason.NO_KAFKA_TOPIC] > 10)
        await asyncio.to_thread(create_topic, broker, topic)
        await wait_until(lambda: len(read_topic(broker, topic)) > 10)
        await end_telemetry(simulator, client)
    # Frames of other topics go on, and none is blamed.
    assert client.counters.total_dropped == client.counters.dropped[DropReason.NO_KAFKA_TOPIC]
    assert dead_letters.read_bytes() == b""
    lines = [line for line in caplog.messages if topic in line and "has no topic" in line]
    assert lines == [
        f"Kafka has no topic {topic} any more: messages are not delivered until it is made again"
    ]
    found = await asyncio.to_thread(read_back, environment)
    record_outcome(
        "a topic deleted, and made again",
        "told, counted; not in the dead-letter file; goes on",
        client.counters,
        sent=simulator.frames_sent,
        found=found,
    )


async def test_message_over_the_brokers_limit(
    broker: KafkaCluster,
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    caplog: pytest.LogCaptureFixture,
    subname: str,
) -> None:
    environment = lead_to(broker)
    topic = f"lsst.{subname}.MTMount.oilSupplySystem"
    await asyncio.to_thread(create_topic, broker, topic, {"max.message.bytes": "1000"})
    async with TmaSimulator(rate=5) as simulator, run_client(simulator.port) as client:
        await run_seconds(client, 2, 5)
        await end_telemetry(simulator, client)
    found = await asyncio.to_thread(read_back, environment)
    (oversized,) = (t.topic_id for t in simulator.topics if t.name == "oilSupplySystem")
    assert client.counters.failed == simulator.sent[oversized] > 0
    assert found.unique == {id_: count for id_, count in simulator.sent.items() if id_ != oversized}
    assert f"A message for {topic} was not delivered: Broker: Message size too large" in caplog.text
    record_outcome(
        "messages of one topic over the broker's limit",
        "counted and logged; other topics go on",
        client.counters,
        sent=simulator.frames_sent,
        found=found,
    )


async def test_batches_that_the_broker_takes(broker: KafkaCluster, lead_to: LeadTo, subname: str) -> None:
    """The limit is one of batches: where it is low, ``batch.size`` must be lower."""
    environment = lead_to(broker, {"linger.ms": 500, "batch.size": 2500})
    topic = f"lsst.{subname}.MTMount.azimuth"
    await asyncio.to_thread(create_topic, broker, topic, {"max.message.bytes": "3000"})
    async with TmaSimulator(rate=10) as simulator, run_client(simulator.port) as client:
        await run_seconds(client, 1, 10)
        await end_telemetry(simulator, client)
    found = await asyncio.to_thread(read_back, environment)
    assert found.unique == simulator.sent
    assert client.counters.failed == 0


async def test_full_disk(
    start_cluster: Callable[..., KafkaCluster],
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    caplog: pytest.LogCaptureFixture,
) -> None:
    obstacle = SmallDisk.find_obstacle()
    if obstacle is not None:
        pytest.skip(f"no disk to fill: {obstacle}")
    cluster = await asyncio.to_thread(start_cluster, disk_size="64m")
    environment = lead_to(cluster, IDEMPOTENT)
    async with TmaSimulator(rate=10) as simulator, run_client(simulator.port) as client:
        await run_seconds(client, 1, 10)
        await asyncio.to_thread(cluster.disk.fill)
        await asyncio.to_thread(cluster.wait_ended, 1)
        await run_seconds(client, 1, 10)
        await asyncio.to_thread(cluster.disk.free)
        await asyncio.to_thread(cluster.restart, 1)
        seconds = await catch_up(client)
        num_refused = client.counters.failed
        await run_seconds(client, 1, 10)
        await end_telemetry(simulator, client)
    # Whatever the broker refused, it refused before its end.
    assert client.counters.failed == num_refused
    found = await asyncio.to_thread(read_back, environment)
    assert found.num_duplicated == found.num_late == 0
    assert found.unique <= simulator.sent
    num_lost = (simulator.sent - found.unique).total()
    # A broker that cannot write may say so before it ends, in words that no producer takes for a reason
    # to try again; whether it does is a matter of moments. Nothing may be given up for another reason.
    failures = [message for message in caplog.messages if "was not delivered" in message]
    assert all("Unknown broker error" in message for message in failures), failures
    assert num_lost <= num_refused
    assert failures or not num_refused
    record_outcome(
        "disk of the broker's log full at 10x (idempotent)",
        "broker ends; nothing is lost but what it refused",
        client.counters,
        sent=simulator.frames_sent,
        found=found,
        seconds=seconds,
    )


@pytest.mark.slow
async def test_outage_of_a_minute(
    broker: KafkaCluster, lead_to: LeadTo, record_outcome: RecordOutcome, tmp_path: Path
) -> None:
    environment = lead_to(broker)
    async with (
        TmaSimulator(rate=1) as simulator,
        ClientProgram(environment, tmp_path, simulator.port, reconnect=False) as program,
    ):
        await wait_until(lambda: program.counters["acknowledged"] > 2 * FULL_RATE)
        memory = measure_memory(program.pid)
        await asyncio.to_thread(broker.kill, 1)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            await asyncio.sleep(1)
            growth = measure_memory(program.pid) - memory
            # The queue holds 32 MiB; then there is what librdkafka needs for it.
            assert growth < 80 << 20
        assert program.counters["in_flight"] > 50 * FULL_RATE
        await asyncio.to_thread(broker.restart, 1)
        target = program.counters["published"]
        seconds = await wait_until(lambda: program.counters["acknowledged"] >= target)
        await simulator.close()
        status, _ = await program.wait_ended()
        assert status == 1
        assert "the TMA closed the connection" in program.output
    found = await asyncio.to_thread(read_back, environment)
    assert found.unique == simulator.sent
    assert program.counters["failed"] == 0
    record_outcome(
        "broker away for 60 s at 1x",
        f"nothing lost; memory grew by {growth / (1 << 20):.0f} MiB",
        program.counters,
        sent=simulator.frames_sent,
        found=found,
        seconds=seconds,
    )


async def test_clock_stepped_forward(
    broker: KafkaCluster, lead_to: LeadTo, record_outcome: RecordOutcome, tmp_path: Path
) -> None:
    """Kafka refuses messages of the future: by default, of more than an hour."""
    clock = SteppedClock(tmp_path)
    environment = lead_to(broker) | clock.environment
    async with (
        TmaSimulator(rate=1) as simulator,
        ClientProgram(environment, tmp_path, simulator.port, reconnect=False) as program,
    ):
        await wait_until(lambda: program.counters["acknowledged"] > FULL_RATE)
        clock.step(2 * 3600)
        await wait_until(lambda: program.counters["failed"] > FULL_RATE)
        clock.step(0)
        target = program.counters["acknowledged"] + FULL_RATE
        await wait_until(lambda: program.counters["acknowledged"] >= target)
        await simulator.close()
        await program.wait_ended()
        assert "was not delivered: Broker: Invalid timestamp" in program.output
    found = await asyncio.to_thread(read_back, environment)
    assert found.num_unique == program.counters["acknowledged"]
    record_outcome(
        "clock stepped forward by 2 h, and back",
        "Kafka refuses such messages: counted and logged; goes on",
        program.counters,
        sent=simulator.frames_sent,
        found=found,
    )


def measure_memory(pid: int) -> int:
    """Return the memory of a process [bytes]."""
    return int(psutil.Process(pid).memory_info().rss)
