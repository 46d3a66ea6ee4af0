"""An independent reader of what is published: Kafka, registry and fastavro.

It shares no code with the publisher, so that it can tell right from wrong.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import struct
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self, cast
from urllib.parse import unquote, urlsplit, urlunsplit

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

__all__ = ["DecodeError", "ReceivedRecord", "RecordDecoder", "RecordReader"]

LOG = logging.getLogger(__name__)

#: Confluent framing: byte 0, schema id (big-endian), then the Avro record.
FRAMING = struct.Struct(">bi")

#: SAL topics have one partition.
PARTITION = 0

#: Most records that are taken from Kafka's client at once.
MAX_BATCH = 10_000

#: Most that Kafka's client fetches in advance [bytes].
QUEUE_SIZE = 256 << 20

#: Longest answer of a registry [bytes].
MAX_SCHEMA_SIZE = 4 << 20

#: Upper bound for an answer of Kafka or the registry [s].
ANSWER_TIMEOUT = 10.0


class DecodeError(ValueError):
    """A message is not what a SAL message must be."""


class ReceivedRecord(NamedTuple):
    """A record that was read.

    Parameters
    ----------
    topic : `str`
        Kafka topic.
    record : `dict`
        The decoded record.
    kafka_timestamp : `float`
        Time stamp of the message: when it was given to its producer [UTC unix s].
    arrival_time : `float`
        When it was read [UTC unix s].
    offset : `int`
        Its number in the topic.
    key : `bytes` or `None`
        Key of the message.
    schema_id : `int`
        Id of its schema.
    """

    topic: str
    record: dict[str, Any]
    kafka_timestamp: float
    arrival_time: float
    offset: int
    key: bytes | None
    schema_id: int


class RecordDecoder:
    """Decodes messages by the schemas that they name.

    Parameters
    ----------
    registry_url : `str`
        URL of the schema registry. User name and password in it are used for
        HTTP basic authentication.
    timeout : `float`
        Upper bound for an answer of the registry [s].
    retry_interval : `float`
        For how long the registry is not asked again for what it did not give,
        or for anything if it could not be reached [s].
    """

    def __init__(
        self, registry_url: str, *, timeout: float = ANSWER_TIMEOUT, retry_interval: float = 0.0
    ) -> None:
        self._schemas = _SchemaSource(registry_url, timeout, retry_interval)

    def get_schema(self, schema_id: int) -> str:
        """Return the text of a schema, as the registry has it.

        Raises
        ------
        OSError
            If the registry cannot be reached, or does not know the schema.
        """
        return self._schemas.get_text(schema_id)

    def decode(self, message: Message, arrival_time: float) -> ReceivedRecord:
        """Decode a message.

        Parameters
        ----------
        message : `confluent_kafka.Message`
            A message without an error.
        arrival_time : `float`
            When it was read [UTC unix s].

        Raises
        ------
        DecodeError
            If the message is not what a SAL message must be.
        OSError
            If the registry cannot be reached, or does not know the schema.
        """
        topic, offset = _locate(message)
        value = message.value()
        if value is None or len(value) < FRAMING.size:
            raise DecodeError(f"{topic}: a message without Confluent framing")
        magic, schema_id = FRAMING.unpack_from(value)
        if magic != 0:
            raise DecodeError(f"{topic}: Confluent framing begins with {magic}")
        data = io.BytesIO(value)
        data.seek(FRAMING.size)
        try:
            record = cast(dict[str, Any], fastavro.schemaless_reader(data, self._schemas.get(schema_id)))
        except (EOFError, ValueError, IndexError) as error:
            raise DecodeError(f"{topic}: no record of schema {schema_id}: {error}") from error
        if data.tell() != len(value):
            raise DecodeError(f"{topic}: {len(value) - data.tell()} bytes after the record")
        _, timestamp_ms = message.timestamp()
        return ReceivedRecord(
            topic, record, timestamp_ms / 1000, arrival_time, offset, message.key(), schema_id
        )


class RecordReader:
    """Reads topics from their beginning, or what is new. A context manager.

    It belongs to no consumer group and commits nothing. Use it from one thread
    at a time.

    Parameters
    ----------
    bootstrap_servers : `str`
        Address of the broker.
    registry_url : `str`
        URL of the schema registry.
    topics : `Iterable` [`str`]
        Kafka topics, which must exist. Partition 0 is read.
    from_end : `bool`
        Read only what is written from now on?
    fetch_wait : `float`
        How long the broker may wait for news before it answers [s]. Kafka
        answers at once when there are some; the embedded broker only when
        this time is over.
    configuration : `Mapping` [`str`, `Any`], optional
        Further settings of the consumer, for security and the like.

    Attributes
    ----------
    counts : `collections.Counter` [`str`]
        Records read, by topic.
    missed : `collections.Counter` [`str`]
        Records that were gone before they could be read, by topic: gaps in
        the offsets. (In a topic that Kafka compacts, gaps are natural.)
    num_bytes : `int`
        Bytes read: the values, without keys.

    Raises
    ------
    LookupError
        If a topic does not exist.
    confluent_kafka.KafkaException
        If the broker cannot be reached.

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
        self.counts: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.num_bytes = 0
        self._topics = tuple(topics)
        self._decoder = RecordDecoder(registry_url)
        self._next_offsets = dict.fromkeys(self._topics, 0)
        self._consumer = Consumer(
            {
                **(configuration or {}),
                "bootstrap.servers": bootstrap_servers,
                # Consumers must name a group; without a subscription none is joined.
                "group.id": "lsst.ts.mtmount.tools.reader.record_reader",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": round(fetch_wait * 1000),
                # After a burst, Kafka's client would pause for 1 s, in which the
                # embedded broker may drop what was not read yet.
                "fetch.queue.backoff.ms": 5,
                "queued.max.messages.kbytes": QUEUE_SIZE // 1024,
            },
            logger=LOG,
        )
        try:
            self._check_topics()
            starts = dict.fromkeys(self._topics, OFFSET_BEGINNING)
            if from_end:
                starts = self._next_offsets = self.find_ends()
            self._consumer.assign(
                [TopicPartition(topic, PARTITION, offset) for topic, offset in starts.items()]
            )
        except BaseException:
            self._consumer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def read(self, wait: float) -> list[ReceivedRecord]:
        """Read and decode what there is.

        Parameters
        ----------
        wait : `float`
            How long to wait for the first record [s].

        Returns
        -------
        records : `list` [`ReceivedRecord`]
            In order for each topic; empty if there was none in time.

        Raises
        ------
        DecodeError
            If a message is not what a SAL message must be.
        confluent_kafka.KafkaException
            If Kafka reports an error.
        """
        messages = self.fetch(wait)
        arrival_time = time.time()
        return [self.decode(message, arrival_time) for message in messages]

    def count(self, wait: float) -> int:
        """Read what there is, only to count it. Return the number of records.

        Parameters
        ----------
        wait : `float`
            How long to wait for the first record [s].

        Raises
        ------
        confluent_kafka.KafkaException
            If Kafka reports an error.
        """
        return len(self.fetch(wait))

    def collect(self, num_records: int, time_limit: float) -> list[ReceivedRecord]:
        """Read and decode until there are at least so many records.

        Parameters
        ----------
        num_records : `int`
            Number of records.
        time_limit : `float`
            How long that may take [s].

        Raises
        ------
        TimeoutError
            If they do not come in time.
        """
        records: list[ReceivedRecord] = []
        deadline = time.monotonic() + time_limit
        while len(records) < num_records:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{len(records)} records instead of {num_records} in {time_limit} s")
            records += self.read(left)
        return records

    def fetch(self, wait: float) -> list[Message]:
        """Read what there is, to be decoded later.

        Parameters
        ----------
        wait : `float`
            How long to wait for the first message [s].

        Raises
        ------
        confluent_kafka.KafkaException
            If Kafka reports an error.
        """
        first = self._consumer.poll(wait)
        if first is None:
            return []
        # Waiting for more than the first would make all of them late.
        messages = [first, *self._consumer.consume(MAX_BATCH - 1, 0)]
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
            topic, offset = _locate(message)
            if gap := offset - self._next_offsets[topic]:
                self.missed[topic] += gap
            self._next_offsets[topic] = offset + 1
            self.counts[topic] += 1
            self.num_bytes += len(message)
        return messages

    def decode(self, message: Message, arrival_time: float) -> ReceivedRecord:
        """Decode a message; see `RecordDecoder.decode`."""
        return self._decoder.decode(message, arrival_time)

    @property
    def positions(self) -> dict[str, int]:
        """Offset of the record that comes next, by topic."""
        return dict(self._next_offsets)

    def get_schema(self, schema_id: int) -> str:
        """Return the text of a schema that a record names, as the registry has it."""
        return self._decoder.get_schema(schema_id)

    def find_ends(self) -> dict[str, int]:
        """Ask the broker how many records were ever written to each topic.

        Raises
        ------
        confluent_kafka.KafkaException
            If the broker does not answer.
        """
        ends = {}
        for topic in self._topics:
            _, ends[topic] = self._consumer.get_watermark_offsets(
                TopicPartition(topic, PARTITION), timeout=ANSWER_TIMEOUT, cached=False
            )
        return ends

    def _check_topics(self) -> None:
        existing = self._consumer.list_topics(timeout=ANSWER_TIMEOUT).topics
        if missing := [topic for topic in self._topics if topic not in existing]:
            raise LookupError(f"no such Kafka topics: {', '.join(missing)}")


