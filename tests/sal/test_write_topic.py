import asyncio
import dataclasses
import logging
import math
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lsst.ts.mtmount.sal import (
    FieldInfo,
    KafkaPublisher,
    KafkaSettings,
    TaiClock,
    TopicInfo,
    WriteTopic,
    load_packaged_interface,
)

from ..kafka_reader import KafkaReader
from .interface_files import PRIVATE_NAMES

LOG = logging.getLogger("test.topic")
INTERFACE = load_packaged_interface()
TIMEOUT = 60


@pytest.fixture
async def publisher(settings: KafkaSettings) -> AsyncIterator[KafkaPublisher]:
    publisher = KafkaPublisher(settings, LOG)
    yield publisher
    await publisher.close(TIMEOUT)


async def start_topic(publisher: KafkaPublisher, attr_name: str) -> WriteTopic:
    info = INTERFACE.topics[attr_name]
    await publisher.start([info])
    topic = WriteTopic(info, publisher, TaiClock())
    topic.prepare(publisher.schemas[attr_name])
    return topic


def make_topic(publisher: KafkaPublisher, *fields: FieldInfo, name: str = "brake") -> WriteTopic:
    return WriteTopic(TopicInfo(name, fields), publisher, TaiClock())


async def test_set_tells_changes(publisher: KafkaPublisher) -> None:
    topic = make_topic(
        publisher,
        FieldInfo("x", "double"),
        FieldInfo("n", "long"),
        FieldInfo("a", "double", 2),
        FieldInfo("s", "string"),
    )
    assert not topic.has_data
    # The first set always counts as a change, also if nothing does change.
    assert topic.set()
    assert topic.has_data
    assert not topic.set()
    assert topic.set(x=1)
    assert not topic.set(x=1.0)
    assert not topic.set(x=None)
    assert topic.data.x == 1
    assert topic.set(x=math.nan)
    assert not topic.set(x=math.nan)
    assert topic.set(a=[1, math.nan])
    assert not topic.set(a=(1, math.nan))
    assert topic.set(x=2, s="text", n=3)
    assert (topic.data.x, topic.data.n, topic.data.s) == (2.0, 3, "text")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"x": 5, "nothing": 1}, AttributeError),
        ({"x": 5, "nothing": None}, AttributeError),
        ({"x": 5, "private_seqNum": 1}, AttributeError),
        ({"x": 5, "n": "1"}, TypeError),
        ({"x": 5, "n": math.nan}, ValueError),
        ({"x": 5, "n": 2**31}, OverflowError),
    ],
)
async def test_bad_set_changes_nothing(
    publisher: KafkaPublisher, fields: dict[str, Any], error: type[Exception]
) -> None:
    topic = make_topic(publisher, FieldInfo("x", "double"), FieldInfo("n", "long"))
    with pytest.raises(error):
        topic.set(**fields)
    assert not topic.has_data
    topic.set(x=1, n=2)
    with pytest.raises(error):
        topic.set(**fields)
    assert (topic.data.x, topic.data.n) == (1.0, 2)


async def test_data_type_has_all_fields_and_zero_values(publisher: KafkaPublisher) -> None:
    topic = make_topic(publisher, FieldInfo("a", "boolean", 2), FieldInfo("s", "string"))
    assert [field.name for field in dataclasses.fields(topic.DataType)] == [
        *PRIVATE_NAMES,
        "a",
        "s",
    ]
    first, second = topic.DataType(), topic.DataType()
    assert first == second
    assert (first.a, first.s, first.private_seqNum) == ([False, False], "", 0)
    first.a[0] = True
    assert second.a == [False, False]
    assert isinstance(topic.data, topic.DataType)


async def test_data_is_no_way_to_change_the_topic(publisher: KafkaPublisher) -> None:
    topic = make_topic(publisher, FieldInfo("x", "double"), FieldInfo("a", "double", 2))
    topic.set(x=1, a=[2, 3])
    topic.data.x = 9
    topic.data.a[0] = 9
    topic.set()
    assert (topic.data.x, topic.data.a) == (1.0, [2.0, 3.0])


async def test_nothing_can_be_written_unless_running(publisher: KafkaPublisher) -> None:
    for name in ("brake", "logevent_brake"):
        topic = make_topic(publisher, FieldInfo("x", "double"), name=name)
        with pytest.raises(RuntimeError, match="the controller is not running"):
            await topic.write()
        with pytest.raises(RuntimeError, match="the controller is not running"):
            await topic.set_write(x=1)
        assert topic.record.num_encoded == 0
        # The values are set all the same.
        assert topic.data.x == 1


async def test_values_set_before_the_start_are_published(
    publisher: KafkaPublisher, kafka_reader: KafkaReader
) -> None:
    info = INTERFACE.topics["evt_clockOffset"]
    topic = WriteTopic(info, publisher, TaiClock())
    topic.set(offset=0.25)
    record = topic.record
    await publisher.start([info])
    topic.prepare(publisher.schemas["evt_clockOffset"])
    assert topic.record is record
    await topic.write()
    (message,) = await kafka_reader.read_count("logevent_clockOffset", 1)
    assert message["offset"] == 0.25


