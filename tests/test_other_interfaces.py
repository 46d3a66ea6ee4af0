"""The telemetry client with older and newer SAL interfaces than the packaged one, end to end."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lsst.ts.mtmount import TelemetryClient, TelemetryTopicHandler
from lsst.ts.mtmount.sal import FieldInfo, Interface, load_interface

from .core.topics import golden_records
from .kafka_reader import KafkaReader
from .sal.interface_files import change_field, packaged_count, packaged_fields, write_interface, write_package
from .test_telemetry_client import run_to_end
from .tma import ScriptedTma

Topics = dict[str, list[FieldInfo]]


@pytest.fixture
async def tma() -> AsyncIterator[ScriptedTma]:
    async with ScriptedTma() as server:
        yield server


def running(tma: ScriptedTma, **options: Any) -> AbstractAsyncContextManager[TelemetryClient]:
    return run_to_end(TelemetryClient("127.0.0.1", tma.port, sal_backend="builtin", **options))


def golden(sal_topic: str) -> tuple[bytes, dict[str, Any]]:
    """Return a frame, and its content as the packaged interface has it."""
    (vector,) = (v for v in golden_records() if (v["sal_topic"], v["case"]) == (sal_topic, "six"))
    frame = str(vector["line"]).encode()
    members = json.loads(frame)
    content = {}
    for field in packaged_fields()[sal_topic]:
        names = [field.name]
        if field.count > 1:
            stem = field.name.removesuffix("Timestamp")
            tail = field.name.removeprefix(stem)
            names = [f"{stem}{number}{tail}" for number in range(1, field.count + 1)]
        values = [members.get(name, 0) for name in names]
        content[field.name] = values if field.count > 1 else values[0]
    return frame, content


def own_fields(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if not name.startswith("private_")}


@dataclass
class OtherInterface:
    """A client's TMA and Kafka, and the interface files that it is to use."""

    tma: ScriptedTma
    reader: KafkaReader
    caplog: pytest.LogCaptureFixture
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def use(self, topics: Topics) -> Interface:
        """Write interface files for the client to use; get them as it reads them."""
        self.monkeypatch.setenv("LSST_SAL_INTERFACES_DIR", str(write_package(self.folder, topics)))
        log = logging.getLogger("test.silent")
        log.setLevel(logging.CRITICAL)
        return load_interface(log)

    def list_warnings(self) -> list[str]:
        return [
            record.getMessage().partition("expected: ")[2]
            for record in self.caplog.records
            if record.levelno >= logging.WARNING and record.name.startswith("MTMount")
        ]

    async def publish(self, sal_topic: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Let a frame through the client; return what was published and what the frame holds."""
        frame, content = golden(sal_topic)
        async with running(self.tma) as client:
            await self.tma.send(frame, frame)
            first, second = await self.reader.read_count(sal_topic, 2)
            assert client.counters.published == 2
            # On the fused path, and the same over the dict.
            handlers = [h for h in client.topic_handlers.values() if isinstance(h, TelemetryTopicHandler)]
            topic = getattr(client.controller, f"tel_{sal_topic}")
            (handler,) = (handler for handler in handlers if handler.topic is topic)
            assert client.counters.handled == client.counters.preprocessed == 0
            handler.preprocessor = lambda data: None
            await self.tma.send(frame)
            *_, third = await self.reader.read_count(sal_topic, 3)
            assert client.counters.preprocessed == 1
        assert own_fields(first) == own_fields(second) == own_fields(third)
        return first, content


@pytest.fixture
def other(
    tma: ScriptedTma,
    kafka_reader: KafkaReader,
    caplog: pytest.LogCaptureFixture,
    sal_environment: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> OtherInterface:
    return OtherInterface(tma, kafka_reader, caplog, tmp_path, monkeypatch)


async def test_schemas_and_revision_codes_are_the_interface_s(other: OtherInterface) -> None:
    interface = other.use(packaged_fields())
    record, content = await other.publish("azimuthDrives")
    assert own_fields(record) == content
    assert record["private_revCode"] == interface.topics["tel_azimuthDrives"].rev_code
    assert other.list_warnings() == []


async def test_changed_order(other: OtherInterface) -> None:
    topics = packaged_fields()
    topics["azimuth"].reverse()
    interface = other.use(topics)
    record, content = await other.publish("azimuth")
    assert own_fields(record) == content
    assert list(own_fields(record)) == [field.name for field in topics["azimuth"]]
    assert record["private_revCode"] == interface.topics["tel_azimuth"].rev_code
    assert other.list_warnings() == ["tel_azimuth has its fields in another order; the interface's is used"]


async def test_missing_and_extra_fields(other: OtherInterface) -> None:
    topics = packaged_fields()
    del topics["azimuth"][1]
    topics["azimuth"].insert(0, FieldInfo("wobble", "double", 3))
    topics["azimuth"].append(FieldInfo("remark", "string"))
    missing = packaged_fields()["azimuth"][1].name
    other.use(topics)
    record, content = await other.publish("azimuth")
    del content[missing]
    assert own_fields(record) == {"wobble": [0.0] * 3, **content, "remark": ""}
    assert other.list_warnings() == [
        f"tel_azimuth lacks {missing}; not written",
        "tel_azimuth also has wobble, remark; left at zero",
    ]


@pytest.mark.parametrize("count", [2, 10, 20, 200])
async def test_changed_count(
    other: OtherInterface,
    count: int,
) -> None:
    topics = packaged_fields()
    wire_count = packaged_count("azimuthDrives", "current")
    change_field(topics, "azimuthDrives", "current", count=count)
    interface = other.use(topics)
    schema = interface.topics["tel_azimuthDrives"].avro_schema()
    assert [field["default"] for field in schema["fields"] if field["name"] == "current"] == [[0.0] * count]
    record, content = await other.publish("azimuthDrives")
    assert own_fields(record) == content
    assert len(record["current"]) == wire_count
    assert other.list_warnings() == [
        f"tel_azimuthDrives has other counts: current {count} instead of {wire_count}; "
        "the TMA's elements are written"
    ]


async def test_array_instead_of_scalar(other: OtherInterface) -> None:
    topics = packaged_fields()
    change_field(topics, "azimuth", "actualPosition", count=4)
    other.use(topics)
    record, content = await other.publish("azimuth")
    assert own_fields(record) == content | {"actualPosition": [content["actualPosition"]]}
    assert other.list_warnings() == [
        "tel_azimuth has other counts: actualPosition 4 instead of 1; the TMA's elements are written"
    ]


async def test_scalar_instead_of_array_and_string_instead_of_number(other: OtherInterface) -> None:
    topics = packaged_fields()
    change_field(topics, "azimuthDrives", "current", count=1)
    change_field(topics, "azimuthDrives", "timestamp", sal_type="string")
    other.use(topics)
    record, content = await other.publish("azimuthDrives")
    assert own_fields(record) == content | {"current": 0.0, "timestamp": ""}
    assert other.list_warnings() == [
        "tel_azimuthDrives has scalars where the TMA sends arrays: current 1 instead of 16; not written",
        "tel_azimuthDrives has strings where the TMA sends numbers: "
        "timestamp string instead of double; not written",
    ]


async def test_changed_types(other: OtherInterface) -> None:
    topics = packaged_fields()
    change_field(topics, "azimuth", "actualPosition", sal_type="int")
    change_field(topics, "azimuth", "actualTorque", sal_type="boolean")
    other.use(topics)
    record, content = await other.publish("azimuth")
    assert record["actualPosition"] == int(content["actualPosition"])
    assert record["actualTorque"] is (content["actualTorque"] != 0)
    assert other.list_warnings() == [
        "tel_azimuth has other types: actualPosition int instead of double, "
        "actualTorque boolean instead of double; the interface's are used"
    ]


async def test_missing_topics(other: OtherInterface) -> None:
    """Also of the events and the heartbeat: what is left is published."""
    topics = packaged_fields()
    absent = ["mainPowerSupply", "telemetryClientHeartbeat", "logevent_clockOffset", "logevent_logLevel"]
    for sal_name in absent:
        del topics[sal_name]
    other.use(topics)
    async with running(other.tma) as client:
        client.heartbeat_interval = 0.01
        await other.tma.send(golden("mainPowerSupply")[0], golden("azimuth")[0], golden("elevation")[0])
        await other.reader.read_count("elevation", 1)
        await other.reader.read_count("azimuth", 1)
        assert client.counters.unsupported == 1
        assert client.connected
        messages = await other.reader.read_until(
            lambda records: any(
                "Unsupported topic ID" in record["message"] for record in records["logevent_logMessage"]
            )
        )
    await other.reader.read_count("logevent_telemetryConnected", 3)
    assert not any(messages[sal_name] for sal_name in absent)
    assert sorted(other.list_warnings()) == [
        "there is no evt_clockOffset; it is not published",
        "there is no evt_logLevel; it is not published",
        "there is no tel_mainPowerSupply; it is not published",
        "there is no tel_telemetryClientHeartbeat; it is not published",
    ]


async def test_events_with_other_fields(other: OtherInterface) -> None:
    topics = packaged_fields()
    fields = topics["logevent_logMessage"]
    topics["logevent_logMessage"] = [field for field in fields if field.name != "process"]
    topics["logevent_telemetryConnected"].append(FieldInfo("reason", "string"))
    topics["logevent_clockOffset"] = [FieldInfo("deviation", "double")]
    other.use(topics)
    frame, _ = golden("azimuth")
    async with running(other.tma):
        await other.tma.send(frame)
        await other.reader.read_count("azimuth", 1)
        logging.getLogger("MTMount.test").info("look here")
        records = await other.reader.read_until(
            lambda records: any(record["message"] == "look here" for record in records["logevent_logMessage"])
        )
    assert "process" not in records["logevent_logMessage"][0]
    connected = await other.reader.read_count("logevent_telemetryConnected", 3)
    assert [(record["connected"], record["reason"]) for record in connected] == [
        (False, ""),
        (True, ""),
        (False, ""),
    ]
    assert sorted(other.list_warnings()) == [
        "evt_clockOffset also has deviation; left at zero",
        "evt_clockOffset lacks offset; not written",
        "evt_logMessage lacks process; not written",
        "evt_telemetryConnected also has reason; left at zero",
    ]


async def test_folder_without_the_private_fields(
    other: OtherInterface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_interface(tmp_path / "xml")
    monkeypatch.setenv("LSST_SAL_INTERFACES_DIR", str(folder))
    record, content = await other.publish("azimuth")
    assert own_fields(record) == content
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert str(folder) in warning
    assert "not exactly salobj's" in warning
