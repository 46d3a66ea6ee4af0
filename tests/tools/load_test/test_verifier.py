"""The reading program, as the load test starts it, on records that are doctored."""

import asyncio
import io
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer

from lsst.ts.mtmount.sal import SchemaRegistry
from lsst.ts.mtmount.sal.interface import load_packaged_interface
from lsst.ts.mtmount.tma_interface import load_packaged_tma_interface
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.load_test.child_program import LoadTestError
from lsst.ts.mtmount.tools.load_test.oracle import TopicOracle
from lsst.ts.mtmount.tools.load_test.verifier_process import VerifierProcess
from lsst.ts.mtmount.tools.load_test.verifier_result import TopicVerifierResult

TOPIC_ID = 21
TMA_TOPIC = load_packaged_tma_interface().by_id[TOPIC_ID]
NAME = TMA_TOPIC.sal_topic
TOPIC = load_packaged_interface().topics[f"tel_{NAME}"]
TAI_MINUS_UTC = 37.0
NUM_FRAMES = 20
TIMEOUT = 60

Records = list[dict[str, Any]]


def make_frames() -> Records:
    members = [member.name for member in TMA_TOPIC.members if member.name != "timestamp"]
    now = time.time() + TAI_MINUS_UTC
    return [
        {"topicID": TOPIC_ID}
        | {member: number + index / 8 for index, member in enumerate(members)}
        | {"timestamp": now + number / 1000}
        for number in range(NUM_FRAMES)
    ]


class Publisher:
    """Publishes records as a client should, and as it should not."""

    def __init__(self, kafka: EmbeddedKafka) -> None:
        self.kafka_topic = TOPIC.kafka_topic(os.environ["LSST_TOPIC_SUBNAME"])
        kafka.create_topics([self.kafka_topic])
        subject = TOPIC.subject(os.environ["LSST_TOPIC_SUBNAME"])
        with SchemaRegistry(kafka.registry_url) as registry:
            schema = registry.provide_schema(TOPIC, subject, is_exact=False)
        self._head = b"\0" + schema.schema_id.to_bytes(4, "big")
        self._rev_code = schema.rev_code
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})

    def make_record(self, number: int, frame: dict[str, Any]) -> dict[str, Any]:
        utc = time.time()
        return TopicOracle(TOPIC.fields, TMA_TOPIC.field_members).make_record(frame) | {
            "private_sndStamp": utc + TAI_MINUS_UTC,
            "private_rcvStamp": 0.0,
            "private_efdStamp": utc,
            "private_kafkaStamp": utc + TAI_MINUS_UTC,
            "private_seqNum": number,
            "private_revCode": self._rev_code,
            "private_identity": "MTMount",
            "private_origin": 4711,
        }

    def encode(self, record: dict[str, Any]) -> bytes:
        payload = io.BytesIO()
        payload.write(self._head)
        fastavro.schemaless_writer(payload, fastavro.parse_schema(TOPIC.avro_schema()), record)
        return payload.getvalue()

    def publish(self, *payloads: bytes) -> None:
        for payload in payloads:
            self._producer.produce(self.kafka_topic, payload, b"", 0)
        assert self._producer.flush(TIMEOUT) == 0


@pytest.fixture
def publisher(embedded_kafka: EmbeddedKafka, sal_environment: str) -> Publisher:
    return Publisher(embedded_kafka)


def keep(records: Records) -> Records:
    return records


def lose(records: Records) -> Records:
    del records[7]
    return records


def lose_before_numbering(records: Records) -> Records:
    del records[7]
    return [record | {"private_seqNum": number} for number, record in enumerate(records, 1)]


def alter(records: Records) -> Records:
    records[7]["powerSupplyVoltage" if "powerSupplyVoltage" in records[7] else list(records[7])[-10]] = -1.0
    return records


def repeat(records: Records) -> Records:
    return records[:8] + records[7:]


def lose_one_and_repeat_the_next(records: Records) -> Records:
    records[7] = records[8] | {"private_seqNum": 8}
    return records


def swap(records: Records) -> Records:
    records[7:9] = [records[8] | {"private_seqNum": 8}, records[7] | {"private_seqNum": 9}]
    return records


def stamp_alike(records: Records) -> Records:
    """As frames of several ticks that the simulator sends at once."""
    return [record | {"timestamp": records[0]["timestamp"]} for record in records]


def take_another_identity(records: Records) -> Records:
    records[7]["private_identity"] = "MTDome"
    return records


