"""``run_mtmount_telemetry_client --check`` against servers that are right, and wrong in one way each."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from lsst.ts.mtmount.sal.interface import load_packaged_interface
from lsst.ts.mtmount.sal.schema_registry import SchemaRegistry
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..kafka_reader import KafkaReader
from ..tma import ScriptedTma

pytestmark = pytest.mark.slow

Findings = dict[str, tuple[str, str]]


async def check(port: int, *options: str, **changes: str) -> tuple[int | None, Findings]:
    """Run the check with changes of the environment; return the status, and what was found by subject."""
    environment = {**os.environ, **changes}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "import mtmount_telemetry_launcher as launcher, sys; sys.exit(launcher.run_client())"),
        *("--host", "127.0.0.1", "--port", str(port), "--check", "--json", *options),
        env={name: value for name, value in environment.items() if value},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        output, errors = await process.communicate()
    assert errors == b""
    findings: Findings = {}
    for finding in json.loads(output):
        status = findings.get(finding["subject"], ("", ""))[0]
        if status != "failed":
            findings[finding["subject"]] = (finding["status"], finding["found"])
    return process.returncode, findings


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
        status, findings = await check(
            port, "--report", str(tmp_path / "report.json"), "--record", str(tmp_path / "new")
        )
    assert {subject: found for subject, found in findings.items() if found[0] == "failed"} == {}
    assert status == 0
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
    ("changes", "subject", "expected", "text"),
    [
        ({"LSST_TOPIC_SUBNAME": ""}, "settings", "failed", "LSST_TOPIC_SUBNAME"),
        ({"LSST_KAFKA_PRODUCER_CONFIGURATION": "/nowhere.yaml"}, "settings", "failed", "/nowhere.yaml"),
        ({"LSST_KAFKA_BROKER_ADDR": "127.0.0.1:1"}, "Kafka", "failed", "refused"),
        (
            {"LSST_KAFKA_BROKER_ADDR": "no-such-host.invalid:9092"},
            "LSST_KAFKA_BROKER_ADDR no-such-host.invalid",
            "failed",
            "",
        ),
        ({"LSST_SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"}, "schema registry", "failed", "refused"),
    ],
)
async def test_wrong_settings_are_told(
    sal_environment: str, changes: Mapping[str, str], subject: str, expected: str, text: str
) -> None:
    async with TmaSimulator() as simulator:
        status, findings = await check(simulator.port, **changes)
    assert status == 1
    assert findings[subject][0] == expected
    assert text in findings[subject][1]


async def test_a_property_that_kafka_does_not_know_is_told(sal_environment: str, tmp_path: Path) -> None:
    path = tmp_path / "producer.yaml"
    path.write_text("no.such.property: 1\n")
    async with TmaSimulator() as simulator:
        status, findings = await check(simulator.port, LSST_KAFKA_PRODUCER_CONFIGURATION=str(path))
    assert status == 1
    assert findings["Kafka settings"][0] == "failed"
    assert "no.such.property" in findings["Kafka settings"][1]


async def test_an_incompatible_schema_fails_and_missing_ones_warn(
    sal_environment: str, embedded_kafka: EmbeddedKafka
) -> None:
    topic = load_packaged_interface().topics["tel_azimuth"]
    schema = topic.avro_schema()
    schema["fields"] = [*schema["fields"][:-1], {**schema["fields"][-1], "type": "string", "default": ""}]
    with SchemaRegistry(embedded_kafka.registry_url) as registry:
        registry.register(topic.subject(sal_environment.split(".")[1]), schema)
    async with TmaSimulator() as simulator:
        status, findings = await check(simulator.port)
    assert status == 1
    assert findings["schemas"][0] == "failed"
    assert "1 are not compatible" in findings["schemas"][1]
    assert findings["topics"][0] == "warning"


async def test_an_absent_and_a_silent_tma_are_told(kafka_reader: KafkaReader) -> None:
    async with ScriptedTma() as tma:
        status, findings = await check(tma.port)
    assert status == 1
    assert findings[f"TMA 127.0.0.1:{tma.port}"][0] == "failed"
    assert "no telemetry" in findings[f"TMA 127.0.0.1:{tma.port}"][1]
    assert findings["clock"][0] == "warning"
    status, findings = await check(tma.port)
    assert status == 1
    assert "no connection" in findings[f"TMA 127.0.0.1:{tma.port}"][1]


async def test_another_publisher_is_told(
    kafka_reader: KafkaReader, sal_environment: str, embedded_kafka: EmbeddedKafka
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
            _, findings = await check(simulator.port)
    finally:
        is_done.set()
        await task
    assert findings["other publishers"] == ("warning", "private_origin 4711 publish now")
