import dataclasses
import io
import json
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fastavro
import pytest
from confluent_kafka import KafkaError, Producer, TopicPartition

from lsst.ts.mtmount.sal import KafkaSettings, SchemaRegistry
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.reader import live_consumer
from lsst.ts.mtmount.tools.reader.live_consumer import (
    Arrival,
    BadMessage,
    LiveConsumer,
    MessageWithoutSchema,
    SettingsRefusedError,
)
from lsst.ts.mtmount.tools.reader.record_decoder import ReceivedRecord

from ...kafka_process import KafkaProcess

TIMEOUT = 60
LOG = logging.getLogger("monitor")
SCHEMA = {"type": "record", "name": "brake", "fields": [{"name": "pressure", "type": "double"}]}

Arrivals = list[Arrival]


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
def checks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after Kafka often."""
    monkeypatch.setattr(live_consumer, "CHECK_INTERVAL", 0.1)


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
    partition = TopicPartition(topic, 0)
    _, end = consumer._consumer.get_watermark_offsets(partition, TIMEOUT)
    while consumer._consumer.position([partition])[0].offset < end or consumer._without_schema:
        assert time.monotonic() < deadline
        consumer.read(0.1)


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
        (None, "expected Confluent framing"),
        (b"", "expected Confluent framing"),
        (b"\1\0\0\0\1" + bytes(8), "got 1"),
        (b"\0\0\0\0\1", "expected a record of schema"),
        (b"\0\x7f\xff\xff\xff" + bytes(8), "schema 2147483647: the registry answers with HTTP status 404"),
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

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(server: OddRegistry) -> Iterator[OddRegistry]:
    """Serve in a thread."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(TIMEOUT)


class OddRegistryHandler(BaseHTTPRequestHandler):
    server: OddRegistry

    def do_GET(self) -> None:
        self.wfile.write(self.server.answer)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep the test's output clean."""


@pytest.mark.parametrize(
    ("answer", "is_schema"),
    [
        (b"", False),
        (b"nonsense\r\n\r\n", False),
        (b"HTTP/1.0 500 Internal Server Error\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\nno JSON", False),
        (b"HTTP/1.0 200 OK\r\n\r\n[]", False),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", False),
        (b'HTTP/1.0 200 OK\r\n\r\n{"schema": 5}', False),
        (b'HTTP/1.0 200 OK\r\n\r\n{"schema": "no JSON"}', True),
        (b'HTTP/1.0 200 OK\r\n\r\n{"schema": "{}"}', True),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 100_000, False),
    ],
)
def test_odd_answers_of_the_registry_end_nothing(
    topics: list[str],
    publisher: Publisher,
    settings: KafkaSettings,
    consume: Callable[..., LiveConsumer],
    answer: bytes,
    is_schema: bool,
) -> None:
    with serving(OddRegistry(answer)) as registry:
        consumer = consume(topics, dataclasses.replace(settings, registry_url=registry.url))
        settle(consumer, publisher, topics[0])
        publisher.publish(topics[0], 1.0, 2.0)
        arrivals = read_until(consumer, lambda arrivals: len(arrivals) >= 2)
    kind = BadMessage if is_schema else MessageWithoutSchema
    assert all(isinstance(arrival, kind) for arrival in arrivals)


