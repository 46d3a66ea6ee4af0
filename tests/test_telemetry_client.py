"""The telemetry client, end to end: over TCP, to the embedded broker, and back."""

import asyncio
import gc
import json
import logging
import math
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException

from lsst.ts import mtmount
from lsst.ts.mtmount import DropReason, TelemetryClient, TelemetryTopicHandler
from lsst.ts.mtmount.core import FrameError
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP

from .core.topics import golden_records, packaged_twin
from .fatal_error import raise_fatal_error
from .kafka_reader import KafkaReader
from .kafka_threads import count_kafka_threads
from .tma import ScriptedTma

TAI_MINUS_UTC = 37

MakeClient = Callable[..., TelemetryClient]


def golden_frame(sal_topic: str, case: str = "six") -> bytes:
    (vector,) = (v for v in golden_records() if (v["sal_topic"], v["case"]) == (sal_topic, case))
    return str(vector["line"]).encode()


def frame_of(sal_topic: str, **changes: Any) -> bytes:
    data = json.loads(golden_frame(sal_topic))
    assert not set(changes) - set(data) - {"unknown"}
    return json.dumps(data | changes).encode()


@asynccontextmanager
async def run_to_end(client: TelemetryClient) -> AsyncIterator[TelemetryClient]:
    """Run a client to the end, and see that every frame is accounted for."""
    try:
        async with asyncio.timeout(60):
            await client.start_task
            yield client
    finally:
        await client.close()
        counters = client.counters
        assert counters.is_closed(), counters
        assert counters.in_flight == 0, counters


@pytest.fixture
async def tma() -> AsyncIterator[ScriptedTma]:
    async with ScriptedTma() as server:
        yield server


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that are not about the time limit may be slow."""
    monkeypatch.setattr("lsst.ts.mtmount.telemetry_client.TELEMETRY_TIMEOUT", 30)


async def wait_for(is_true: Callable[[], bool], timeout: float = 60) -> None:
    """Give the loop its turns until something holds."""
    async with asyncio.timeout(timeout):
        while not is_true():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("chunk", [1, 7, 1000, 65536])
@pytest.mark.parametrize("case", ["six", "full", "edge"])
async def test_every_topic_becomes_its_record(
    tma: ScriptedTma, kafka_reader: KafkaReader, case: str, chunk: int
) -> None:
    vectors = [vector for vector in golden_records() if vector["case"] == case]
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        start = time.time()
        await tma.send(*(vector["line"].encode() for vector in vectors), chunk=chunk)
        await tma.send(*(vector["line"].encode() for vector in vectors))
        records = await kafka_reader.read_until(
            lambda records: all(len(records[vector["sal_topic"]]) >= 2 for vector in vectors)
        )
        assert client.counters.preprocessed == 0
        assert client.counters.published == 2 * len(vectors)
    end = time.time()
    for vector in vectors:
        twin = packaged_twin(vector["topic_id"])
        twin.decode_frame(vector["line"].encode())
        for index, record in enumerate(records[vector["sal_topic"]]):
            assert record["private_seqNum"] == index + 1
            assert start <= record["private_efdStamp"] <= end
            assert record["private_sndStamp"] == pytest.approx(
                record["private_efdStamp"] + TAI_MINUS_UTC, abs=1e-6
            )
            assert record["private_kafkaStamp"] == record["private_sndStamp"]
            assert record["private_rcvStamp"] == 0
            assert record["private_identity"] == "MTMount"
            assert record["private_origin"] == os.getpid()
            assert len(record["private_revCode"]) == 8
            # Byte for byte, but for the private fields.
            value = kafka_reader.values[vector["sal_topic"]][index]
            expected = twin.encode(
                record["private_sndStamp"],
                record["private_efdStamp"],
                index + 1,
                record["private_revCode"],
                os.getpid(),
            )
            assert value[5:] == expected
        assert kafka_reader.keys[vector["sal_topic"]] == {b""}


async def test_counters_tell_of_now(
    tma: ScriptedTma, kafka_reader: KafkaReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acknowledgements are collected when somebody asks, not only by the publisher's slow timer."""
    monkeypatch.setattr("lsst.ts.mtmount.sal.publisher.SERVE_INTERVAL", 1000)
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        await tma.send(golden_frame("azimuth"))
        await kafka_reader.read_count("azimuth", 1)
        await wait_for(lambda: client.counters.acknowledged == 1)
        assert client.counters.in_flight == 0


