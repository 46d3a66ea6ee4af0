"""What tests read of what a client publishes, by SAL name."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from lsst.ts.mtmount.tools.reader.record_reader import RecordReader

Records = dict[str, list[dict[str, Any]]]


class KafkaReader:
    """Reads topics from their start.

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
        topics = [prefix + name for name in sal_names]
        self._reader = RecordReader(bootstrap_servers, registry_url, topics, fetch_wait=0.01)

    def close(self) -> None:
        self._reader.close()

    def _read(self) -> None:
        for message in self._reader.fetch(0.1):
            received = self._reader.decode(message, time.time())
            value = message.value()
            assert value is not None
            name = received.topic.removeprefix(self._prefix)
            self.records[name].append(received.record)
            self.values[name].append(value)
            self.keys[name].add(received.key)

    async def read_until(self, is_enough: Callable[[Records], bool], timeout: float = 60) -> Records:
        """Read until the records are enough, or fail."""
        deadline = time.monotonic() + timeout
        while not is_enough(self.records):
            assert time.monotonic() < deadline, {name: len(found) for name, found in self.records.items()}
            await asyncio.to_thread(self._read)
        return self.records

    async def read_count(self, name: str, count: int, timeout: float = 60) -> list[dict[str, Any]]:
        """Read until there are so many records of a topic."""
        records = await self.read_until(lambda records: len(records[name]) >= count, timeout)
        return records[name]