def test_a_registry_that_comes_back(
    topics: list[str],
    publisher: Publisher,
    settings: KafkaSettings,
    consume: Callable[..., LiveConsumer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_consumer, "REGISTRY_RETRY_INTERVAL", 0.05)
    with serving(OddRegistry(b"HTTP/1.0 503 Service Unavailable\r\n\r\n")) as registry:
        consumer = consume(topics, dataclasses.replace(settings, registry_url=registry.url))
        settle(consumer, publisher, topics[0])
        publisher.publish(topics[0], 1.0)
        (bad,) = read_until(consumer, lambda arrivals: len(arrivals) >= 1)
        assert isinstance(bad, MessageWithoutSchema)
        assert "503" in bad.reason
        registry.answer = b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps({"schema": json.dumps(SCHEMA)}).encode()
        deadline = time.monotonic() + TIMEOUT
        arrivals: Arrivals = []
        while not any(isinstance(arrival, ReceivedRecord) for arrival in arrivals):
            assert time.monotonic() < deadline
            publisher.publish(topics[0], 2.0)
            arrivals = consumer.read(0.1)


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


def test_the_first_answer_may_take_longer(
    kafka_process: KafkaProcess,
    consume: Callable[..., LiveConsumer],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As over a slow network, where a secure connection takes many steps."""
    monkeypatch.setattr(live_consumer, "START_TIMEOUT", TIMEOUT)
    settings = kafka_process.settings
    topic = f"lsst.{settings.subname}.MTMount.a"
    Publisher(settings.broker_addr, 1).publish(topic, b"creates it")
    kafka_process.suspend()
    consumer = consume([topic], settings)
    for _ in range(2):
        assert consumer.read(0.1) == []
        assert consumer.trouble == ""
    kafka_process.resume()
    read_until(consumer, lambda _: topic in consumer._reading)
    assert caplog.messages == []


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
    with pytest.raises(
        SettingsRefusedError, match=r"refused: No such configuration property: \"no.such.thing\""
    ):
        LiveConsumer(wrong, ["a"], LOG)
    wrong = dataclasses.replace(settings, client_overrides={"security.protocol": "secret"})
    with pytest.raises(SettingsRefusedError, match="refused"):
        LiveConsumer(wrong, ["a"], LOG)


def test_passwords_are_not_logged(settings: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    with LiveConsumer(dataclasses.replace(settings, password="swordfish"), [], LOG) as consumer:
        consumer._report("kind", logging.ERROR, "the password is swordfish\n\x1b[2J")
    assert caplog.messages == [r"the password is ***\n\x1b[2J"]


def encode_long(number: int) -> bytes:
    data = io.BytesIO()
    fastavro.schemaless_writer(data, {"type": "long"}, number)
    return data.getvalue()


ARRAYS: dict[str, Any] = {
    "type": "record",
    "name": "arrays",
    "fields": [
        {"name": "flags", "type": {"type": "array", "items": "boolean"}},
        {"name": "text", "type": "string"},
    ],
}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        # More elements than there are bytes, in blocks of either kind.
        encode_long(2**40) + b"\1" * 10,
        encode_long(-(2**40)) + encode_long(8) + b"\1" * 10,
        encode_long(-(2**63)) + encode_long(8),
        # A text that is longer than the message, or of negative length.
        b"\0" + encode_long(2**40) + b"a",
        b"\0" + encode_long(-7) + b"abc",
        b"\0" + encode_long(3) + b"\xff\xfe\xfd",
        # A number without an end.
        b"\xff" * 100_000,
        b"\xff" * 100_000 + b"\1",
    ],
)
def test_records_that_ask_for_more_than_their_bytes(
    embedded_kafka: EmbeddedKafka,
    topics: list[str],
    publisher: Publisher,
    consume: Callable[..., LiveConsumer],
    data: bytes,
) -> None:
    schema_id = embedded_kafka.registry.register(topics[0] + "-arrays", json.dumps(ARRAYS))
    consumer = consume(topics)
    settle(consumer, publisher, topics[0])
    publisher.publish(topics[0], b"\0" + schema_id.to_bytes(4, "big") + data, 2.0)
    bad, good = read_until(consumer, lambda arrivals: len(arrivals) >= 2)
    assert isinstance(bad, BadMessage)
    assert "expected a record of schema" in bad.reason
    assert isinstance(good, ReceivedRecord)


def test_random_bytes_end_nothing(
    embedded_kafka: EmbeddedKafka,
    topics: list[str],
    publisher: Publisher,
    consume: Callable[..., LiveConsumer],
) -> None:
    schema_id = embedded_kafka.registry.register(topics[0] + "-arrays", json.dumps(ARRAYS))
    generator = random.Random(1)
    framing = b"\0" + schema_id.to_bytes(4, "big")
    values = [framing + generator.randbytes(generator.randrange(40)) for _ in range(2000)]
    consumer = consume(topics)
    settle(consumer, publisher, topics[0])
    publisher.publish(topics[0], *values)
    arrivals = read_until(consumer, lambda arrivals: len(arrivals) >= 2000)
    assert sum(isinstance(arrival, BadMessage) for arrival in arrivals) > 1000


def test_schemas_that_are_not_of_sal_end_nothing(
    topics: list[str], publisher: Publisher, settings: KafkaSettings, consume: Callable[..., LiveConsumer]
) -> None:
    recursive = {"type": "record", "name": "r", "fields": [{"name": "r", "type": "r"}]}
    schemas = [json.dumps(recursive), json.dumps(["null", "int"]), '{"type":' * 200_000]
    for schema in schemas:
        answer = b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps({"schema": schema}).encode()
        with serving(OddRegistry(answer)) as registry:
            odd = dataclasses.replace(settings, registry_url=registry.url)
            consumer = consume(topics, odd)
            settle(consumer, publisher, topics[0])
            publisher.publish(topics[0], 1.0)
            (bad,) = read_until(consumer, lambda arrivals: len(arrivals) >= 1)
        assert isinstance(bad, BadMessage)


def test_reading_does_not_wait_for_the_registry(
    embedded_kafka: EmbeddedKafka,
    topics: list[str],
    publisher: Publisher,
    settings: KafkaSettings,
    consume: Callable[..., LiveConsumer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_consumer, "MAX_WAITING", 3)
    # Takes connections and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        consumer = consume(topics, dataclasses.replace(settings, registry_url=url))
        read_until(consumer, lambda _: set(topics) == set(consumer._reading))
        begin = time.monotonic()
        deadline = begin + TIMEOUT
        arrivals: Arrivals = []
        # What has no room to wait comes without its schema.
        while not arrivals:
            assert time.monotonic() < deadline
            publisher.publish(topics[0], 1.0)
            before = time.monotonic()
            arrivals = consumer.read(0.05)
            # Nothing here depends on the registry's time limit.
            assert time.monotonic() - before < live_consumer.REGISTRY_TIMEOUT
        assert all(isinstance(arrival, MessageWithoutSchema) for arrival in arrivals)
        assert "has not answered yet" in arrivals[0][1]


def test_the_last_record_of_an_event_is_read_first(
    embedded_kafka: EmbeddedKafka,
    sal_environment: str,
    publisher: Publisher,
    consume: Callable[..., LiveConsumer],
) -> None:
    event, empty, telemetry = (sal_environment + name for name in ("logevent_a", "logevent_b", "c"))
    embedded_kafka.create_topics([event, empty, telemetry])
    for topic in (event, telemetry):
        publisher.publish(topic, 1.0, 2.0)
    consumer = consume([event, empty, telemetry])
    assert consumer.unread == {event, empty}
    (last,) = read_until(consumer, lambda _: not consumer.unread)
    assert isinstance(last, ReceivedRecord)
    assert (last.topic, last.record, last.is_earlier) == (event, {"pressure": 2.0}, True)
    publisher.publish(event, 3.0)
    publisher.publish(empty, 4.0)
    found = read_until(consumer, lambda arrivals: len(arrivals) >= 2)
    assert {
        (arrival.topic, arrival.record["pressure"], arrival.is_earlier)
        for arrival in found
        if isinstance(arrival, ReceivedRecord)
    } == {(event, 3.0, False), (empty, 4.0, False)}


def test_an_event_is_unread_until_its_schema_has_come(
    embedded_kafka: EmbeddedKafka,
    settings: KafkaSettings,
    sal_environment: str,
    publisher: Publisher,
    consume: Callable[..., LiveConsumer],
) -> None:
    event = sal_environment + "logevent_a"
    embedded_kafka.create_topics([event])
    publisher.publish(event, 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        consumer = consume([event], dataclasses.replace(settings, registry_url=url))
        read_until(consumer, lambda _: bool(consumer._without_schema))
        # Also after the end of the topic was seen.
        for _ in range(5):
            assert consumer.read(0.1) == []
        assert consumer.unread == {event}


def test_without_an_answer_an_event_is_unread(
    settings: KafkaSettings, consume: Callable[..., LiveConsumer]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        consumer = consume(["logevent_a"], dataclasses.replace(settings, broker_addr=address))
        assert consumer.read(0.1) == []
        assert consumer.unread == {"logevent_a"}


def test_an_event_without_a_topic_is_not_unread(
    sal_environment: str, consume: Callable[..., LiveConsumer]
) -> None:
    event = sal_environment + "logevent_a"
    consumer = consume([event])
    read_until(consumer, lambda _: bool(consumer.missing))
    assert consumer.unread == set()


def test_a_group_that_is_not_allowed_is_not_needed(
    settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with LiveConsumer(settings, [], LOG) as consumer:
        consumer._take_error(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
        assert consumer.trouble == ""
        consumer._take_error(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
        assert "authorization failed" in consumer.trouble
    assert [message for message in caplog.messages if "Group" in message] == []


def test_what_the_registry_says_is_shown_and_not_obeyed(
    topics: list[str],
    publisher: Publisher,
    settings: KafkaSettings,
    consume: Callable[..., LiveConsumer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps({"schema": "\x1b[2J\u202e\u0085"}).encode()
    with serving(OddRegistry(answer)) as registry:
        consumer = consume(topics, dataclasses.replace(settings, registry_url=registry.url))
        settle(consumer, publisher, topics[0])
    assert caplog.messages
    assert all(message.isprintable() for message in caplog.messages)
