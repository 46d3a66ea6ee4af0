import dataclasses
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer

from lsst.ts.mtmount.sal import KafkaSettings, SchemaRegistry
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.monitor import BadMessage, LiveConsumer, MonitorError
from lsst.ts.mtmount.tools.monitor import consumer as consumer_module
from lsst.ts.mtmount.tools.reader.record_reader import ReceivedRecord

from .conftest import KafkaProcess

TIMEOUT = 30
LOG = logging.getLogger("monitor")
SCHEMA = {"type": "record", "name": "brake", "fields": [{"name": "pressure", "type": "double"}]}

Arrivals = list[ReceivedRecord | BadMessage]


class Publisher:
    """Publishes records of SCHEMA, or any bytes."""

    def __init__(self, bootstrap_servers: str, schema_id: int) -> None:
        self.schema_id = schema_id
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 0, "log_level": 0})

    def encode(self, pressure: float) -> bytes:
        data = io.BytesIO()
        fastavro.schemaless_writer(data, SCHEMA, {"pressure": pressure})
        return b"\0" + self.schema_id.to_bytes(4, "big") + data.getvalue()

    def publish(self, topic: str, *values: bytes | float | None) -> None:
        for value in values:
            payload = self.encode(value) if isinstance(value, float) else value
            self._producer.produce(topic, payload, b"", 0)
        assert self._producer.flush(TIMEOUT) == 0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after Kafka often."""
    monkeypatch.setattr(consumer_module, "PATIENCE", 0.1)


@pytest.fixture
def topics(embedded_kafka: EmbeddedKafka, sal_environment: str) -> list[str]:
    topics = [sal_environment + name for name in ("a", "b")]
    embedded_kafka.create_topics(topics)
    return topics


@pytest.fixture
def publisher(embedded_kafka: EmbeddedKafka, sal_environment: str) -> Publisher:
    schema_id = embedded_kafka.registry.register(sal_environment + "a-value", json.dumps(SCHEMA))
    return Publisher(embedded_kafka.bootstrap_servers, schema_id)


@pytest.fixture
def consume(settings: KafkaSettings) -> Iterator[Callable[..., LiveConsumer]]:
    """Make consumers that are closed at the end."""
    consumers = []

    def make(topics: list[str], settings: KafkaSettings = settings) -> LiveConsumer:
        consumers.append(LiveConsumer(settings, topics, LOG))
        return consumers[-1]

    yield make
    for consumer in consumers:
        consumer.close()


def read_until(consumer: LiveConsumer, is_enough: Callable[[Arrivals], bool]) -> Arrivals:
    """Read until what came is enough."""
    arrivals: Arrivals = []
    deadline = time.monotonic() + TIMEOUT
    while not is_enough(arrivals):
        assert time.monotonic() < deadline, arrivals
        arrivals += consumer.read(0.05)
    return arrivals


def read_pressures(consumer: LiveConsumer, topic: str, last: float) -> list[float]:
    """Read a topic until a value comes."""
    arrivals = read_until(
        consumer,
        lambda arrivals: any(
            isinstance(arrival, ReceivedRecord) and arrival.record["pressure"] == last for arrival in arrivals
        ),
    )
    return [
        arrival.record["pressure"]
        for arrival in arrivals
        if isinstance(arrival, ReceivedRecord) and arrival.topic == topic
    ]


def settle(consumer: LiveConsumer, publisher: Publisher, topic: str) -> None:
    """Publish until the consumer reads the topic: it begins at the topic's end, whenever that is."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        assert time.monotonic() < deadline
        publisher.publish(topic, -1.0)
        if any(arrival.topic == topic for arrival in consumer.read(0.1)):
            break
    while consumer.read(0.1):
        pass


def test_reads_only_what_is_new(
    topics: list[str], publisher: Publisher, consume: Callable[..., LiveConsumer]
) -> None:
    publisher.publish(topics[0], 1.0, 2.0)
    consumer = consume(topics)
    for topic in topics:
        settle(consumer, publisher, topic)
    publisher.publish(topics[0], 3.0, 4.0)
    assert read_pressures(consumer, topics[0], 4.0) == [3.0, 4.0]
    publisher.publish(topics[1], 5.0)
    assert read_pressures(consumer, topics[1], 5.0) == [5.0]
    assert not consumer.missing
    assert consumer.trouble == ""


