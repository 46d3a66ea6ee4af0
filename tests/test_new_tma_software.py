"""The TMA's software changes, end to end: what is published with the old map, and with the new file."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.core import DropReason
from lsst.ts.mtmount.sal import FieldInfo
from lsst.ts.mtmount.tma_interface import TmaTopic, load_packaged_tma_interface, load_tma_interface
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.load_test.oracle import TopicOracle, decode_frame, find_difference
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from .kafka_reader import KafkaReader, Records
from .sal.interface_files import packaged_fields, write_package
from .test_telemetry_client import run_to_end
from .tma import ScriptedTma
from .tma_interface.new_software import (
    CHANGES,
    TOPICS,
    make_frames,
    make_interface_of_all_types,
    make_new_sal,
    write_new_file,
)


@pytest.fixture
def new_file(tmp_path: Path) -> Path:
    return write_new_file(tmp_path / "TelemetryTopicsConfiguration.ini")


@pytest.fixture(autouse=True)
def new_sal(tmp_path: Path, sal_environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSST_SAL_INTERFACES_DIR", str(write_package(tmp_path, make_new_sal())))


@pytest.fixture
async def kafka_reader(embedded_kafka: EmbeddedKafka, sal_environment: str) -> AsyncIterator[KafkaReader]:
    names = [*packaged_fields(), "encoderHeads"]
    embedded_kafka.create_topics(sal_environment + name for name in names)
    reader = KafkaReader(
        embedded_kafka.bootstrap_servers, embedded_kafka.registry_url, sal_environment, names
    )
    yield reader
    reader.close()


@pytest.fixture
async def tma() -> AsyncIterator[ScriptedTma]:
    async with ScriptedTma() as server:
        yield server


def running(tma: ScriptedTma, **options: Any) -> AbstractAsyncContextManager[TelemetryClient]:
    return run_to_end(TelemetryClient("127.0.0.1", tma.port, sal_backend="builtin", **options))


async def test_with_the_old_map(tma: ScriptedTma, kafka_reader: KafkaReader, new_file: Path) -> None:
    """The contract: what lacks a member is dropped, what is new is ignored."""
    frames = make_frames(load_tma_interface(new_file))
    async with running(tma) as client:
        await tma.send(*(frame for frame, _ in frames.values()))
        (drives,) = await kafka_reader.read_count("azimuthDrives", 1)
        (elevation,) = await kafka_reader.read_count("elevation", 1)
        await tma.send(frames["elevation"][0])
        await kafka_reader.read_count("elevation", 2)
        counters = client.counters
        assert client.unsupported_topic_ids == {28, 29}
    assert (counters.published, counters.unsupported) == (3, 2)
    assert {reason: count for reason, count in counters.dropped.items() if count} == {
        DropReason.MISSING_FIELD: 1
    }
    assert len(drives["current"]) == 16
    assert elevation["windLoad"] == 0.0
    assert counters.frames_with_unknown_members == {"azimuthDrives": 1, "elevation": 2}


async def test_with_the_old_map_and_incomplete_frames(
    tma: ScriptedTma, kafka_reader: KafkaReader, new_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What lacks a member is published without it; what is new is told once, and what would take it."""
    frames = make_frames(load_tma_interface(new_file))
    whole = json.dumps(
        {"topicID": 6}
        | {member.name: 7.0 for member in load_packaged_tma_interface().by_name["azimuth"].members}
    ).encode()
    async with running(tma, accept_incomplete=True) as client:
        await tma.send(*(frame for frame, _ in frames.values()), whole, frames["azimuth"][0])
        records = await kafka_reader.read_count("azimuth", 3)
        await kafka_reader.read_count("azimuthDrives", 1)
        counters = client.counters
    assert (counters.published, counters.unsupported, counters.total_dropped) == (5, 2, 0)
    assert counters.incomplete == {"azimuth": 2}
    # Zero at first, then the value that came last.
    assert [record["actualTorque"] for record in records] == [0.0, 7.0, 7.0]
    assert [record["actualPosition"] for record in records] == [
        frames["azimuth"][1]["actualPosition"],
        7.0,
        frames["azimuth"][1]["actualPosition"],
    ]
    assert caplog.text.count("azimuth: frames lack the member 'actualTorque';") == 2
    assert counters.unknown_members["elevation"] == ["windLoad", "windLoadTimestamp"]
    assert set(counters.unknown_members["azimuthDrives"]) >= {"current17", "current18"}
    assert (
        "the member 'windLoad', which its interface lacks; the SAL field windLoad would take" in caplog.text
    )
    assert "the SAL field current would take it" in caplog.text
    assert counters.as_dict()["unknown_members"]["elevation"] == ["windLoad", "windLoadTimestamp"]