async def test_private_fields(publisher: KafkaPublisher, kafka_reader: KafkaReader) -> None:
    topic = await start_topic(publisher, "tel_azimuth")
    clock = TaiClock()
    before = clock.now()
    returned = [await topic.write(), (await topic.set_write(timestamp=5)).data]
    after = clock.now()
    messages = await kafka_reader.read_count("azimuth", 2)
    for i, (message, data) in enumerate(zip(messages, returned, strict=True)):
        assert dataclasses.asdict(data) == message
        assert before <= message["private_sndStamp"] <= after
        assert message["private_rcvStamp"] == 0
        assert message["private_kafkaStamp"] == message["private_sndStamp"]
        assert message["private_sndStamp"] - message["private_efdStamp"] == pytest.approx(37, abs=1e-5)
        assert message["private_seqNum"] == i + 1
        assert message["private_revCode"] == topic.info.rev_code
        assert message["private_identity"] == "MTMount"
        assert message["private_origin"] == os.getpid()
    assert abs(messages[0]["private_efdStamp"] - time.time()) < 60
    assert kafka_reader.keys["azimuth"] == {b""}
    assert topic.data == returned[1]


async def test_sequence_numbers_wrap(publisher: KafkaPublisher, kafka_reader: KafkaReader) -> None:
    topic = await start_topic(publisher, "tel_telemetryClientHeartbeat")
    topic.record.seq_num = 2**31 - 2
    for _ in range(3):
        await topic.write()
    messages = await kafka_reader.read_count("telemetryClientHeartbeat", 3)
    assert [message["private_seqNum"] for message in messages] == [2**31 - 1, 1, 2]


async def test_telemetry_is_always_written(publisher: KafkaPublisher, kafka_reader: KafkaReader) -> None:
    topic = await start_topic(publisher, "tel_mainPowerSupply")
    results = [
        await topic.set_write(timestamp=1),
        await topic.set_write(timestamp=1),
        await topic.set_write(timestamp=1, force_output=False),
    ]
    assert [(result.did_change, result.was_written) for result in results] == [
        (True, True),
        (False, True),
        (False, True),
    ]
    assert [result.data.private_seqNum for result in results] == [1, 2, 3]
    messages = await kafka_reader.read_count("mainPowerSupply", 3)
    assert [message["timestamp"] for message in messages] == [1, 1, 1]


async def test_events_are_written_on_change_or_by_force(
    publisher: KafkaPublisher, kafka_reader: KafkaReader
) -> None:
    topic = await start_topic(publisher, "evt_logLevel")
    steps: list[tuple[dict[str, Any], bool, bool]] = [
        ({"level": 0}, True, True),  # The first set counts as a change.
        ({"level": 0}, False, False),
        ({"level": 20, "subsystem": "x"}, True, True),
        ({"subsystem": "x"}, False, False),
        ({"level": None}, False, False),
        ({"force_output": False}, False, False),
        ({"force_output": True}, False, True),
        ({"level": 30, "force_output": False}, True, True),
    ]
    for arguments, did_change, was_written in steps:
        result = await topic.set_write(**arguments)
        assert (result.did_change, result.was_written) == (did_change, was_written), arguments
        assert result.data.level == topic.data.level
    await topic.write()
    messages = await kafka_reader.read_count("logevent_logLevel", 5)
    assert [message["level"] for message in messages] == [0, 20, 20, 30, 30]
    assert [message["private_seqNum"] for message in messages] == [1, 2, 3, 4, 5]
    assert kafka_reader.keys["logevent_logLevel"] == {b'{ "name": "MTMount", "topic": "logevent_logLevel" }'}


async def test_written_data_is_a_copy(publisher: KafkaPublisher) -> None:
    topic = await start_topic(publisher, "tel_azimuthDrives")
    first = (await topic.set_write(current=[1] * 16)).data
    second = (await topic.set_write(current=[2] * 16)).data
    assert (first.current, second.current) == ([1.0] * 16, [2.0] * 16)
    assert (first.private_seqNum, second.private_seqNum) == (1, 2)


async def test_data_shows_what_others_wrote_with_the_record(publisher: KafkaPublisher) -> None:
    topic = await start_topic(publisher, "tel_mainPowerSupply")
    assert not topic.has_data
    await topic.set_write(powerSupplyVoltage=1)
    topic.record.set_fields({"powerSupplyVoltage": 2})
    topic.record.encode(1000.0, 963.0)
    data = topic.data
    assert data.powerSupplyVoltage == 2
    assert (data.private_seqNum, data.private_sndStamp, data.private_efdStamp) == (2, 1000.0, 963.0)
    # And goes on with the sequence numbers.
    assert (await topic.write()).private_seqNum == 3


async def test_full_queue_delays_writes(settings: KafkaSettings, kafka_reader: KafkaReader) -> None:
    publisher = KafkaPublisher(settings, LOG, producer_defaults={"queue.buffering.max.messages": 2})
    topic = await start_topic(publisher, "evt_clockOffset")
    async with asyncio.timeout(TIMEOUT):
        for i in range(100):
            await topic.set_write(offset=i)
    messages = await kafka_reader.read_count("logevent_clockOffset", 100)
    assert [message["offset"] for message in messages] == list(range(100))
    assert [message["private_seqNum"] for message in messages] == list(range(1, 101))
    assert await publisher.close(TIMEOUT) == 0
    assert (topic.deliveries.acknowledged, topic.deliveries.failed) == (100, 0)
