import io
import json
import time
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer

from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.reader.record_decoder import DecodeError
from lsst.ts.mtmount.tools.reader.record_reader import RecordReader

TIMEOUT = 60
SCHEMA = {
    "type": "record",
    "name": "brake",
    "fields": [
        {"name": "pressure", "type": "double"},
        {"name": "marks", "type": {"type": "array", "items": "long"}},
    ],
}


class Publisher:
    """Publishes records of SCHEMA, or any bytes."""

    def __init__(self, kafka: EmbeddedKafka) -> None:
        self.schema_id = kafka.registry.register("brake-value", json.dumps(SCHEMA))
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 0})

    def encode(self, record: dict[str, Any]) -> bytes:
        data = io.BytesIO()
        fastavro.schemaless_writer(data, SCHEMA, record)
        return b"\0" + self.schema_id.to_bytes(4, "big") + data.getvalue()

    def publish(self, topic: str, *values: bytes | None, key: bytes = b"") -> None:
        for value in values:
            self._producer.produce(topic, value, key, 0)
        assert self._producer.flush(TIMEOUT) == 0

    def close(self) -> None:
        del self._producer


@pytest.fixture
def kafka() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka() as kafka:
        kafka.create_topics(["a", "b"])
        yield kafka


@pytest.fixture
def publisher(kafka: EmbeddedKafka) -> Iterator[Publisher]:
    publisher = Publisher(kafka)
    yield publisher
    publisher.close()


@pytest.fixture
def reader(kafka: EmbeddedKafka) -> Iterator[RecordReader]:
    with RecordReader(kafka.bootstrap_servers, kafka.registry_url, ["a", "b"]) as reader:
        yield reader


def test_reads_from_the_beginning(kafka: EmbeddedKafka, publisher: Publisher) -> None:
    records = [{"pressure": 0.5 * i, "marks": [i, -i]} for i in range(100)]
    begin = time.time()
    publisher.publish("a", *(publisher.encode(record) for record in records))
    publisher.publish("b", publisher.encode(records[7]), key=b"{}")
    end = time.time()
    with RecordReader(kafka.bootstrap_servers, kafka.registry_url, ["a", "b"]) as reader:
        received = reader.collect(101, TIMEOUT)
        assert [found.record for found in received if found.topic == "a"] == records
        assert [found.offset for found in received if found.topic == "a"] == list(range(100))
        assert [found.record for found in received if found.topic == "b"] == [records[7]]
        for found in received:
            assert found.key == (b"" if found.topic == "a" else b"{}")
            assert found.schema_id == publisher.schema_id
            # Kafka counts in milliseconds.
            assert begin - 0.001 <= found.kafka_timestamp <= end
            assert end <= found.arrival_time <= time.time()
        assert not reader.missed
        assert reader.find_ends() == {"a": 100, "b": 1}


def test_reads_what_comes_later(reader: RecordReader, publisher: Publisher) -> None:
    assert reader.read(0.01) == []
    for pressure in (1.0, 2.0):
        publisher.publish("b", publisher.encode({"pressure": pressure, "marks": []}))
        assert [found.record["pressure"] for found in reader.collect(1, TIMEOUT)] == [pressure]


def test_fetches_without_decoding(reader: RecordReader, publisher: Publisher) -> None:
    # Not decoded: these are no records.
    publisher.publish("a", b"x", b"yy", b"")
    deadline = time.monotonic() + TIMEOUT
    values: list[bytes | None] = []
    while len(values) < 3 and time.monotonic() < deadline:
        values += [message.value() for message in reader.fetch(1)]
    assert values == [b"x", b"yy", b""]


def test_records_that_are_gone_are_missed(kafka: EmbeddedKafka, publisher: Publisher) -> None:
    # The embedded broker keeps about 5 MB of a partition.
    for _ in range(20):
        publisher.publish("a", b"x" * 900_000)
    ends = {"a": 20, "b": 0}
    with RecordReader(kafka.bootstrap_servers, kafka.registry_url, ["a", "b"]) as reader:
        deadline = time.monotonic() + TIMEOUT
        num_read = 0
        while num_read + reader.missed["a"] < 20 and time.monotonic() < deadline:
            num_read += len(reader.fetch(1))
        assert reader.find_ends() == ends
        assert 1 <= num_read < 20
        assert reader.missed == {"a": 20 - num_read}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "expected Confluent framing"),
        (b"", "expected Confluent framing"),
        (b"\0\0\0\0", "expected Confluent framing"),
        (b"\1\0\0\0\1" + bytes(9), "got 1"),
        (b"\0\0\0\0\1" + bytes(8), "expected a record of schema 1, got"),
        (b"\0\0\0\0\1" + bytes(10), "got 1 bytes after it"),
    ],
)
def test_bad_messages(reader: RecordReader, publisher: Publisher, value: bytes | None, message: str) -> None:
    assert publisher.schema_id == 1
    publisher.publish("a", value)
    with pytest.raises(DecodeError, match=message):
        reader.collect(1, TIMEOUT)


def test_unknown_schema(reader: RecordReader, publisher: Publisher) -> None:
    publisher.publish("a", b"\0\0\0\0\7" + bytes(9))
    with pytest.raises(DecodeError, match="404"):
        reader.collect(1, TIMEOUT)


def test_nothing_in_time(reader: RecordReader) -> None:
    with pytest.raises(TimeoutError, match="expected 1 records in 0.05 s, got 0"):
        reader.collect(1, 0.05)


def test_topics_must_exist(kafka: EmbeddedKafka) -> None:
    with pytest.raises(LookupError, match="no such Kafka topics: c"):
        RecordReader(kafka.bootstrap_servers, kafka.registry_url, ["a", "c"])


def test_proxies_of_the_environment_are_not_asked(
    reader: RecordReader, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    publisher.publish("a", publisher.encode({"pressure": 1.0, "marks": []}))
    assert len(reader.collect(1, TIMEOUT)) == 1
