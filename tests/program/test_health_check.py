"""``run_mtmount_telemetry_client --check`` against servers that are right, and wrong in one way each."""

import asyncio
import dataclasses
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from lsst.ts.mtmount.program.metrics_server import MetricsServer
from lsst.ts.mtmount.program.pid_file import PidFile
from lsst.ts.mtmount.resilience.output_file import OutputFile
from lsst.ts.mtmount.sal.interface import load_packaged_interface
from lsst.ts.mtmount.sal.schema_registry import SchemaRegistry
from lsst.ts.mtmount.tma_interface import TmaInterface, TmaMember, load_packaged_tma_interface
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..kafka_reader import KafkaReader
from ..test_telemetry_client import golden_frame
from ..tma import ScriptedTma
from ..tma_interface.configuration import SMALL_FILE
from .health_check import RecordFault, check

FAKE_SALOBJ = Path(__file__).parent.parent / "fakes" / "with_salobj"

pytestmark = pytest.mark.slow


def register_all(kafka: EmbeddedKafka, prefix: str) -> None:
    subname = prefix.split(".")[1]
    with SchemaRegistry(kafka.registry_url) as registry:
        for topic in load_packaged_interface().topics.values():
            registry.register(topic.subject(subname), topic.avro_schema())


def count_messages(kafka: EmbeddedKafka, topics: list[str]) -> int:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "count"})
    try:
        return sum(consumer.get_watermark_offsets(TopicPartition(topic, 0))[1] for topic in topics)
    finally:
        consumer.close()