@pytest.mark.parametrize(
    ("doctor", "counts", "problem"),
    [
        (keep, {}, None),
        (lose, {"decoded": -1, "out_of_sequence": 1, "lost": 1}, "private_seqNum is 9 instead of 8"),
        (lose_before_numbering, {"decoded": -1, "lost": 1}, "comes after 1 frames that have no record"),
        (alter, {"wrong": 1}, "is -1.0 instead of"),
        (repeat, {"decoded": 1, "out_of_sequence": 1, "repeated": 1}, "is there twice"),
        (take_another_identity, {"wrong": 1}, "private_identity is 'MTDome'"),
    ],
)
async def test_finds_what_is_wrong(
    publisher: Publisher,
    tmp_path: Path,
    doctor: Callable[[Records], Records],
    counts: dict[str, int],
    problem: str | None,
) -> None:
    recording = tmp_path / "frames"
    recording.touch()
    async with (
        asyncio.timeout(TIMEOUT),
        VerifierProcess([NAME], os.environ, tmp_path, interval=0.05, recording=recording) as reader,
    ):
        frames = make_frames()
        recording.write_bytes(b"".join(json.dumps(frame).encode() + b"\r\n" for frame in frames))
        records = doctor([publisher.make_record(number, frame) for number, frame in enumerate(frames, 1)])
        await asyncio.to_thread(publisher.publish, *map(publisher.encode, records))
        await reader.wait_for(lambda progress: progress.total_decoded == len(records))
        result = await reader.finish()
    found = result.topics[NAME]
    expected = TopicVerifierResult(decoded=NUM_FRAMES, latency=found.latency)
    for name, count in counts.items():
        setattr(expected, name, getattr(expected, name) + count)
    assert found == expected
    assert result.compared
    assert result.failure is None
    assert result.origins == [4711]
    assert found.latency.count == len(records)
    assert 0 < result.first_published <= result.last_published <= time.time()
    if problem is None:
        assert result.problems == []
    else:
        assert any(problem in line for line in result.problems), result.problems


@pytest.mark.parametrize(
    ("doctor", "is_simulated", "counts", "problem"),
    [
        (keep, True, {}, None),
        (stamp_alike, True, {}, None),
        (lose_one_and_repeat_the_next, True, {"repeated": 1}, "message 9 of mainPowerSupply: is there twice"),
        (lose_one_and_repeat_the_next, False, {}, None),
        (swap, True, {"out_of_sequence": 1}, "message 9 of mainPowerSupply: timestamp goes back from "),
    ],
)
async def test_simulated_frames_are_there_once_and_in_order(
    publisher: Publisher,
    tmp_path: Path,
    doctor: Callable[[Records], Records],
    is_simulated: bool,
    counts: dict[str, Any],
    problem: str | None,
) -> None:
    """Without a recording of the frames, and though the sequence numbers are right."""
    async with (
        asyncio.timeout(TIMEOUT),
        VerifierProcess([NAME], os.environ, tmp_path, interval=0.05, is_simulated=is_simulated) as reader,
    ):
        records = doctor([publisher.make_record(*entry) for entry in enumerate(make_frames(), 1)])
        await asyncio.to_thread(publisher.publish, *map(publisher.encode, records))
        result = await reader.finish()
    found = result.topics[NAME]
    assert found == replace(TopicVerifierResult(NUM_FRAMES, latency=found.latency), **counts)
    assert len(result.problems) == (problem is not None)
    assert all(line.startswith(problem or "") for line in result.problems), result.problems


async def test_reads_only_what_is_new_and_what_is_left_at_the_end(
    publisher: Publisher, tmp_path: Path
) -> None:
    frames = make_frames()
    payloads = [publisher.encode(publisher.make_record(number, frame)) for number, frame in enumerate(frames)]
    await asyncio.to_thread(publisher.publish, *payloads)
    async with (
        asyncio.timeout(TIMEOUT),
        VerifierProcess([NAME], os.environ, tmp_path, interval=0.05) as reader,
    ):
        payloads = [
            publisher.encode(publisher.make_record(number, frame)) for number, frame in enumerate(frames, 1)
        ]
        await asyncio.to_thread(publisher.publish, *payloads)
        result = await reader.finish()
    assert result.topics[NAME].decoded == NUM_FRAMES
    assert result.problems == []
    assert not result.compared


async def test_messages_that_are_no_records_are_counted(publisher: Publisher, tmp_path: Path) -> None:
    async with (
        asyncio.timeout(TIMEOUT),
        VerifierProcess([NAME], os.environ, tmp_path, interval=0.05) as reader,
    ):
        good = publisher.encode(publisher.make_record(1, make_frames()[0]))
        bad = [b"", b"\0\0\0", b"\1\0\0\0\1abc", good[:-1], b"\0\xff\xff\xff\xff"]
        await asyncio.to_thread(publisher.publish, *bad, good)
        result = await reader.finish()
    assert result.failure is None
    assert (result.topics[NAME].decoded, result.topics[NAME].wrong) == (1, len(bad))
    assert len(result.problems) == len(bad)
    assert all(NAME in line for line in result.problems)


async def test_reader_that_cannot_start(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(LoadTestError, match=r"reader ended, status 1[\s\S]*no such Kafka topics"):
        async with (
            asyncio.timeout(TIMEOUT),
            VerifierProcess(["nonsense"], os.environ, tmp_path, interval=0.05),
        ):
            pass
