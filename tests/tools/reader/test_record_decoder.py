"""How the record decoder asks a schema registry that wants a password, or fails."""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fastavro
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.reader.record_reader import RecordDecoder

TIMEOUT = 20
SCHEMA = {"type": "record", "name": "brake", "fields": [{"name": "pressure", "type": "double"}]}
#: With characters that must be escaped in a URL.
USER, PASSWORD = "rëader", "p@ss/wo:rd"


class GuardedRegistry(ThreadingHTTPServer):
    """Gives schema 5 to who knows the password, and nothing else."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), GuardedRegistryHandler)
        self.requests: list[str] = []
        self.is_open = True

    def make_url(self, credentials: str) -> str:
        return f"http://{credentials}127.0.0.1:{self.server_port}/base/"


class GuardedRegistryHandler(BaseHTTPRequestHandler):
    server: GuardedRegistry

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self.send_error(401)
        elif self.path != "/base/schemas/ids/5":
            self.send_error(404)
        else:
            body = json.dumps({"schema": json.dumps(SCHEMA)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep the test's output clean."""


@pytest.fixture
def registry() -> Iterator[GuardedRegistry]:
    with GuardedRegistry() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(TIMEOUT)


@pytest.fixture
def send(embedded_kafka: EmbeddedKafka, sal_environment: str) -> Iterator[Callable[[int], Message]]:
    """Send a record of some schema id through Kafka, and return the message that comes out."""
    topic = sal_environment + "brake"
    embedded_kafka.create_topics([topic])
    producer = Producer({"bootstrap.servers": embedded_kafka.bootstrap_servers, "linger.ms": 0})
    consumer = Consumer(
        {
            "bootstrap.servers": embedded_kafka.bootstrap_servers,
            "group.id": "test",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
        }
    )
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    data = io.BytesIO()
    fastavro.schemaless_writer(data, SCHEMA, {"pressure": 2.5})

    def send(schema_id: int) -> Message:
        producer.produce(topic, b"\0" + schema_id.to_bytes(4, "big") + data.getvalue(), b"", 0)
        assert producer.flush(TIMEOUT) == 0
        message = consumer.poll(TIMEOUT)
        assert message is not None
        assert message.error() is None
        return message

    yield send
    consumer.close()


def test_a_password_in_the_url(registry: GuardedRegistry, send: Callable[[int], Message]) -> None:
    decoder = RecordDecoder(registry.make_url("r%C3%ABader:p%40ss%2Fwo%3Ard@"))
    for _ in range(2):
        assert decoder.decode(send(5), 0.0).record == {"pressure": 2.5}
    # Asked once.
    assert registry.requests == ["/base/schemas/ids/5"]


@pytest.mark.parametrize("credentials", ["", "somebody@", "somebody:secret@"])
def test_no_password_or_a_wrong_one(
    registry: GuardedRegistry, send: Callable[[int], Message], credentials: str
) -> None:
    decoder = RecordDecoder(registry.make_url(credentials))
    with pytest.raises(OSError, match="401") as caught:
        decoder.decode(send(5), 0.0)
    assert "secret" not in str(caught.value)


def test_what_it_does_not_know_is_not_asked_for_again(
    registry: GuardedRegistry, send: Callable[[int], Message]
) -> None:
    decoder = RecordDecoder(registry.make_url("r%C3%ABader:p%40ss%2Fwo%3Ard@"), retry_interval=3600)
    for _ in range(3):
        with pytest.raises(OSError, match="404"):
            decoder.decode(send(6), 0.0)
    # Other schemas are.
    assert decoder.decode(send(5), 0.0).record == {"pressure": 2.5}
    assert registry.requests == ["/base/schemas/ids/6", "/base/schemas/ids/5"]


def test_without_an_interval_it_is_asked_again(
    registry: GuardedRegistry, send: Callable[[int], Message]
) -> None:
    decoder = RecordDecoder(registry.make_url("r%C3%ABader:p%40ss%2Fwo%3Ard@"))
    for _ in range(2):
        with pytest.raises(OSError, match="404"):
            decoder.decode(send(6), 0.0)
    assert len(registry.requests) == 2


def test_a_registry_that_is_away_is_left_alone(send: Callable[[int], Message]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), GuardedRegistryHandler) as gone:
        port = gone.server_port
    decoder = RecordDecoder(f"http://127.0.0.1:{port}", retry_interval=3600)
    with pytest.raises(OSError, match="refused"):
        decoder.decode(send(5), 0.0)
    # Whatever the schema: it is not even noticed that somebody listens there again.
    with ThreadingHTTPServer(("127.0.0.1", port), GuardedRegistryHandler):
        for schema_id in (5, 6):
            with pytest.raises(OSError, match="refused"):
                decoder.decode(send(schema_id), 0.0)
