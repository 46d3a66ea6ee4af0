"""Records of topics from their beginning, or what is new, for who wants all of them."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaException, Message, TopicPartition

from .group_free_consumer import PARTITION, GroupFreeConsumer
from .record_decoder import DecodeError, ReceivedRecord, decode_record, locate, read_schema_id
from .record_schema import SchemaError
from .schema_source import SchemaSource

__all__ = ["RecordReader"]

LOG = logging.getLogger(__name__)

#: Most records that are taken from Kafka's client at once.
MAX_BATCH = 10_000

#: Most that Kafka's client fetches in advance [bytes].
QUEUE_SIZE = 256 << 20

#: Upper bound for an answer of Kafka [s].
ANSWER_TIMEOUT = 10.0


class RecordReader(GroupFreeConsumer):
    """Reads topics from their beginning, or with ``from_end`` what is written from now on.

    Of Kafka topics, partition 0 is read; `LookupError` if one does not exist. Use it from one thread
    at a time. All methods raise `confluent_kafka.KafkaException` if Kafka reports
    an error; those that decode raise `DecodeError` if a message is not what a SAL
    message must be, and `RegistryUnavailableError` if the registry does not give
    its schema. All times are in seconds; ``wait`` is for the first message.
    ``configuration`` holds further settings of the consumer, for security and the like.

    Notes
    -----
    With the embedded broker, from ``produce`` (``linger.ms`` 0) to `read`, at the
    TMA's full rate: 1.7 ms at the median and 5 ms at the 99th percentile with a
    ``fetch_wait`` of 1 ms; 3 and 8 ms with 5 ms; 6 and 13 ms with 10 ms.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        registry_url: str,
        topics: Iterable[str],
        *,
        from_end: bool = False,
        fetch_wait: float = 0.001,
        configuration: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            {**(configuration or {}), "bootstrap.servers": bootstrap_servers},
            SchemaSource(registry_url),
            LOG,
            fetch_wait=fetch_wait,
            queue_size=QUEUE_SIZE,
            max_batch=MAX_BATCH,
        )
        #: Records that were gone before they could be read, by topic: gaps in the offsets. (In a topic that
        #: Kafka compacts, gaps are natural.)
        self.missed: Counter[str] = Counter()
        self._topics = tuple(topics)
        self._next_offsets = dict.fromkeys(self._topics, 0)
        try:
            existing = self._consumer.list_topics(timeout=ANSWER_TIMEOUT).topics
            if missing := [topic for topic in self._topics if topic not in existing]:
                raise LookupError(f"no such Kafka topics: {', '.join(missing)}")
            starts = dict.fromkeys(self._topics, OFFSET_BEGINNING)
            if from_end:
                starts = self._next_offsets = self.find_ends()
            self._consumer.assign(
                [TopicPartition(topic, PARTITION, offset) for topic, offset in starts.items()]
            )
        except BaseException:
            self.close()
            raise

    def read(self, wait: float) -> list[ReceivedRecord]:
        """Read and decode what there is: in order for each topic, nothing if there was none in time."""
        messages = self.fetch(wait)
        arrival_time = time.time()
        return [self.decode(message, arrival_time) for message in messages]

    def collect(self, num_records: int, time_limit: float) -> list[ReceivedRecord]:
        """Read and decode until there are at least this many records; `TimeoutError` if they do not come."""
        records: list[ReceivedRecord] = []
        deadline = time.monotonic() + time_limit
        while len(records) < num_records:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"expected {num_records} records in {time_limit} s, got {len(records)}")
            records += self.read(left)
        return records

    def fetch(self, wait: float) -> list[Message]:
        """Read what there is, to be decoded later."""
        messages = self._poll(wait)
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
            topic, offset = locate(message)
            if gap := offset - self._next_offsets[topic]:
                self.missed[topic] += gap
            self._next_offsets[topic] = offset + 1
        return messages

    def decode(self, message: Message, arrival_time: float) -> ReceivedRecord:
        """Decode a message that was fetched."""
        try:
            return decode_record(message, self._schemas.get(read_schema_id(message)), arrival_time)
        except SchemaError as error:
            raise DecodeError(f"{message.topic()}: {error}") from None

    @property
    def positions(self) -> dict[str, int]:
        """Offset of the record that comes next, by topic."""
        return dict(self._next_offsets)

    def get_schema(self, schema_id: int) -> str:
        """Return the text of a schema that a record names, as the registry has it."""
        return self._schemas.get(schema_id).text

    def find_ends(self) -> dict[str, int]:
        """Ask the broker how many records were ever written to each topic."""
        ends = {}
        for topic in self._topics:
            _, ends[topic] = self._consumer.get_watermark_offsets(
                TopicPartition(topic, PARTITION), timeout=ANSWER_TIMEOUT, cached=False
            )
        return ends