async def test_each_new_member_is_told_and_what_goes_back_and_forth_is_rate_limited(
    tma: ScriptedTma, kafka_reader: KafkaReader, caplog: pytest.LogCaptureFixture
) -> None:
    members = {member.name: 1.0 for member in load_packaged_tma_interface().by_name["azimuth"].members}
    new = {f"new{number}": 1.0 for number in range(30)}
    odd = {"windé": 1.0, "a\nb": 1.0}
    less = {name: value for name, value in members.items() if name != "actualTorque"}
    async with running(tma, accept_incomplete=True) as client:
        frames = [json.dumps({"topicID": 6, **content}).encode() for content in (members | new | odd, less)]
        await tma.send(*frames * 50)
        await kafka_reader.read_count("azimuth", 100)
        counters = client.counters
    assert counters.incomplete == {"azimuth": 50}
    # Not as JSON escapes it.
    assert counters.unknown_members == {"azimuth": [*new, "windé", "a\\nb"]}
    assert counters.frames_with_unknown_members == {"azimuth": 50}
    assert sum("azimuth: the TMA sends the member 'new" in message for message in caplog.messages) == 30
    told = [message for message in caplog.messages if "the member 'actualTorque'" in message]
    # Missing, back, and the one of this minute.
    assert len(told) == 3
    assert "missing member actualTorque of azimuth: suppressed 96 more messages like this" in caplog.messages


class PreprocessingClient(TelemetryClient):
    """Has a topic that takes the path by way of a dict."""

    def _preprocess_elevation(self, data: dict[str, Any]) -> None:
        del data["windLoad"]


async def test_new_members_of_a_topic_with_a_preprocessor_are_counted(
    tma: ScriptedTma, kafka_reader: KafkaReader, new_file: Path
) -> None:
    frame = make_frames(load_tma_interface(new_file))["elevation"][0]
    client = PreprocessingClient("127.0.0.1", tma.port, sal_backend="builtin")
    await client.start_task
    await tma.send(*[frame] * 5)
    await kafka_reader.read_count("elevation", 5)
    await client.close()
    assert client.counters.preprocessed == 5
    assert client.counters.frames_with_unknown_members == {"elevation": 5}


