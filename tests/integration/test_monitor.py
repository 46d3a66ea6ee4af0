"""The monitor on a real Kafka: log-in, brokers that are killed, topics that come and go."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.sal import KafkaSettings, SchemaRegistry
from lsst.ts.mtmount.tools.reader.live_consumer import LiveConsumer
from lsst.ts.mtmount.tools.reader.record_decoder import ReceivedRecord
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..programs import find_program
from .kafka import ApicurioRegistry, KafkaCluster, create_topic

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

TIMEOUT = 90.0
LOG = logging.getLogger("monitor")
SCHEMA = {"type": "record", "name": "counter", "fields": [{"name": "number", "type": "int"}]}


async def test_log_in_with_scram_over_tls(
    start_cluster: Callable[..., KafkaCluster],
    schema_registry: ApicurioRegistry,
    subname: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = await asyncio.to_thread(start_cluster, sasl="SCRAM-SHA-512", tls=True)
    for name, value in cluster.environment(subname, schema_registry.url).items():
        monkeypatch.setenv(name, value)
    async with asyncio.timeout(TIMEOUT), TmaSimulator() as simulator:
        client = TelemetryClient("127.0.0.1", simulator.port)
        await client.start_task
        try:
            process = await asyncio.create_subprocess_exec(
                find_program("monitor_mtmount_telemetry"),
                *("azimuth", "--duration", "5", "--skip", "0", "--fields", "azimuth.actualPosition"),
                stdout=PIPE,
                stderr=PIPE,
                env=dict(os.environ),
            )
            output, errors = await process.communicate()
        finally:
            await client.close()
    assert process.returncode == 0
    (interface,) = errors.splitlines()
    assert interface.startswith(b"TMA interface: ")
    lines = output.decode().splitlines()
    records = [line for line in lines if line.startswith("time=")]
    assert len(records) > 20
    assert all(" actualPosition=" in line for line in records)
    (summary,) = (line for line in lines if line.startswith("summary="))
    assert "lost=0 bad=0" in summary


class Counter:
    """Publishes 1, 2, 3, ... to a topic."""

    def __init__(self, cluster: KafkaCluster, registry: ApicurioRegistry, topic: str) -> None:
        self.topic = topic
        with SchemaRegistry(registry.url) as client:
            self._schema_id = client.register(f"{topic}-value", SCHEMA)
        # Idempotent, so that the order is kept and nothing comes twice when a broker is killed.
        configuration = {"linger.ms": 0, "enable.idempotence": True, "acks": "all", "log_level": 0}
        self._producer = Producer(cluster.client_configuration() | configuration)
        self.number = 0

    def publish(self) -> None:
        self.number += 1
        data = io.BytesIO()
        fastavro.schemaless_writer(data, SCHEMA, {"number": self.number})
        payload = b"\0" + self._schema_id.to_bytes(4, "big") + data.getvalue()
        self._producer.produce(self.topic, payload, b"", 0)
        self._producer.poll(0)

    def read(self, consumer: LiveConsumer, num_records: int) -> list[int]:
        """Publish and read until so many have come; return the numbers."""
        numbers: list[int] = []
        deadline = time.monotonic() + TIMEOUT
        while len(numbers) < num_records:
            assert time.monotonic() < deadline, (numbers, consumer.trouble)
            self.publish()
            numbers += self.take(consumer)
        return numbers

    def take(self, consumer: LiveConsumer) -> list[int]:
        """Take what has come."""
        arrivals = [arrival for arrival in consumer.read(0.05) if arrival.topic == self.topic]
        return [arrival.record["number"] for arrival in arrivals if isinstance(arrival, ReceivedRecord)]


def make_settings(cluster: KafkaCluster, registry: ApicurioRegistry, subname: str) -> KafkaSettings:
    return KafkaSettings.from_environment(cluster.environment(subname, registry.url))


def test_goes_on_after_the_broker_was_killed(
    start_cluster: Callable[..., KafkaCluster],
    schema_registry: ApicurioRegistry,
    subname: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    cluster = start_cluster()
    create_topic(cluster, subname)
    counter = Counter(cluster, schema_registry, subname)
    with LiveConsumer(make_settings(cluster, schema_registry, subname), [subname], LOG) as consumer:
        before = counter.read(consumer, 20)
        cluster.kill(1)
        deadline = time.monotonic() + TIMEOUT
        while not consumer.trouble:
            assert time.monotonic() < deadline
            before += counter.take(consumer)
        cluster.restart(1)
        after = counter.read(consumer, 20)
        while after[-1] < counter.number:
            assert time.monotonic() < deadline
            after += counter.take(consumer)
        assert consumer.trouble == ""
    # Each once and in order, whatever the broker was doing.
    assert before + after == list(range(before[0], counter.number + 1))
    assert any(message.startswith("Kafka cannot be read: ") for message in caplog.messages)
    assert "Kafka can be read again" in caplog.messages


def test_topics_come_and_go(
    single_broker: KafkaCluster,
    schema_registry: ApicurioRegistry,
    subname: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    there, coming = f"{subname}.there", f"{subname}.coming"
    create_topic(single_broker, there)
    present = Counter(single_broker, schema_registry, there)
    admin = AdminClient(single_broker.client_configuration())
    settings = make_settings(single_broker, schema_registry, subname)
    with LiveConsumer(settings, [there, coming], LOG) as consumer:
        present.read(consumer, 1)
        assert consumer.missing == {coming}
        for _ in range(2):
            create_topic(single_broker, coming)
            counter = Counter(single_broker, schema_registry, coming)
            for _ in range(3):
                counter.publish()
            # From its beginning, as often as it is made anew.
            assert counter.read(consumer, 3)[:3] == [1, 2, 3]
            assert not consumer.missing
            # The other one is read all the time.
            assert present.read(consumer, 1)
            admin.delete_topics([coming])[coming].result(TIMEOUT)
            deadline = time.monotonic() + TIMEOUT
            while coming not in consumer.missing:
                assert time.monotonic() < deadline
                consumer.read(0.1)
    # What librdkafka itself has to say may come in between.
    told = [message for message in caplog.messages if "librdkafka" not in message]
    assert told == [
        f"There is no Kafka topic {coming}",
        *[f"The Kafka topic {coming} is there now", f"The Kafka topic {coming} has gone"] * 2,
    ]