def test_a_missing_topic_is_read_from_its_beginning(
    embedded_kafka: EmbeddedKafka,
    topics: list[str],
    publisher: Publisher,
    consume: Callable[..., LiveConsumer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    later = topics[0] + "_later"
    consumer = consume([topics[0], later])
    settle(consumer, publisher, topics[0])
    assert consumer.missing == {later}
    # Asking for it has not created it.
    assert later not in Producer({"bootstrap.servers": embedded_kafka.bootstrap_servers}).list_topics().topics
    publisher.publish(later, 1.0, 2.0)
    assert read_pressures(consumer, later, 2.0) == [1.0, 2.0]
    assert not consumer.missing
    assert caplog.messages == [f"There is no Kafka topic {later}", f"The Kafka topic {later} is there now"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "without Confluent framing"),
        (b"", "without Confluent framing"),
        (b"\1\0\0\0\1" + bytes(8), "begins with 1"),
        (b"\0\0\0\0\1", "no record of schema"),
        (b"\0\x7f\xff\xff\xff" + bytes(8), "404"),
        (b"\0\xff\xff\xff\xff" + bytes(8), "404"),
    ],
)
def test_undecodable_messages_are_told_and_passed_over(
    topics: list[str],
    publisher: Publisher,
    consume: Callable[..., LiveConsumer],
    caplog: pytest.LogCaptureFixture,
    value: bytes | None,
    reason: str,
) -> None:
    consumer = consume(topics)
    settle(consumer, publisher, topics[0])
    if value == b"\0\0\0\0\1":
        value = publisher.encode(1.0)[:-1]
    publisher.publish(topics[0], 1.0, value, 2.0)
    good, bad, after = read_until(consumer, lambda arrivals: len(arrivals) >= 3)
    assert isinstance(good, ReceivedRecord)
    assert isinstance(after, ReceivedRecord)
    assert isinstance(bad, BadMessage)
    assert bad.topic == topics[0]
    assert reason in bad.reason
    assert caplog.messages == [f"Undecodable message, a: {bad.reason}"]


def test_many_undecodable_messages_are_counted(
    topics: list[str],
    publisher: Publisher,
    consume: Callable[..., LiveConsumer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    consumer = consume(topics)
    settle(consumer, publisher, topics[0])
    publisher.publish(topics[0], *[b"bad"] * 1000)
    arrivals = read_until(consumer, lambda arrivals: len(arrivals) >= 1000)
    assert all(isinstance(arrival, BadMessage) for arrival in arrivals)
    assert len(caplog.messages) == 5
    consumer.close()
    assert caplog.messages[5:] == ["Undecodable message: suppressed 995 more messages like this"]


@pytest.mark.parametrize("schema", ["string", "double", {"type": "array", "items": "double"}])
def test_schemas_that_are_none_of_a_record(
    embedded_kafka: EmbeddedKafka,
    topics: list[str],
    publisher: Publisher,
    consume: Callable[..., LiveConsumer],
    schema: object,
) -> None:
    text = json.dumps(schema)
    schema_id = embedded_kafka.registry.register(topics[0] + text, text)
    consumer = consume(topics)
    settle(consumer, publisher, topics[0])
    publisher.publish(topics[0], b"\0" + schema_id.to_bytes(4, "big") + bytes(8), 2.0)
    bad, good = read_until(consumer, lambda arrivals: len(arrivals) >= 2)
    assert isinstance(bad, BadMessage)
    assert isinstance(good, ReceivedRecord)


class OddRegistry(ThreadingHTTPServer):
    """Answers everything with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), OddRegistryHandler)
        self.answer = answer


class OddRegistryHandler(BaseHTTPRequestHandler):
    server: OddRegistry

    def do_GET(self) -> None:
        self.wfile.write(self.server.answer)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep the test's output clean."""


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.0 500 Internal Server Error\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nno JSON",
        b"HTTP/1.0 200 OK\r\n\r\n[]",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b'HTTP/1.0 200 OK\r\n\r\n{"schema": 5}',
        b'HTTP/1.0 200 OK\r\n\r\n{"schema": "no JSON"}',
        b'HTTP/1.0 200 OK\r\n\r\n{"schema": "{}"}',
        b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 100_000,
    ],
)
def test_odd_answers_of_the_registry_end_nothing(
    topics: list[str],
    publisher: Publisher,
    settings: KafkaSettings,
    consume: Callable[..., LiveConsumer],
    answer: bytes,
) -> None:
    with OddRegistry(answer) as registry:
        thread = threading.Thread(target=registry.serve_forever, args=(0.01,))
        thread.start()
        odd = dataclasses.replace(settings, registry_url=f"http://127.0.0.1:{registry.server_port}")
        consumer = consume(topics, odd)
        settle(consumer, publisher, topics[0])
        publisher.publish(topics[0], 1.0, 2.0)
        arrivals = read_until(consumer, lambda arrivals: len(arrivals) >= 2)
        registry.shutdown()
        thread.join(TIMEOUT)
    assert all(isinstance(arrival, BadMessage) for arrival in arrivals)