async def test_members_that_sal_lacks_are_no_news(
    tma: ScriptedTma,
    kafka_reader: KafkaReader,
    new_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("LSST_SAL_INTERFACES_DIR", str(write_package(tmp_path / "old", packaged_fields())))
    frame = make_frames(load_tma_interface(new_file))["elevation"][0]
    async with running(tma, tma_interface=new_file) as client:
        await tma.send(frame, frame.replace(b"{", b'{"newer": 1, ', 1))
        await kafka_reader.read_count("elevation", 2)
        counters = client.counters
    assert counters.unknown_members == {"elevation": ["newer"]}
    assert counters.frames_with_unknown_members == {"elevation": 1}
    assert "which its interface lacks" not in caplog.text.replace("'newer', which its interface lacks", "")


@pytest.mark.parametrize("by_variable", [False, True])
async def test_with_the_new_file(
    tma: ScriptedTma,
    kafka_reader: KafkaReader,
    new_file: Path,
    by_variable: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All is published but the topic that SAL does not have."""
    caplog.set_level(logging.INFO)
    frames = make_frames(load_tma_interface(new_file))
    options: dict[str, Any] = {} if by_variable else {"tma_interface": new_file}
    if by_variable:
        monkeypatch.setenv("MTMOUNT_TMA_INTERFACE", str(new_file))
    async with running(tma, **options) as client:
        await tma.send(*(frame for frame, _ in frames.values()))
        records = {
            name: (await kafka_reader.read_count(name, 1))[0] for name in TOPICS if name != "unknownToSal"
        }
        events = await kafka_reader.read_count("logevent_clockOffset", 1)
        # The last frame has no message to wait for.
        await tma.send(frames["azimuth"][0])
        await kafka_reader.read_count("azimuth", 2)
        counters = client.counters
        assert client.unsupported_topic_ids == {29}
        assert client.take_snapshot().tma_interface == str(new_file)
    assert (counters.published, counters.unsupported, counters.total_dropped) == (5, 1, 0)
    drives = frames["azimuthDrives"][1]
    assert records["azimuthDrives"]["current"] == [drives[f"current{number}"] for number in range(1, 19)]
    heads = frames["encoderHeads"][1]
    assert records["encoderHeads"]["headAZ"] == [heads["headAZ1"], heads["headAZ2"]]
    assert records["elevation"]["windLoad"] == frames["elevation"][1]["windLoad"]
    assert records["azimuth"]["actualTorque"] == 0.0
    assert records["azimuth"]["actualPosition"] == frames["azimuth"][1]["actualPosition"]
    assert events
    assert f"TMA interface: {new_file} (5 topics, " in caplog.text
    assert "unlike the packaged one, azimuth does not send actualTorque, actualTorqueTimestamp" in caplog.text
    assert "there is no tel_unknownToSal; the frames of topic ID 29 are ignored" in caplog.text
    assert counters.unsupported_by_topic == {"unknownToSal": 1}
    assert "29; its frames are ignored: the SAL interface has no telemetry topic unknownToSal" in caplog.text


async def test_every_type(
    embedded_kafka: EmbeddedKafka, sal_environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New topics with members of every type: each value is the independent oracle's."""
    interface = make_interface_of_all_types()
    names = list(interface.by_name)
    fields = [FieldInfo(member.name, member.sal_type or "double") for member in interface.topics[0].members]
    topics = packaged_fields() | dict.fromkeys(names, fields)
    monkeypatch.setenv("LSST_SAL_INTERFACES_DIR", str(write_package(tmp_path / "all", topics)))
    embedded_kafka.create_topics(sal_environment + name for name in names)
    reader = KafkaReader(
        embedded_kafka.bootstrap_servers, embedded_kafka.registry_url, sal_environment, names
    )
    sent = bytearray()
    async with TmaSimulator(
        rate=10, max_ticks=60, interface=interface, record=sent.extend, stay_open=True
    ) as simulator:
        client = TelemetryClient("127.0.0.1", simulator.port, sal_backend="builtin", tma_interface=interface)
        records = await reader.read_until(lambda found: sum(map(len, found.values())) == 60 + 20 + 3)
        await client.close()
    reader.close()
    assert client.counters.acknowledged == 83
    oracles = {topic.topic_id: TopicOracle(fields, topic.field_members) for topic in interface.topics}
    for frame in bytes(sent).split(b"\r\n")[:-1]:
        topic_id, members = decode_frame(frame)
        record = records[interface.by_id[topic_id].sal_topic].pop(0)
        assert find_difference(oracles[topic_id].make_record(members), record) is None


#: The columns of the table: how the client is run.
COLUMNS = ("without options", "`--tma-interface FILE`", "`--accept-incomplete`")
DOCUMENT = Path(__file__).parents[1] / "doc" / "how-to" / "change-the-tma-interface.md"


async def test_table(tma: ScriptedTma, kafka_reader: KafkaReader, new_file: Path) -> None:
    """Print what becomes of each topic; the document has the same table."""
    interface = load_tma_interface(new_file)
    frames = make_frames(interface)
    rows = [["the TMA sends", *COLUMNS], ["---"] * (1 + len(COLUMNS))]
    rows += [[f"`{name}`, {CHANGES[name]}"] for name in frames]
    options: list[dict[str, Any]] = [{}, {"tma_interface": new_file}, {"accept_incomplete": True}]
    for column in options:
        async with running(tma, **column) as client:
            await tma.send(*(frame for frame, _ in frames.values()))
            while client.counters.frames < len(frames):
                await asyncio.sleep(0.01)
        records = await read_total(kafka_reader, client.counters.published)
        for row, topic in zip(rows[2:], interface.topics, strict=True):
            is_unsupported = topic.topic_id in client.unsupported_topic_ids
            row.append(describe_outcome(topic, records[topic.sal_topic], is_unsupported=is_unsupported))
        kafka_reader.records.clear()
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    print(f"\n\n{table}")
    assert table in DOCUMENT.read_text(encoding="utf-8")


async def read_total(reader: KafkaReader, count: int) -> Records:
    """Read until so many records of all topics are there."""
    return await reader.read_until(lambda found: sum(len(found[name]) for name in TOPICS) == count)


def describe_outcome(topic: TmaTopic, records: list[dict[str, Any]], *, is_unsupported: bool) -> str:
    """Describe what became of a frame without zeros in it."""
    if is_unsupported:
        assert not records
        return "unsupported"
    if not records:
        return "**dropped**"
    (record,) = records
    own = {name: value for name, value in record.items() if not name.startswith("private_")}
    zero = [f"`{name}`" for name, value in own.items() if not np.any(value)]
    cut = [
        f"{len(own[name])} elements of `{name}`"
        for name, members in topic.fields.items()
        if len(members) > 1 and len(own[name]) < len(members)
    ]
    return ", ".join(["published", *cut, *([f"**zero**: {', '.join(zero)}"] if zero else [])])


async def test_unusable_file(tma: ScriptedTma, sal_environment: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: No such file or directory"):
        TelemetryClient("127.0.0.1", tma.port, sal_backend="builtin", tma_interface=tmp_path / "nowhere")