def _locate(message: Message) -> tuple[str, int]:
    """Return topic and offset, which each message without an error has."""
    return cast(str, message.topic()), cast(int, message.offset())


class _SchemaSource:
    """Gets schemas by id from a registry, each once; see `RecordDecoder`."""

    def __init__(self, registry_url: str, timeout: float, retry_interval: float) -> None:
        parts = urlsplit(registry_url)
        self._url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
        self._authorization = ""
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._authorization = f"Basic {base64.b64encode(credentials).decode()}"
        self._timeout = timeout
        self._retry_interval = retry_interval
        self._texts: dict[int, str] = {}
        self._schemas: dict[int, Any] = {}
        # Why and until when not to ask: for a schema, or for all (None).
        self._failures: dict[int | None, tuple[float, str]] = {}
        # What proxies the environment names are for the world outside.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, schema_id: int) -> Any:
        """Return a schema as fastavro wants it.

        Raises
        ------
        OSError
            If the registry cannot be reached, or does not know the schema.
        """
        if schema_id not in self._schemas:
            self._schemas[schema_id] = fastavro.parse_schema(json.loads(self.get_text(schema_id)))
        return self._schemas[schema_id]

    def get_text(self, schema_id: int) -> str:
        """Return the text of a schema.

        Raises
        ------
        OSError
            If the registry cannot be reached, or does not know the schema.
        """
        if schema_id not in self._texts:
            self._refuse_after_failure(schema_id)
            try:
                self._texts[schema_id] = self._ask(schema_id)
            except urllib.error.HTTPError as error:
                error.close()
                self._note_failure(schema_id, str(error))
                raise
            except OSError as error:
                self._note_failure(None, str(error))
                raise
        return self._texts[schema_id]

    def _ask(self, schema_id: int) -> str:
        request = urllib.request.Request(f"{self._url}/schemas/ids/{schema_id}")
        if self._authorization:
            # For this registry alone, wherever it may send us.
            request.add_unredirected_header("Authorization", self._authorization)
        with self._opener.open(request, timeout=self._timeout) as response:
            return cast(str, json.loads(response.read(MAX_SCHEMA_SIZE))["schema"])

    def _refuse_after_failure(self, schema_id: int) -> None:
        now = time.monotonic()
        for key in (schema_id, None):
            until, reason = self._failures.get(key, (now, ""))
            if now < until:
                raise OSError(reason)

    def _note_failure(self, key: int | None, reason: str) -> None:
        now = time.monotonic()
        # Ids come from the network: there may be any number of them.
        self._failures = {key: failure for key, failure in self._failures.items() if now < failure[0]}
        self._failures[key] = now + self._retry_interval, reason