def test_a_registry_that_comes_back(
    topics: list[str],
    publisher: Publisher,
    settings: KafkaSettings,
    consume: Callable[..., LiveConsumer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer_module, "REGISTRY_RETRY_INTERVAL", 0.05)
    registry = OddRegistry(b"HTTP/1.0 503 Service Unavailable\r\n\r\n")
    with registry:
        thread = threading.Thread(target=registry.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{registry.server_port}"
        consumer = consume(topics, dataclasses.replace(settings, registry_url=url))
        settle(consumer, publisher, topics[0])
        publisher.publish(topics[0], 1.0)
        (bad,) = read_until(consumer, lambda arrivals: len(arrivals) >= 1)
        assert isinstance(bad, BadMessage)
        assert "503" in bad.reason
        registry.answer = b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps({"schema": json.dumps(SCHEMA)}).encode()
        deadline = time.monotonic() + TIMEOUT
        arrivals: Arrivals = []
        while not any(isinstance(arrival, ReceivedRecord) for arrival in arrivals):
            assert time.monotonic() < deadline
            publisher.publish(topics[0], 2.0)
            arrivals = consumer.read(0.1)
        registry.shutdown()
        thread.join(TIMEOUT)


def test_a_broker_that_stands_still(
    kafka_process: KafkaProcess, consume: Callable[..., LiveConsumer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings = kafka_process.settings
    topic = f"lsst.{settings.subname}.MTMount.a"
    with SchemaRegistry(settings.registry_url) as registry:
        schema_id = registry.register(f"{topic}-value", SCHEMA)
    publisher = Publisher(settings.broker_addr, schema_id)
    publisher.publish(topic, 0.0)
    consumer = consume([topic], settings)
    settle(consumer, publisher, topic)
    assert consumer.trouble == ""
    kafka_process.suspend()
    read_until(consumer, lambda _: consumer.trouble != "")
    kafka_process.resume()
    read_until(consumer, lambda _: consumer.trouble == "")
    publisher.publish(topic, 1.0)
    assert read_pressures(consumer, topic, 1.0) == [1.0]
    assert caplog.messages[0].startswith("Kafka cannot be read: ")
    assert caplog.messages[-1] == "Kafka can be read again"


def test_a_broker_that_is_not_there(
    settings: KafkaSettings, consume: Callable[..., LiveConsumer], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    consumer = consume(["a"], dataclasses.replace(settings, broker_addr=f"127.0.0.1:{port}"))
    read_until(consumer, lambda _: consumer.trouble != "")
    assert not consumer.missing
    assert any("Kafka cannot be read: " in message for message in caplog.messages)


def test_settings_that_cannot_be_used(settings: KafkaSettings) -> None:
    wrong = dataclasses.replace(settings, client_overrides={"sasl.password": "secret", "no.such.thing": 1})
    with pytest.raises(MonitorError, match=r"refused: No such configuration property: \"no.such.thing\""):
        LiveConsumer(wrong, ["a"], LOG)
    wrong = dataclasses.replace(settings, client_overrides={"security.protocol": "secret"})
    with pytest.raises(MonitorError, match="refused"):
        LiveConsumer(wrong, ["a"], LOG)


def test_passwords_are_not_logged(settings: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    with LiveConsumer(dataclasses.replace(settings, password="swordfish"), [], LOG) as consumer:
        consumer._report("kind", logging.ERROR, "the password is swordfish\n\x1b[2J")
    assert caplog.messages == [r"the password is ***\n\x1b[2J"]