async def test_all_is_well_and_nothing_is_published(
    kafka_reader: KafkaReader, sal_environment: str, embedded_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    register_all(embedded_kafka, sal_environment)
    async with TmaSimulator() as simulator:
        port = simulator.port
        result = await check(
            port, "--report", str(tmp_path / "report.json"), "--record", str(tmp_path / "new")
        )
    findings = result.found
    assert {subject: found for subject, found in findings.items() if found[0] == "failed"} == {}
    assert findings["schemas"] == ("ok", "all 31 are registered as they are")
    assert findings["topics"] == ("ok", "all 31 are there")
    tma_status, tma = findings[f"TMA 127.0.0.1:{port}"]
    assert tma_status == "ok"
    assert "a second connection" in tma
    assert "of 26 topics" in tma or "of 25 topics" in tma
    assert findings["clock"][0] == "ok"
    assert findings["other publishers"][0] == "ok"
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    topics = [sal_environment + topic.sal_name for topic in load_packaged_interface().topics.values()]
    assert count_messages(embedded_kafka, topics) == 0


@pytest.mark.parametrize(
    ("fault", "changes", "subject", "text"),
    [
        ("a setting is missing", {"LSST_TOPIC_SUBNAME": ""}, "settings", "LSST_TOPIC_SUBNAME"),
        (
            "a YAML file is missing",
            {"LSST_KAFKA_PRODUCER_CONFIGURATION": "/nowhere.yaml"},
            "settings",
            "/nowhere.yaml",
        ),
        ("Kafka is not there", {"LSST_KAFKA_BROKER_ADDR": "127.0.0.1:1"}, "Kafka", "refused"),
        (
            "the broker's name is not known",
            {"LSST_KAFKA_BROKER_ADDR": "no-such-host.invalid:9092"},
            "LSST_KAFKA_BROKER_ADDR no-such-host.invalid",
            "",
        ),
        (
            "the schema registry is not there",
            {"LSST_SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"},
            "schema registry",
            "refused",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_wrong_settings_are_told(
    sal_environment: str,
    record_fault: RecordFault,
    fault: str,
    changes: Mapping[str, str],
    subject: str,
    text: str,
) -> None:
    async with TmaSimulator() as simulator:
        result = await check(simulator.port, **changes)
    status, found = result.found[subject]
    assert status == "failed"
    assert text in found
    record_fault(fault, result, subject)


async def test_an_interface_that_cannot_be_read_is_told(record_fault: RecordFault) -> None:
    result = await check(1, MTMOUNT_TMA_INTERFACE="/nowhere.ini")
    assert result.found == {
        "TMA interface": ("failed", "MTMOUNT_TMA_INTERFACE: /nowhere.ini: No such file or directory")
    }
    record_fault("the file of the TMA's interface is missing", result, "TMA interface")


async def test_another_server_than_kafka_is_told(sal_environment: str, record_fault: RecordFault) -> None:
    async with TmaSimulator() as simulator:
        address = f"127.0.0.1:{simulator.port}"
        result = await check(simulator.port, LSST_KAFKA_BROKER_ADDR=address)
    assert result.found["Kafka"] == ("failed", f"{address}: expected Kafka, got another protocol")
    record_fault("another server, here the TMA, is where Kafka should be", result, "Kafka")


async def test_a_wrong_path_of_the_registry_is_told(
    sal_environment: str, record_fault: RecordFault, embedded_kafka: EmbeddedKafka
) -> None:
    url = f"{embedded_kafka.registry_url}/nothing"
    async with TmaSimulator() as simulator:
        result = await check(simulator.port, LSST_SCHEMA_REGISTRY_URL=url)
    status, found = result.found["schema registry"]
    assert status == "failed"
    assert found.startswith(f"The schema registry {url} did not tell the latest schema of lsst.")
    assert found.endswith(": HTTP status 404, HTTP 404 Not Found")
    assert "schemas" not in result.found
    record_fault("the path in the schema registry's URL is wrong", result, "schema registry")


async def test_a_metrics_port_in_use_is_told(sal_environment: str, record_fault: RecordFault) -> None:
    async with TmaSimulator() as simulator:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            taken = await check(simulator.port, f"--metrics-port={port}")
        free = await check(simulator.port, f"--metrics-port={port}")
        server = MetricsServer("127.0.0.1", port)
        try:
            beside = await check(simulator.port, f"--metrics-port={port}")
        finally:
            server.close()
    subject = f"--metrics-port {port}"
    assert taken.found[subject] == ("failed", "127.0.0.1: Address already in use")
    record_fault("the port of the metrics is in use", taken, subject)
    assert free.found[subject] == ("ok", "127.0.0.1 can be listened on")
    assert beside.found[subject] == ("warning", "127.0.0.1: a client serves its metrics there")
    assert (taken.exit_status, free.exit_status, beside.exit_status) == (1, 0, 0)
    record_fault("another client serves its metrics on that port", beside, subject)


async def test_a_pid_file_of_a_running_client_is_told(
    sal_environment: str, record_fault: RecordFault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    option = "--pid-file=client.pid"
    async with TmaSimulator() as simulator:
        with PidFile(OutputFile("client.pid")):
            beside = await check(simulator.port, option)
        free = await check(simulator.port, option)
    reason = f"held by a running process, process ID in it: {os.getpid()}"
    assert beside.found["--pid-file"] == ("warning", f"client.pid: {reason}")
    record_fault("a client runs that holds the same `--pid-file`", beside, "--pid-file")
    assert beside.exit_status == 0
    assert free.found["--pid-file"] == ("ok", "client.pid can be written")


async def test_an_absent_salobj_is_told_if_it_is_asked_for(
    sal_environment: str, record_fault: RecordFault
) -> None:
    async with TmaSimulator() as simulator:
        asked = await check(simulator.port, "--sal-backend=salobj")
        other = await check(simulator.port)
        there = await check(simulator.port, "--sal-backend=salobj", PYTHONPATH=str(FAKE_SALOBJ))
    status, found = asked.found["SAL backend"]
    assert status == "failed"
    assert found.startswith("lsst.ts.salobj cannot be imported: ")
    record_fault("`--sal-backend salobj` without salobj", asked, "SAL backend")
    assert other.found["SAL backend"] == ("ok", "builtin (lsst.ts.salobj is not installed)")
    status, found = there.found["SAL backend"]
    assert status == "ok"
    assert found.startswith("lsst.ts.salobj 8.0.fake in ")
    assert (asked.exit_status, other.exit_status, there.exit_status) == (1, 0, 0)


async def test_a_property_that_kafka_does_not_know_is_told(
    sal_environment: str, record_fault: RecordFault, tmp_path: Path
) -> None:
    path = tmp_path / "producer.yaml"
    path.write_text("no.such.property: 1\n")
    async with TmaSimulator() as simulator:
        result = await check(simulator.port, LSST_KAFKA_PRODUCER_CONFIGURATION=str(path))
    status, found = result.found["Kafka settings"]
    assert status == "failed"
    assert "no.such.property" in found
    record_fault("a YAML file has a property that Kafka's client does not know", result, "Kafka settings")


async def test_an_incompatible_schema_fails_and_missing_ones_warn(
    sal_environment: str, record_fault: RecordFault, embedded_kafka: EmbeddedKafka
) -> None:
    topic = load_packaged_interface().topics["tel_azimuth"]
    schema = topic.avro_schema()
    schema["fields"] = [*schema["fields"][:-1], {**schema["fields"][-1], "type": "string", "default": ""}]
    with SchemaRegistry(embedded_kafka.registry_url) as registry:
        registry.register(topic.subject(sal_environment.split(".")[1]), schema)
    async with TmaSimulator() as simulator:
        result = await check(simulator.port)
    status, found = result.found["schemas"]
    assert status == "failed"
    assert "1 is not compatible" in found
    assert result.found["topics"][0] == "warning"
    record_fault("a schema is not compatible with the registry's", result, "schemas")


async def test_an_absent_and_a_silent_tma_are_told(
    kafka_reader: KafkaReader, record_fault: RecordFault
) -> None:
    async with ScriptedTma() as tma:
        silent = await check(tma.port)
    subject = f"TMA 127.0.0.1:{tma.port}"
    status, found = silent.found[subject]
    assert status == "failed"
    assert "no telemetry" in found
    assert silent.found["clock"][0] == "warning"
    record_fault("the TMA sends nothing", silent, subject)
    absent = await check(tma.port)
    status, found = absent.found[subject]
    assert status == "failed"
    assert "no connection" in found
    record_fault("the TMA is not there", absent, subject)


async def test_a_tma_whose_frames_are_of_no_use_is_told(
    sal_environment: str, record_fault: RecordFault
) -> None:
    async with ScriptedTma() as tma:
        checking = asyncio.create_task(check(tma.port))
        await tma.wait_connected()
        await tma.send(b'{"topicID": 9999, "timestamp": 1.0}', b"garbage", b'{"topicID": 9998}')
        result = await checking
    subject = f"TMA 127.0.0.1:{tma.port}"
    status, found = result.found[subject]
    assert status == "failed"
    assert found.endswith("but no frame of 2 s can be used: 1 undecodable, 2 of unknown topics")
    record_fault("all that the TMA sends is unknown or cannot be decoded", result, subject)


async def test_another_server_than_the_tma_is_told(sal_environment: str, record_fault: RecordFault) -> None:
    async with ScriptedTma() as server:
        checking = asyncio.create_task(check(server.port))
        await server.send(b"220 mail server", terminator=b"\n")
        result = await checking
    subject = f"TMA 127.0.0.1:{server.port}"
    status, found = result.found[subject]
    assert status == "failed"
    assert found.endswith(r"no whole frame in 2 s: 16 bytes, starting with '220 mail server\n'")
    record_fault("another server is where the TMA should be", result, subject)


async def test_another_publisher_is_told(
    kafka_reader: KafkaReader,
    sal_environment: str,
    record_fault: RecordFault,
    embedded_kafka: EmbeddedKafka,
) -> None:
    from lsst.ts.mtmount.core import Record

    info = load_packaged_interface().topics["tel_azimuth"]
    record = Record(info.record_fields(), schema_id=1, rev_code=info.rev_code, origin=4711)
    producer = Producer({"bootstrap.servers": embedded_kafka.bootstrap_servers, "linger.ms": 0})
    is_done = asyncio.Event()

    async def publish() -> None:
        while not is_done.is_set():
            producer.produce(sal_environment + "azimuth", record.encode(1.0, 1.0), partition=0)
            await asyncio.to_thread(producer.flush, 5)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(publish())
    try:
        async with TmaSimulator() as simulator:
            result = await check(simulator.port)
    finally:
        is_done.set()
        await task
    assert result.found["other publishers"] == ("warning", "private_origin 4711 publish now")
    record_fault("another client publishes", result, "other publishers")


@pytest.mark.parametrize("accepts_incomplete", [False, True])
async def test_a_tma_that_has_changed_is_told(
    sal_environment: str, record_fault: RecordFault, accepts_incomplete: bool
) -> None:
    packaged = load_packaged_tma_interface()
    azimuth = packaged.by_name["azimuth"]
    kept = tuple(member for member in azimuth.members if not member.name.startswith("actualTorque"))
    changed = dataclasses.replace(azimuth, members=kept)
    sent = TmaInterface((changed, *(topic for topic in packaged.topics if topic is not azimuth)))
    options = ["--accept-incomplete"] if accepts_incomplete else []
    async with TmaSimulator(interface=sent) as simulator:
        result = await check(simulator.port, *options)
    status, found = result.found["frames of azimuth"]
    assert status == ("warning" if accepts_incomplete else "failed")
    assert "lack actualTorque, actualTorqueTimestamp" in found
    assert result.exit_status == 1 or accepts_incomplete
    assert "frames of elevation" not in result.found
    option = " (with `--accept-incomplete`)" if accepts_incomplete else ""
    record_fault(f"the TMA sends a topic without a member{option}", result, "frames of azimuth")


async def test_members_that_a_tma_has_got_are_told(sal_environment: str, record_fault: RecordFault) -> None:
    packaged = load_packaged_tma_interface()
    azimuth = packaged.by_name["azimuth"]
    changed = dataclasses.replace(azimuth, members=(*azimuth.members, TmaMember("windLoad", "windLoad")))
    sent = TmaInterface((changed, *(topic for topic in packaged.topics if topic is not azimuth)))
    async with TmaSimulator(interface=sent) as simulator:
        result = await check(simulator.port)
    assert result.found["frames of azimuth"] == ("warning", "also have windLoad")
    assert result.exit_status == 0
    record_fault("the TMA sends a topic with a member more", result, "frames of azimuth")


async def test_frames_are_decoded_by_the_interface_in_use(sal_environment: str) -> None:
    good = json.loads(golden_frame("azimuth"))
    async with ScriptedTma() as tma:
        checking = asyncio.create_task(check(tma.port, f"--tma-interface={SMALL_FILE}"))
        await tma.wait_connected()
        await tma.send(json.dumps(good | {"actualPosition": "here"}).encode())
        result = await checking
    status, found = result.found["frames of azimuth"]
    assert status == "failed"
    assert "actualPosition" in found
    status, found = result.found["TMA interface"]
    assert found.startswith(f"{SMALL_FILE} (")
    assert "; unlike the packaged one: " in found
    assert "azimuthDrives has other numbers of elements: current 12 instead of 16" in found
    assert "\n" not in found
