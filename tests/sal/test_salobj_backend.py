"""The telemetry client with salobj inside: a fake one, for the real one cannot be installed here."""

import asyncio
import json
import logging
import os
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from confluent_kafka import Producer

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.sal import (
    SalobjError,
    WriteTopic,
    describe_backend,
    load_packaged_interface,
    make_sal_backend,
)
from lsst.ts.mtmount.sal.salobj_backend import SalobjBackend, SalobjTelemetryTopic
from lsst.ts.mtmount.tma_interface import load_tma_interface
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka

from ..kafka_process import KafkaProcess
from ..kafka_reader import KafkaReader
from ..test_telemetry_client import golden_frame, run_to_end
from ..tma import ScriptedTma
from ..tma_interface.new_software import make_frames, make_new_sal, write_new_file
from .interface_files import change_field, packaged_fields, write_package

FAKE = Path(__file__).parent.parent / "fakes" / "with_salobj"
PACKAGE = "lsst.ts.salobj"
LOG = logging.getLogger("MTMount")


@pytest.fixture
def no_salobj(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget salobj before the test and after it."""
    # Known to monkeypatch in any case, so that an import is undone.
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    monkeypatch.delitem(sys.modules, PACKAGE)
    yield
    monkeypatch.undo()
    sys.modules.pop(PACKAGE, None)


@pytest.fixture
def salobj(no_salobj: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the fake."""
    monkeypatch.syspath_prepend(FAKE)


@pytest.fixture
async def tma() -> AsyncIterator[ScriptedTma]:
    async with ScriptedTma() as server:
        yield server


@asynccontextmanager
async def running_backend(name: str = "auto") -> AsyncIterator[Any]:
    backend = make_sal_backend(name)
    try:
        async with asyncio.timeout(30):
            await backend.start_task
            yield backend
    finally:
        await backend.close(10)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        content: bytes = answer.read()
    return content


def write_broken_package(root: Path, text: str) -> Path:
    package = root.joinpath(*PACKAGE.split("."))
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(text)
    return root


async def test_without_salobj(
    no_salobj: None, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running_backend() as backend:
        assert type(backend.controller).__module__ == "lsst.ts.mtmount.sal.controller"
    assert "SAL backend: builtin (lsst.ts.salobj is not installed)" in caplog.text
    with pytest.raises(SalobjError, match=r"cannot be imported: ModuleNotFoundError.*lsst\.ts\.salobj"):
        make_sal_backend("salobj")
    with pytest.raises(ValueError, match="expected a SAL backend of 'auto', 'salobj', 'builtin', got 'dds'"):
        make_sal_backend("dds")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module", "cannot be imported: ModuleNotFoundError"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        (
            "__version__ = '6.9.1'\nclass Controller: pass\nclass SalInfo: pass\nclass SalLogHandler: pass",
            "6.9.1 in .* has no SalInfo.get_broker_client_configuration: it is none that publishes to Kafka",
        ),
    ],
)
async def test_a_broken_installation(
    no_salobj: None,
    sal_environment: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    text: str,
    reason: str,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.syspath_prepend(write_broken_package(tmp_path, text))
    with pytest.raises(SalobjError, match=reason):
        make_sal_backend("salobj")
    async with running_backend() as backend:
        assert type(backend.controller).__module__ == "lsst.ts.mtmount.sal.controller"
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "the built-in SAL backend is used instead" in warning.getMessage()
    assert "SAL backend: builtin (lsst.ts.salobj cannot be used)" in caplog.text
    assert describe_backend().startswith("builtin (lsst.ts.salobj")


async def test_builtin_does_not_import_salobj(salobj: None, sal_environment: str) -> None:
    async with running_backend("builtin"):
        pass
    assert describe_backend("builtin") == "builtin"
    assert PACKAGE not in sys.modules
    assert describe_backend() == f"{PACKAGE} 8.0.fake in {FAKE / 'lsst/ts/salobj/__init__.py'}"


@pytest.mark.parametrize("name", ["auto", "salobj"])
async def test_the_controller_is_salobj_s(
    salobj: None, sal_environment: str, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.INFO)
    async with running_backend(name) as backend:
        package: ModuleType = sys.modules[PACKAGE]
        controller = backend.controller
        assert type(controller) is package.Controller
        assert controller.start_task.done()
        for attr_name, info in load_packaged_interface().topics.items():
            topic = getattr(controller, attr_name)
            if info.is_event:
                assert type(topic) is package.ControllerEvent
                continue
            assert type(topic) is SalobjTelemetryTopic
            assert isinstance(topic, WriteTopic)
            assert isinstance(topic, package.topics.ControllerTelemetry)
            # What is not ours is that of salobj's topic.
            assert topic.topic_info is controller.salinfo.component_info.topics[attr_name]
            assert topic.rev_code == topic.topic_info.get_revcode()
            assert isinstance(topic.data, topic.DataType)
            assert not hasattr(topic, "no_such_attribute")
            assert not hasattr(topic, "_schema")
    assert f"SAL backend: {PACKAGE} 8.0.fake in " in caplog.text
    assert controller.done_task.done()
    with pytest.raises(RuntimeError, match="not running"):
        await controller.tel_azimuth.write()


async def test_telemetry_and_events_end_to_end(
    salobj: None, tma: ScriptedTma, kafka_reader: KafkaReader, sal_environment: str
) -> None:
    LOG.info("before the start")
    client = TelemetryClient("127.0.0.1", tma.port)
    client.heartbeat_interval = 0.05
    async with run_to_end(client):
        controller: Any = client.controller
        await tma.send(golden_frame("azimuth"), golden_frame("azimuthDrives"))
        await kafka_reader.read_count("azimuth", 1)
        # One sequence number for both paths, and the state of the one is the other's.
        written = await controller.tel_azimuth.write()
        assert isinstance(written, controller.tel_azimuth.DataType)
        await tma.send(golden_frame("azimuth"))
        await kafka_reader.read_count("azimuth", 3)
        result = await controller.tel_azimuth.set_write(actualPosition=12.5)
        assert result.did_change
        assert result.was_written
        assert result.data.actualPosition == 12.5
        azimuth = await kafka_reader.read_count("azimuth", 4)
        assert controller.tel_azimuth.data.private_seqNum == 4
        logging.getLogger("MTMount.child").warning("look here")
        await kafka_reader.read_count("telemetryClientHeartbeat", 2)
        await kafka_reader.read_count("logevent_clockOffset", 1)
        client.log.info("just before the end")
    assert [record["private_seqNum"] for record in azimuth] == [1, 2, 3, 4]
    content = json.loads(golden_frame("azimuth"))
    for record in azimuth[:3]:
        assert record["actualPosition"] == content["actualPosition"]
        assert record["private_origin"] == os.getpid()
        assert record["private_identity"] == "MTMount"
        assert record["private_revCode"] == controller.tel_azimuth.rev_code
    connected = await kafka_reader.read_count("logevent_telemetryConnected", 3)
    assert [record["connected"] for record in connected] == [False, True, False]
    # Nothing that was logged while the controller was there is lost.
    messages = await kafka_reader.read_until(
        lambda records: any(
            "just before the end" in record["message"] for record in records["logevent_logMessage"]
        )
    )
    texts = [record["message"] for record in messages["logevent_logMessage"]]
    assert "look here" in texts
    assert any(text.startswith("SAL backend: lsst.ts.salobj") for text in texts)
    assert texts.index("look here") < texts.index("just before the end")
    # The schema in the registry is salobj's, to the letter.
    (value, *_) = kafka_reader.values["azimuth"]
    url = f"{os.environ['LSST_SCHEMA_REGISTRY_URL']}/schemas/ids/{int.from_bytes(value[1:5], 'big')}"
    schema = json.loads(await asyncio.to_thread(fetch, url))["schema"]
    assert schema == json.dumps(controller.tel_azimuth.topic_info.make_avro_schema())
    assert '"Fake: ' in schema


async def test_the_start_asks_about_events_too(salobj: None, sal_environment: str) -> None:
    """salobj tells of no delivery, so all topics go through the start that asks for permissions."""
    async with running_backend("salobj") as backend:
        assert backend.publisher.schemas.keys() == load_packaged_interface().topics.keys()


async def test_salobj_flushes_what_was_written_and_nothing_else(
    salobj: None, sal_environment: str, kafka_reader: KafkaReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    package: Any = __import__(PACKAGE, fromlist=["FLUSH_PERIOD"])
    monkeypatch.setattr("lsst.ts.mtmount.sal.salobj_flush.MAX_PAUSE", 3600)
    async with running_backend("salobj") as backend:
        salinfo = backend.controller.salinfo
        for number in range(3):
            num_flushes = salinfo.num_flushes
            await backend.write_event("clockOffset", offset=number)
            await kafka_reader.read_count("logevent_clockOffset", number + 1)
            async with asyncio.timeout(60):
                while salinfo.num_flushes == num_flushes:
                    await asyncio.sleep(0.005)
        # By itself it would flush in each period.
        await asyncio.sleep(20 * package.FLUSH_PERIOD)
        assert salinfo.num_flushes <= 2 * salinfo.num_written


async def test_salobj_flushes_now_and_then(
    salobj: None, sal_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it wrote in another manner is flushed, too."""
    monkeypatch.setattr("lsst.ts.mtmount.sal.salobj_flush.MAX_PAUSE", 0.01)
    async with running_backend("salobj") as backend:
        salinfo = backend.controller.salinfo
        async with asyncio.timeout(60):
            while salinfo.num_flushes <= 2 * salinfo.num_written:
                await asyncio.sleep(0.005)


async def test_a_topic_that_kafka_does_not_take_puts_off_the_flush_for_a_time(
    salobj: None, sal_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For ever would fill the queue of reports."""
    asked = []

    async def is_taking(kafka_topic: str) -> bool:
        asked.append(kafka_topic)
        return not kafka_topic.endswith("telemetryConnected")

    async with running_backend("salobj") as backend:
        salinfo = backend.controller.salinfo
        monkeypatch.setattr(backend._flusher, "_is_taking", is_taking)
        await backend.controller.evt_telemetryConnected.set_write(connected=True)
        async with asyncio.timeout(60):
            # What was begun before may still be flushed.
            while len(asked) < 2:
                await asyncio.sleep(0.005)
            num_flushes = salinfo.num_flushes
            await backend.controller.evt_clockOffset.set_write(offset=1)
            while len(asked) < 6:
                await asyncio.sleep(0.005)
            assert salinfo.num_flushes == num_flushes
            monkeypatch.setattr("lsst.ts.mtmount.sal.salobj_flush.MAX_DEFERRAL", 0)
            while salinfo.num_flushes == num_flushes:
                await asyncio.sleep(0.005)


async def test_the_end_does_not_wait_for_salobjs_pause(
    salobj: None, tma: ScriptedTma, kafka_reader: KafkaReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was given to salobj is published all the same."""
    package: Any = __import__(PACKAGE, fromlist=["SHUTDOWN_DELAY"])
    monkeypatch.setattr(package, "SHUTDOWN_DELAY", 3600)
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        await tma.wait_connected()
        client.controller.log.warning("the last words")
    connected = await kafka_reader.read_count("logevent_telemetryConnected", 3)
    assert [record["connected"] for record in connected] == [False, True, False]
    await kafka_reader.read_until(
        lambda records: any(r["message"] == "the last words" for r in records["logevent_logMessage"])
    )
    assert client.controller.done_task.done()


async def test_the_end_comes_also_while_salobj_starts(
    salobj: None, sal_environment: str, tma: ScriptedTma, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_begun, may_end = threading.Event(), threading.Event()

    def set_up(info: Any) -> None:
        was_begun.set()
        may_end.wait(20)

    monkeypatch.setattr(__import__(PACKAGE, fromlist=["SalInfo"]).SalInfo, "set_up", set_up)
    client = TelemetryClient("127.0.0.1", tma.port, sal_backend="salobj")
    try:
        async with asyncio.timeout(20):
            await asyncio.to_thread(was_begun.wait, 20)
            await client.close()
        assert client.done_task.done()
        assert client.failure is None
    finally:
        may_end.set()


async def test_another_interface(
    salobj: None,
    tma: ScriptedTma,
    kafka_reader: KafkaReader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    topics = packaged_fields()
    change_field(topics, "azimuthDrives", "current", count=3)
    for sal_name in ("telemetryClientHeartbeat", "logevent_clockOffset", "mainPowerSupply"):
        del topics[sal_name]
    monkeypatch.setenv("LSST_SAL_INTERFACES_DIR", str(write_package(tmp_path, topics)))
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
        assert not hasattr(client.controller, "tel_mainPowerSupply")
        await tma.send(
            golden_frame("azimuth"), golden_frame("azimuthDrives"), golden_frame("mainPowerSupply")
        )
        (record,) = await kafka_reader.read_count("azimuthDrives", 1)
        await kafka_reader.read_count("azimuth", 1)
    assert len(record["current"]) == 16
    warnings = [
        record.getMessage().partition("expected: ")[2]
        for record in caplog.records
        if record.levelno == logging.WARNING
    ]
    assert sorted(warnings) == [
        "tel_azimuthDrives has other counts: current 3 instead of 16; the TMA's elements are written",
        "there is no evt_clockOffset; it is not published",
        "there is no tel_mainPowerSupply; it is not published",
        "there is no tel_telemetryClientHeartbeat; it is not published",
    ]


async def test_a_new_topic_of_the_tma(
    salobj: None,
    tma: ScriptedTma,
    embedded_kafka: EmbeddedKafka,
    sal_environment: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What salobj has is published by its schema, and what it lacks is unsupported."""
    monkeypatch.setenv("LSST_SAL_INTERFACES_DIR", str(write_package(tmp_path, make_new_sal())))
    file = write_new_file(tmp_path / "TelemetryTopicsConfiguration.ini")
    frames = make_frames(load_tma_interface(file))
    names = ["encoderHeads", "azimuthDrives"]
    embedded_kafka.create_topics(sal_environment + name for name in names)
    reader = KafkaReader(
        embedded_kafka.bootstrap_servers, embedded_kafka.registry_url, sal_environment, names
    )
    async with run_to_end(TelemetryClient("127.0.0.1", tma.port, tma_interface=file)) as client:
        controller: Any = client.controller
        assert isinstance(controller.tel_encoderHeads, SalobjTelemetryTopic)
        assert not hasattr(controller, "tel_unknownToSal")
        await tma.send(frames["unknownToSal"][0], frames["encoderHeads"][0], frames["azimuthDrives"][0])
        (heads,) = await reader.read_count("encoderHeads", 1)
        (drives,) = await reader.read_count("azimuthDrives", 1)
        assert client.counters.unsupported_by_topic == {"unknownToSal": 1}
    reader.close()
    assert heads["headAZ"] == [frames["encoderHeads"][1][name] for name in ("headAZ1", "headAZ2")]
    assert drives["current"] == [frames["azimuthDrives"][1][f"current{n}"] for n in range(1, 19)]
    assert "there is no tel_unknownToSal; the frames of topic ID 29 are ignored" in caplog.text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda topic_info: setattr(topic_info, "get_revcode", lambda: "12345678"), "another revision code"),
        (lambda topic_info: setattr(topic_info, "kafka_name", "lsst.elsewhere"), "another Kafka topic"),
        (lambda topic_info: topic_info.fields.clear(), "in an unknown manner: KeyError"),
    ],
)
async def test_a_topic_that_is_not_understood(
    salobj: None,
    sal_environment: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Any], object],
    expected: str,
) -> None:
    package: Any = __import__(PACKAGE, fromlist=["SalInfo"])
    make = package.SalInfo.__init__

    def make_changed(self: Any, name: str) -> None:
        make(self, name)
        change(self.component_info.topics["tel_azimuth"])

    monkeypatch.setattr(package.SalInfo, "__init__", make_changed)
    with pytest.raises(SalobjError, match=expected):
        make_sal_backend("salobj")
    async with running_backend() as backend:
        assert not isinstance(backend, SalobjBackend)
    assert expected in caplog.text


