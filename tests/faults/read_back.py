"""What is in Kafka after a fault."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException

from lsst.ts.mtmount import RAW_TELEMETRY_MAP
from lsst.ts.mtmount.sal import KafkaSettings
from lsst.ts.mtmount.tools.reader.record_reader import RecordReader

#: How long to wait for the next record, and for a broker that was just started [s].
TIME_LIMIT = 60.0


@dataclass
class ReadBack:
    """The records of the TMA's topics, as an independent reader finds them.

    Parameters
    ----------
    unique : `collections.Counter` [`int`]
        Different records by topic ID; one is known by process and sequence number.
    num_duplicated : `int`
        Records found again.
    num_late : `int`
        Records behind one of a higher sequence number of the same process.
    stamps : `list` [`float`]
        Times of writing in the order of the partition, by topic ID [TAI unix s].
    """

    unique: Counter[int] = field(default_factory=Counter)
    num_duplicated: int = 0
    num_late: int = 0
    stamps: dict[int, list[float]] = field(default_factory=dict)

    @property
    def num_unique(self) -> int:
        """Different records, over all topics."""
        return self.unique.total()


def read_back(environment: Mapping[str, str]) -> ReadBack:
    """Read all that is in the TMA's topics now.

    Parameters
    ----------
    environment
        The variables that lead to Kafka and the registry.
    """
    settings = KafkaSettings.from_environment(environment)
    topic_ids = {
        f"lsst.{settings.subname}.MTMount.{sal_topic}": topic_id
        for topic_id, (sal_topic, _) in RAW_TELEMETRY_MAP.items()
    }
    found = ReadBack()
    seen: dict[int, set[tuple[int, int]]] = {topic_id: set() for topic_id in topic_ids.values()}
    last: dict[tuple[int, int], int] = {}
    configuration = settings.client_configuration()
    with RecordReader(
        settings.broker_addr, settings.registry_url, topic_ids, configuration=configuration
    ) as reader:
        num_left = count_records(reader)
        while num_left > 0:
            received = reader.read(TIME_LIMIT)
            assert received, f"{num_left} records did not come"
            num_left -= len(received)
            for record in received:
                topic_id = topic_ids[record.topic]
                origin, seq_num = record.record["private_origin"], record.record["private_seqNum"]
                is_new = (origin, seq_num) not in seen[topic_id]
                found.num_duplicated += not is_new
                found.num_late += is_new and seq_num < last.get((topic_id, origin), 0)
                seen[topic_id].add((origin, seq_num))
                last[topic_id, origin] = max(seq_num, last.get((topic_id, origin), 0))
                found.stamps.setdefault(topic_id, []).append(record.record["private_sndStamp"])
        assert not reader.missed, reader.missed
    found.unique.update({topic_id: len(numbers) for topic_id, numbers in seen.items() if numbers})
    return found


def count_records(reader: RecordReader) -> int:
    """Ask how many records there are; a broker that was just started may not know at once."""
    deadline = time.monotonic() + TIME_LIMIT
    while True:
        try:
            return sum(reader.find_ends().values())
        except KafkaException as error:
            is_starting = error.args[0].code() in (
                KafkaError.NOT_LEADER_FOR_PARTITION,
                KafkaError.LEADER_NOT_AVAILABLE,
            )
            if not is_starting or time.monotonic() > deadline:
                raise
