"""An independent reader: confluent-kafka, the registry over HTTP, fastavro."""

import asyncio
import io
import json
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import fastavro
from confluent_kafka import Consumer, TopicPartition

Records = dict[str, list[dict[str, Any]]]


class KafkaReader:
    """Reads partition 0 of some topics from their start.

    Parameters
    ----------
    bootstrap_servers, registry_url
        Where Kafka and the registry are.
    prefix
        What comes before the SAL name in a topic's name.
    sal_names
        SAL names of the topics.
    """

    def __init__(
        self, bootstrap_servers: str, registry_url: str, prefix: str, sal_names: Iterable[str]
    ) -> None:
        self.records: Records = defaultdict(list)
        self.values: dict[str, list[bytes]] = defaultdict(list)
        self.keys: dict[str, set[bytes | None]] = defaultdict(set)
        self._prefix = prefix
        self._registry_url = registry_url
        self._schemas: dict[int, Any] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "test",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 10,
            }
        )
        self._consumer.assign([TopicPartition(prefix + name, 0, 0) for name in sal_names])

    def close(self) -> None:
        self._consumer.close()

    def _schema(self, schema_id: int) -> Any:
        if schema_id not in self._schemas:
            with urllib.request.urlopen(f"{self._registry_url}/schemas/ids/{schema_id}", timeout=5) as answer:
                self._schemas[schema_id] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
        return self._schemas[schema_id]

    def _read(self) -> None:
        for message in self._consumer.consume(1000, 0.1):
            assert message.error() is None, message.error()
            value = message.value()
            assert value is not None
            assert value[0] == 0
            source = io.BytesIO(value[5:])
            record = fastavro.schemaless_reader(source, self._schema(int.from_bytes(value[1:5], "big")), None)
            assert not source.read(1)
            assert isinstance(record, dict)
            topic = message.topic()
            assert topic is not None
            name = topic.removeprefix(self._prefix)
            self.records[name].append(record)
            self.values[name].append(value)
            self.keys[name].add(message.key())

    async def read_until(self, is_enough: Callable[[Records], bool], timeout: float = 20) -> Records:
        """Read until the records are enough, or fail."""
        deadline = time.monotonic() + timeout
        while not is_enough(self.records):
            assert time.monotonic() < deadline, {name: len(found) for name, found in self.records.items()}
            await asyncio.to_thread(self._read)
        return self.records

    async def read_count(self, name: str, count: int, timeout: float = 20) -> list[dict[str, Any]]:
        """Read until there are so many records of a topic."""
        records = await self.read_until(lambda records: len(records[name]) >= count, timeout)
        return records[name]