async def test_a_controller_that_cannot_be_made(
    salobj: None, sal_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package: Any = __import__(PACKAGE, fromlist=["SalInfo"])
    monkeypatch.delattr(package, "SalInfo")
    with pytest.raises(SalobjError, match=r"no SalInfo\.get_broker_client_configuration"):
        make_sal_backend("salobj")
    monkeypatch.undo()


async def test_salobj_cannot_start(
    salobj: None, tma: ScriptedTma, sal_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package: Any = __import__(PACKAGE, fromlist=["SalInfo"])

    def fail(self: Any) -> None:
        raise OSError("no more threads")

    monkeypatch.setattr(package.SalInfo, "set_up", fail)
    client = TelemetryClient("127.0.0.1", tma.port)
    async with asyncio.timeout(30):
        await client.start_task
        with pytest.raises(OSError, match="no more threads"):
            await client.done_task
    assert not client.controller.isopen


async def test_no_kafka(
    salobj: None, tma: ScriptedTma, sal_environment: str, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    """The start of salobj itself would wait forever."""
    monkeypatch.setenv("LSST_KAFKA_BROKER_ADDR", f"127.0.0.1:{unused_port}")
    backend = make_sal_backend()
    backend.publisher._start_timeout = 0.5
    with pytest.raises(RuntimeError, match=r"did not answer within 0\.5 s"):
        await asyncio.wait_for(backend.start_task, 30)
    await asyncio.wait_for(backend.close(1), 30)
    assert backend.controller.done_task.done()


def test_passwords_are_not_shown(salobj: None, sal_environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from lsst.ts.mtmount.sal import KafkaSettings
    from lsst.ts.mtmount.sal.salobj_backend import adapt_settings

    monkeypatch.setenv("LSST_KAFKA_SECURITY_USERNAME", "tma")
    monkeypatch.setenv("LSST_KAFKA_SECURITY_PASSWORD", "open sesame")
    package: Any = __import__(PACKAGE, fromlist=["SalInfo"])
    settings = adapt_settings(KafkaSettings.from_environment(), package.SalInfo("MTMount"))
    assert settings.producer_configuration()["sasl.password"] == "open sesame"
    # salobj's choice wins over ours, whichever name it has for it.
    assert settings.producer_configuration()["sasl.mechanisms"] == "PLAIN"
    assert "open sesame" not in repr(settings)


@pytest.fixture
def kafka_process(sal_environment: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaProcess]:
    kafka = KafkaProcess("stall")
    for name, value in kafka.environment.items():
        monkeypatch.setenv(name, value)
    yield kafka
    kafka.stop()


def is_quiet(client: TelemetryClient) -> bool:
    """Has salobj nothing to publish? What it has at the end while Kafka stalls blocks the loop."""
    backend = client._sal
    assert isinstance(backend, SalobjBackend)
    backend.publisher.serve()
    return len(backend._outage_buffer) == 0 and len(backend.controller.salinfo.producer) == 0


async def wait_for_text(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(30):
        while text not in caplog.text:
            await asyncio.sleep(0.01)


async def test_reading_goes_on_while_kafka_stalls(
    salobj: None,
    tma: ScriptedTma,
    kafka_process: KafkaProcess,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.telemetry_client.TELEMETRY_TIMEOUT", 30)
    monkeypatch.setattr("lsst.ts.mtmount.pipeline.clock_offset.CLOCK_OFFSET_EVENT_INTERVAL", 0.05)
    caplog.set_level(logging.INFO)
    names = ["azimuth", "logevent_clockOffset", "logevent_logMessage", "logevent_telemetryConnected"]
    owner = Producer({"bootstrap.servers": os.environ["LSST_KAFKA_BROKER_ADDR"]})
    for name in names:
        # A producer's request for metadata creates the topic, which the reader needs.
        await asyncio.to_thread(owner.list_topics, f"lsst.stall.MTMount.{name}", timeout=20)
    del owner
    reader = KafkaReader(
        os.environ["LSST_KAFKA_BROKER_ADDR"],
        os.environ["LSST_SCHEMA_REGISTRY_URL"],
        "lsst.stall.MTMount.",
        names,
    )
    try:
        async with run_to_end(TelemetryClient("127.0.0.1", tma.port)) as client:
            await tma.send(golden_frame("azimuth"))
            await reader.read_count("azimuth", 1)
            await reader.read_count("logevent_clockOffset", 1)
            kafka_process.suspend()
            # Given to salobj before anybody knows that Kafka stalls.
            await client.controller.evt_clockOffset.set_write(offset=123.0)
            client.log.info("said while Kafka stalls")
            await wait_for_text(caplog, "Kafka takes no messages")
            # Each of these lets an event be due.
            for number in range(20):
                async with asyncio.timeout(60):
                    await client.next_clock_offset_task
                await tma.send(golden_frame("azimuth"))
                async with asyncio.timeout(60):
                    while client.counters.published < number + 2:
                        await asyncio.sleep(0.005)
            assert client.counters.acknowledged == 1
            kafka_process.resume()
            await wait_for_text(caplog, "again: what was held back")
            azimuth = await reader.read_count("azimuth", 21)
            # Of the offsets that were held back only the last is of use.
            offsets = await reader.read_count("logevent_clockOffset", 3)
            assert len(offsets) < 6
            assert 123.0 in [record["offset"] for record in offsets]
        await reader.read_count("logevent_telemetryConnected", 3)
        assert [record["private_seqNum"] for record in azimuth] == list(range(1, 22))
        await reader.read_until(
            lambda records: any(
                record["message"] == "said while Kafka stalls" for record in records["logevent_logMessage"]
            )
        )
    finally:
        reader.close()


@pytest.mark.slow
async def test_the_end_is_bounded_while_kafka_stalls(
    salobj: None,
    tma: ScriptedTma,
    kafka_process: KafkaProcess,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.telemetry_client.TELEMETRY_TIMEOUT", 30)
    client = TelemetryClient("127.0.0.1", tma.port, flush_timeout=2)
    async with run_to_end(client):
        await tma.send(golden_frame("azimuth"))
        async with asyncio.timeout(60):
            while client.counters.acknowledged == 0 or not is_quiet(client):
                await asyncio.sleep(0.01)
        kafka_process.suspend()
        client.log.info("said while Kafka stalls")
        await wait_for_text(caplog, "Kafka takes no messages")
        await tma.send(golden_frame("azimuth"))
        async with asyncio.timeout(60):
            while client.counters.published < 2:
                await asyncio.sleep(0.005)
        async with asyncio.timeout(60):
            await client.close()
    assert client.counters.failed == 1
    assert "were not delivered to Kafka" in caplog.text
    (report,) = (text for text in caplog.messages if "events and log messages were not published" in text)
    assert "logevent_telemetryConnected" in report


BLOCKED_PROGRAM = """
import asyncio, logging, sys
from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.program import client_program

client_program.SHUTDOWN_MARGIN = 0.5

class Client(TelemetryClient):
    def __init__(self, **options):
        super().__init__(flush_timeout=0.5, **options)

    async def read_loop(self):
        print("connected", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        # What a user of the controller may do: at its end, salobj waits until Kafka takes it.
        await self.controller.evt_clockOffset.set_write(offset=1)
        print("written", flush=True)
        await asyncio.sleep(0.5)
        print("not blocked", flush=True)
        await asyncio.Event().wait()

logging.basicConfig()
sys.exit(asyncio.run(Client.amain()))
"""


async def test_a_program_with_a_blocked_end_is_ended(tma: ScriptedTma, kafka_process: KafkaProcess) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        BLOCKED_PROGRAM,
        "--host=127.0.0.1",
        f"--port={tma.port}",
        "--sal-backend=salobj",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(FAKE)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(60):
        await process.stdout.readuntil(b"connected\n")
        kafka_process.suspend()
        process.stdin.write(b"\n")
        await process.stdout.readuntil(b"written\nnot blocked\n")
        process.terminate()
        _, err = await process.communicate()
    assert process.returncode == 1
    assert b"Ended by force, 1 s after the end began; lost: " in err
    assert b"telemetry messages that Kafka did not acknowledge" in err


async def test_a_late_end_is_an_end(
    salobj: None, sal_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_backend("salobj") as backend:
        controller = backend.controller
        # The pause is over, and the task that salobj waits for then is not.
        monkeypatch.setattr(sys.modules[PACKAGE], "SHUTDOWN_DELAY", 0)
        flushing = controller._flush_task = asyncio.create_task(asyncio.sleep(60))
    assert controller.done_task.done()
    flushing.cancel()