async def test_start_and_end_are_published(tma: ScriptedTma, kafka_reader: KafkaReader) -> None:
    client = TelemetryClient("127.0.0.1", tma.port)
    client.heartbeat_interval = 0.05
    assert not client.connected
    async with run_to_end(client):
        assert client.connected
        assert client.should_be_connected
        assert client.controller.isopen
        await tma.send(golden_frame("azimuth"))
        await kafka_reader.read_count("telemetryClientHeartbeat", 3)
        assert not client.heartbeat_task.done()
        with pytest.raises(RuntimeError, match="connected"):
            await client.start()
    assert client.done_task.done()
    assert client.done_task.exception() is None
    assert not client.connected
    assert not client.should_be_connected
    assert not client.controller.isopen
    assert client.controller.done_task.done()
    connected = await kafka_reader.read_count("logevent_telemetryConnected", 3)
    assert [record["connected"] for record in connected] == [False, True, False]
    assert kafka_reader.keys["logevent_telemetryConnected"] == {
        b'{ "name": "MTMount", "topic": "logevent_telemetryConnected" }'
    }
    (level,) = await kafka_reader.read_count("logevent_logLevel", 1)
    assert (level["level"], level["subsystem"]) == (logging.INFO, "")
    await client.close()


async def test_clock_offset(
    tma: ScriptedTma, kafka_reader: KafkaReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.pipeline.clock_offset.CLOCK_OFFSET_EVENT_INTERVAL", 0.2)
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        tai = time.time() + TAI_MINUS_UTC
        # A topic that does not tell the clock, and frames whose clock cannot be used.
        await tma.send(
            frame_of("mainPowerSupply", timestamp=tai + 50),
            frame_of("azimuth", timestamp="x"),
            frame_of("azimuth", timestamp=math.nan),
        )
        await tma.send(*[frame_of("elevation", timestamp=tai + 100)] * 3)
        (record,) = await kafka_reader.read_count("logevent_clockOffset", 1)
        assert record["offset"] == pytest.approx(100, abs=5)
        await client.next_clock_offset_task
        # Also where the frame is then dropped.
        await tma.send(b'{"topicID": 6, "timestamp": %f}' % (tai + 200))
        records = await kafka_reader.read_count("logevent_clockOffset", 2)
        assert records[1]["offset"] == pytest.approx(200, abs=5)
        await kafka_reader.read_count("elevation", 3)
        await wait_for(lambda: client.counters.dropped[DropReason.MISSING_FIELD] == 1)
        assert client.counters.dropped[DropReason.BAD_VALUE] == 1
        assert len(records) == 2


#: Bad frames of topic mainPowerSupply, and the reason for which each is dropped.
BAD_FRAMES: list[tuple[str, bytes, DropReason]] = [
    ("not JSON", b'{"topicID": 21, "oops', DropReason.NOT_JSON),
    ("not UTF-8", b'{"topicID": 21, "text": "\xff\xfe"}', DropReason.NOT_UTF8),
    ("empty", b"", DropReason.NOT_JSON),
    ("no object", b"[21, 1.0]", DropReason.NOT_OBJECT),
    ("nested", b'{"topicID": 21, "a": ' + b"[" * 600 + b"]" * 600 + b"}", DropReason.NESTING),
    ("deep", b"[" * 100_000, DropReason.NESTING),
    ("too long", b'{"topicID": 21, "text": "' + b"x" * (1 << 20) + b'"}', DropReason.TOO_LONG),
    ("topicID missing", b'{"timestamp": 1.0}', DropReason.TOPIC_ID),
    ("topicID boolean", b'{"topicID": true}', DropReason.TOPIC_ID),
    ("topicID not integral", b'{"topicID": 21.5}', DropReason.TOPIC_ID),
    ("topicID string", b'{"topicID": "21"}', DropReason.TOPIC_ID),
    ("field missing", b'{"topicID": 21, "timestamp": 1.0}', DropReason.MISSING_FIELD),
    ("string", frame_of("mainPowerSupply", timestamp="1.0"), DropReason.BAD_VALUE),
    ("list", frame_of("mainPowerSupply", timestamp=[1.0]), DropReason.BAD_VALUE),
    ("object", frame_of("mainPowerSupply", timestamp={"a": 1.0}), DropReason.BAD_VALUE),
    ("integer beyond a double", frame_of("mainPowerSupply", timestamp=10**400), DropReason.BAD_VALUE),
]


@pytest.mark.parametrize(("name", "bad", "reason"), BAD_FRAMES, ids=[name for name, *_ in BAD_FRAMES])
async def test_a_bad_frame_costs_one_frame(
    tma: ScriptedTma,
    kafka_reader: KafkaReader,
    caplog: pytest.LogCaptureFixture,
    name: str,
    bad: bytes,
    reason: DropReason,
) -> None:
    drops: list[tuple[BaseException, bytes]] = []
    client = TelemetryClient("127.0.0.1", tma.port, on_drop=lambda *drop: drops.append(drop))
    good = frame_of("mainPowerSupply")
    async with run_to_end(client):
        await tma.send(good, bad, good)
        records = await kafka_reader.read_count("mainPowerSupply", 2)
        assert client.connected
        assert client.counters.dropped[reason] == client.counters.total_dropped == 1
        assert client.counters.frames == 3
    assert records[0]["timestamp"] == records[1]["timestamp"] == json.loads(good)["timestamp"]
    ((error, head),) = drops
    assert isinstance(error, FrameError)
    assert error.reason is reason
    assert head == bad[:200]
    (logged,) = (record for record in caplog.records if "Dropped a frame" in record.getMessage())
    assert reason in logged.getMessage()
    assert logged.levelno == logging.WARNING


#: What the frames before and after an odd one hold.
BASE_VALUES: dict[str, dict[str, Any]] = {
    "mainPowerSupply": {"timestamp": 1732400000.5},
    "encoder": {f"encoderHeadReadReferenceAZ{i}": i for i in range(1, 5)},
    "capacitorBank": {f"blownAzimuth3Fuse{i}": i == 4 for i in range(1, 5)},
}


@pytest.mark.parametrize(
    ("sal_topic", "changes", "expected"),
    [
        ("mainPowerSupply", {"timestamp": None}, {"timestamp": 1732400000.5}),
        ("mainPowerSupply", {"timestamp": True}, {"timestamp": 1.0}),
        ("encoder", {"encoderHeadReadReferenceAZ2": 5.9}, {"encoderHeadReadReferenceAZ": [1, 5, 3, 4]}),
        ("encoder", {"encoderHeadReadReferenceAZ2": -5.9}, {"encoderHeadReadReferenceAZ": [1, -5, 3, 4]}),
        ("encoder", {"encoderHeadReadReferenceAZ2": False}, {"encoderHeadReadReferenceAZ": [1, 0, 3, 4]}),
        ("capacitorBank", {"blownAzimuth3Fuse1": 2}, {"blownAzimuth3Fuse": [True, False, False, True]}),
        ("capacitorBank", {"blownAzimuth3Fuse1": 0.0}, {"blownAzimuth3Fuse": [False, False, False, True]}),
    ],
)
async def test_odd_values_are_converted(
    tma: ScriptedTma,
    kafka_reader: KafkaReader,
    sal_topic: str,
    changes: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    base = BASE_VALUES[sal_topic]
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)):
        await tma.send(
            frame_of(sal_topic, **base), frame_of(sal_topic, **base | changes), frame_of(sal_topic, **base)
        )
        first, odd, last = await kafka_reader.read_count(sal_topic, 3)
    private = [name for name in first if name.startswith("private_")]
    for name in first:
        if name not in private:
            assert odd[name] == expected.get(name, first[name]), name
            assert last[name] == first[name]


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**63, None, "1"])
async def test_bad_integer_is_dropped(tma: ScriptedTma, kafka_reader: KafkaReader, value: Any) -> None:
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        good = frame_of("encoder")
        await tma.send(good, frame_of("encoder", encoderHeadReadReferenceAZ2=value), good)
        await kafka_reader.read_count("encoder", 2)
        assert client.counters.dropped[DropReason.BAD_VALUE] == 1


async def test_unknown_topics_are_reported_once(
    tma: ScriptedTma, kafka_reader: KafkaReader, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        await tma.send(*[b'{"topicID": 1234}', b'{"topicID": 20, "x": 1}', b'{"topicID": 1e3}'] * 3)
        await tma.send(golden_frame("azimuth"))
        await kafka_reader.read_count("azimuth", 1)
        assert client.unsupported_topic_ids == {1234, 20, 1000}
        assert client.counters.unsupported == 9
        assert client.counters.unsupported_by_topic == {"1234": 3, "20": 3, "1000": 3}
        assert client.counters.total_dropped == 0
    messages = [record.getMessage() for record in caplog.records if "nsupported topic" in record.getMessage()]
    assert len(messages) == 3
    assert "1234; its frames are ignored: the TMA's interface lacks it; --tma-interface" in messages[0]


async def test_unknown_topics_of_a_hostile_sender_are_bounded(
    tma: ScriptedTma, kafka_reader: KafkaReader, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        # Two that only differ where they are cut; then more than are kept.
        await tma.send(*[b'{"topicID": %d}' % (10**4000 + number) for number in (1, 2)])
        await tma.send(*[b'{"topicID": %d}' % number for number in range(1000, 3000)] * 2)
        await tma.send(golden_frame("azimuth"))
        await kafka_reader.read_count("azimuth", 1)
        counters = client.counters
        client.log_counters()
    assert counters.unsupported == 4002 == sum(counters.unsupported_by_topic.values())
    assert len(client.unsupported_topic_ids) == 1000
    assert len(counters.unsupported_by_topic) == 100
    cut = f"1{'0' * 39}... (4001 digits)"
    assert list(counters.unsupported_by_topic.items())[:2] == [(cut, 2), ("1000", 2)]
    assert counters.unsupported_by_topic["others"] == 4002 - 2 - 98 * 2
    (line, _) = (message for message in caplog.messages if message.startswith("Counters: "))
    assert (
        json.loads(line.removeprefix("Counters: "))["unsupported_by_topic"] == counters.unsupported_by_topic
    )
    assert len(line) < 5000


async def test_a_topic_whose_handler_was_removed_is_named(
    tma: ScriptedTma, kafka_reader: KafkaReader, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        del client.topic_handlers[6]
        await tma.send(golden_frame("azimuth"), golden_frame("elevation"))
        await kafka_reader.read_count("elevation", 1)
        assert client.counters.unsupported_by_topic == {"azimuth": 1}
    assert "Unsupported topic ID 6; its frames are ignored: topic azimuth has no handler" in caplog.text


async def test_strict_ends_at_the_first_undecodable_frame(
    tma: ScriptedTma, kafka_reader: KafkaReader
) -> None:
    client = TelemetryClient("127.0.0.1", tma.port, strict=True)
    async with run_to_end(client):
        good = golden_frame("azimuth")
        await tma.send(good, b'{"topicID": 6}', good, b"garbage", good)
        with pytest.raises(FrameError, match="not JSON"):
            await client.done_task
    assert len(await kafka_reader.read_count("azimuth", 2)) == 2
    assert client.counters.dropped[DropReason.CLOSED] == 1


class ScalingClient(TelemetryClient):
    def _preprocess_azimuthDrives(self, data: dict[str, Any]) -> None:
        for i in range(1, 17):
            data[f"current{i}"] *= 1000

    def _preprocess_lockingPins(self, data: dict[str, Any]) -> None:
        raise ArithmeticError("cannot preprocess")


async def test_preprocessor(tma: ScriptedTma, kafka_reader: KafkaReader) -> None:
    client = ScalingClient("127.0.0.1", tma.port)
    assert client.get_preprocessor("tel_azimuthDrives") == client._preprocess_azimuthDrives
    assert client.get_preprocessor("azimuthDrives") == client._preprocess_azimuthDrives
    assert client.get_preprocessor("tel_azimuth") is None
    names = [name for name, _ in RAW_TELEMETRY_MAP.values() if name != "lockingPins"]
    async with run_to_end(client):
        for _ in range(5):
            await tma.send(*(golden_frame(name) for name in names))
        await tma.send(golden_frame("lockingPins"))
        records = await kafka_reader.read_until(
            lambda records: all(len(records[name]) == 5 for name in names)
        )
        await wait_for(lambda: client.counters.dropped[DropReason.HANDLER] == 1)
        assert client.counters.preprocessed == 5
        assert client.counters.published == 5 * len(names)
        assert client.counters.total_dropped == 1
    raw = json.loads(golden_frame("azimuthDrives"))
    for index, record in enumerate(records["azimuthDrives"]):
        assert record["private_seqNum"] == index + 1
        assert record["current"] == [raw[f"current{i}"] * 1000 for i in range(1, 17)]
        assert record["currentTimestamp"] == [raw[f"current{i}Timestamp"] for i in range(1, 17)]
    # Bad input follows the same rules there.
    assert not records["lockingPins"]


async def test_bad_input_of_a_preprocessed_topic(tma: ScriptedTma, kafka_reader: KafkaReader) -> None:
    good = golden_frame("azimuthDrives")
    async with run_to_end(ScalingClient("127.0.0.1", tma.port)) as client:
        await tma.send(
            good,
            good[:-1] + b', "x": ' + b"[" * 600 + b"]" * 600 + b"}",
            good.replace(b'"current3"', b'"kurrent3"'),
            frame_of("azimuthDrives", current1Timestamp="x"),
            frame_of("azimuthDrives", timestamp=None),
            good,
        )
        records = await kafka_reader.read_count("azimuthDrives", 3)
        dropped = client.counters.dropped
        assert (dropped[DropReason.NESTING], dropped[DropReason.HANDLER], dropped[DropReason.BAD_VALUE]) == (
            1,
            1,
            1,
        )
    assert len({record["timestamp"] for record in records}) == 1


async def test_replaced_handler_is_called(tma: ScriptedTma, kafka_reader: KafkaReader) -> None:
    seen: list[dict[str, Any]] = []
    client = TelemetryClient("127.0.0.1", tma.port)

    async def handle(data: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        if len(seen) == 1:
            seen.append({})
            raise OSError("the handler failed")
        seen.append(data)

    original = client.topic_handlers[6]
    assert isinstance(original, TelemetryTopicHandler)
    async with run_to_end(client):
        client.topic_handlers[6] = handle
        elevation = golden_frame("elevation")
        azimuth = golden_frame("azimuth")
        await tma.send(*[azimuth, elevation] * 3)
        await kafka_reader.read_count("elevation", 3)
        assert seen == [json.loads(azimuth), {}, json.loads(azimuth)]
        assert client.counters.handled == 2
        assert client.counters.dropped[DropReason.HANDLER] == 1
        # A standard handler of the user's own, and the original again.
        client.topic_handlers[6] = TelemetryTopicHandler(original.topic, dict(original.field_dict))
        await tma.send(azimuth)
        await kafka_reader.read_count("azimuth", 1)
        assert client.counters.handled == 3
        client.topic_handlers[6] = original
        await tma.send(azimuth)
        records = await kafka_reader.read_count("azimuth", 2)
        assert client.counters.handled == 3
        # One sequence number serves both ways.
        assert [record["private_seqNum"] for record in records] == [1, 2]
        await original(json.loads(azimuth))
        assert (await kafka_reader.read_count("azimuth", 3))[2]["private_seqNum"] == 3
        original.preprocessor = lambda data: data.update(actualPosition=7.5)
        await tma.send(azimuth)
        assert (await kafka_reader.read_count("azimuth", 4))[3]["actualPosition"] == 7.5
        assert client.counters.preprocessed == 1
        del client.topic_handlers[6]
        await tma.send(azimuth)
        await wait_for(lambda: client.counters.unsupported == 1)


async def test_topic_data_and_write_share_the_fused_state(
    tma: ScriptedTma, kafka_reader: KafkaReader
) -> None:
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        topic = client.controller.tel_topEndChiller
        topic.set(airCompressedValveStatus=True)
        await tma.send(golden_frame("topEndChiller"))
        await kafka_reader.read_count("topEndChiller", 1)
        raw = json.loads(golden_frame("topEndChiller"))
        assert topic.data.timestamp == raw["timestamp"]
        assert topic.data.private_seqNum == 1
        await topic.set_write(timestamp=5.5)
        await tma.send(golden_frame("topEndChiller"))
        records = await kafka_reader.read_count("topEndChiller", 3)
        assert [record["timestamp"] for record in records] == [raw["timestamp"], 5.5, raw["timestamp"]]
        assert [record["private_seqNum"] for record in records] == [1, 2, 3]
        # A field that the TMA does not send keeps what a user has set.
        assert all(record["airCompressedValveStatus"] for record in records)


async def test_no_telemetry_ends_the_client(
    tma: ScriptedTma, kafka_reader: KafkaReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.telemetry_client.TELEMETRY_TIMEOUT", 0.5)
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        # Dropped frames count; bytes that make no frame do not.
        for _ in range(4):
            await tma.send(b"garbage")
            await asyncio.sleep(0.3)
        assert client.connected
        start = time.monotonic()
        while client.connected:
            await tma.send(b"no frame", terminator=b"")
            await asyncio.wait([client.done_task], timeout=0.1)
        await client.done_task
        assert client.done_task.exception() is None
        assert isinstance(client.failure, TimeoutError)
        assert time.monotonic() - start < 10
    connected = await kafka_reader.read_count("logevent_telemetryConnected", 3)
    assert not connected[-1]["connected"]


@pytest.mark.slow
async def test_stalled_loop_is_no_timeout(
    tma: ScriptedTma, kafka_reader: KafkaReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.telemetry_client.TELEMETRY_TIMEOUT", 1)
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        await tma.send(golden_frame("azimuth"))
        await kafka_reader.read_count("azimuth", 1)
        await tma.send(golden_frame("azimuth"))
        time.sleep(2.5)  # noqa: ASYNC251
        await tma.send(golden_frame("azimuth"))
        await kafka_reader.read_count("azimuth", 3)
        assert client.connected


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_lost_connection_ends_the_client(tma: ScriptedTma, kafka_reader: KafkaReader, how: str) -> None:
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        await tma.send(golden_frame("azimuth"), golden_frame("azimuth"))
        await tma.send(golden_frame("azimuth"), terminator=b"")
        await kafka_reader.read_count("azimuth", 2)
        if how == "close":
            tma.close_connection()
        else:
            tma.reset_connection()
        await client.done_task
        assert isinstance(client.failure, ConnectionError)
    assert len(kafka_reader.records["azimuth"]) == 2
    connected = await kafka_reader.read_count("logevent_telemetryConnected", 3)
    assert [record["connected"] for record in connected] == [False, True, False]


async def test_useless_producer_ends_the_client(
    tma: ScriptedTma,
    sal_environment: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = tmp_path / "producer.yaml"
    settings.write_text("enable.idempotence: true\n")
    monkeypatch.setenv("LSST_KAFKA_PRODUCER_CONFIGURATION", str(settings))
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        producer = client.controller.publisher._producer
        assert producer is not None
        raise_fatal_error(producer)
        with pytest.raises(KafkaException, match="it is over"):
            await client.done_task
    told = [record.levelname for record in caplog.records if record.getMessage().startswith("Kafka: ")]
    assert told == ["CRITICAL"]


async def test_closed_client_keeps_no_producer(tma: ScriptedTma, sal_environment: str) -> None:
    gc.collect()
    before = count_kafka_threads("rdk:main")
    gc.disable()
    try:
        client = TelemetryClient("127.0.0.1", tma.port)
        await client.start_task
        assert count_kafka_threads("rdk:main") > before
        await client.close()
        # They end in a thread.
        async with asyncio.timeout(20):
            while count_kafka_threads("rdk:main") > before:
                await asyncio.sleep(0.01)
        assert client.counters.is_closed()
    finally:
        gc.enable()


async def test_refused_connection(sal_environment: str) -> None:
    async with ScriptedTma() as server:
        port = server.port
    client = TelemetryClient("127.0.0.1", port)
    await client.start_task
    with pytest.raises(ConnectionError):
        await client.done_task
    assert not client.connected
    await client.close()


async def test_late_connection(sal_environment: str) -> None:
    # An address that does not answer: a listener whose queue is full.
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            client = TelemetryClient("127.0.0.1", port, connection_timeout=0.3)
            await client.start_task
            with pytest.raises(ConnectionError, match=r"within 0\.3 s"):
                await client.done_task
        finally:
            for filler in fillers:
                filler.close()


async def test_signal_ends_the_client(tma: ScriptedTma, kafka_reader: KafkaReader) -> None:
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        await tma.send(*[golden_frame("azimuth")] * 100)
        await wait_for(lambda: client.counters.published == 100)
        os.kill(os.getpid(), signal.SIGTERM)
        await client.done_task
        await tma.wait_disconnected()
    assert client.counters.acknowledged == 100
    assert len(await kafka_reader.read_count("azimuth", 100)) == 100
    connected = await kafka_reader.read_count("logevent_telemetryConnected", 3)
    assert not connected[-1]["connected"]


async def test_signal_while_connecting(sal_environment: str) -> None:
    client = TelemetryClient("127.0.0.1", 1)
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(60):
        await client.start_task
        await asyncio.wait([client.done_task])
    await client.close()


async def test_counters_are_logged_on_sigusr1(
    tma: ScriptedTma, kafka_reader: KafkaReader, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)):
        await tma.send(golden_frame("azimuth"), b"garbage")
        await kafka_reader.read_count("azimuth", 1)
        os.kill(os.getpid(), signal.SIGUSR1)
        await kafka_reader.read_until(
            lambda records: any('"published": 1' in r["message"] for r in records["logevent_logMessage"])
        )
    assert '"not JSON": 1' in caplog.text


async def test_log_messages_are_published(tma: ScriptedTma, kafka_reader: KafkaReader) -> None:
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        assert client.log.name == "MTMount.TelemetryClient.TelemetryClient(TelemetryClient)"
        client.log.warning("one \u2126 warning")
        records = await kafka_reader.read_until(
            lambda records: any("warning" in record["message"] for record in records["logevent_logMessage"])
        )
    (record,) = (r for r in records["logevent_logMessage"] if "warning" in r["message"])
    assert record["name"] == client.log.name
    assert record["level"] == logging.WARNING
    assert record["message"] == "one \u2126 warning"
    assert record["filePath"].endswith("test_telemetry_client.py")


@pytest.mark.slow
async def test_full_queue_pauses_the_socket(
    tma: ScriptedTma,
    kafka_reader: KafkaReader,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    settings = tmp_path / "producer.yaml"
    settings.write_text("queue.buffering.max.messages: 50\nlinger.ms: 200\n")
    monkeypatch.setenv("LSST_KAFKA_PRODUCER_CONFIGURATION", str(settings))
    monkeypatch.setattr("lsst.ts.mtmount.telemetry_client.TELEMETRY_TIMEOUT", 1)
    frames = [frame_of("azimuth", demandPosition=float(i)) for i in range(3000)]
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        send = asyncio.create_task(tma.send(*frames))
        records = await kafka_reader.read_count("azimuth", len(frames), timeout=60)
        await send
        assert client.connected
        assert client.counters.total_dropped == 0
    assert [record["demandPosition"] for record in records] == list(range(3000))


def test_public_names() -> None:
    for name in [
        *("TelemetryClient", "TelemetryTopicHandler", "Client", "run_mtmount_telemetry_client"),
        *("CLOCK_OFFSET_EVENT_INTERVAL", "TELEMETRY_TIMEOUT", "TELEMETRY_PORT", "LINE_TERMINATOR"),
        *("RAW_TELEMETRY_MAP", "TELEMETRY_MAP", "TelemetryTopicId"),
    ]:
        assert hasattr(mtmount, name)
        assert name in mtmount.__all__
    assert (mtmount.CLOCK_OFFSET_EVENT_INTERVAL, mtmount.TELEMETRY_TIMEOUT) == (1, 1)
    assert (mtmount.TELEMETRY_PORT, mtmount.LINE_TERMINATOR) == (50035, b"\r\n")
    assert frozenset({"Discrete Motion", "Standstill", "Stopping"}) == TelemetryClient.on_drive_states


def test_needs_a_running_loop(sal_environment: str) -> None:
    with pytest.raises(RuntimeError, match="loop"):
        TelemetryClient("127.0.0.1")


def test_subname_is_required(sal_environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LSST_TOPIC_SUBNAME")

    async def make() -> None:
        TelemetryClient("127.0.0.1")

    with pytest.raises(ValueError, match="LSST_TOPIC_SUBNAME"):
        asyncio.run(make())
