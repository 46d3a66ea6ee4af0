"""The work of the core in plain Python: a dict for each frame, fastavro for each record."""

import asyncio
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

import fastavro
import msgspec
from tests.core.topics import ORIGIN, REV_CODE, packaged_topics

from lsst.ts.mtmount.constants import LINE_TERMINATOR, MAX_FRAME_LENGTH
from lsst.ts.mtmount.core import member_names
from lsst.ts.mtmount.sal import TopicInfo
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP

from .mix import SCHEMA_ID, read_topic_id
from .stand_ins import ignore_delivery

__all__ = [
    "SUBNAME",
    "PlainPipeline",
    "PlainTopic",
    "Produce",
    "TypedPipeline",
    "make_struct",
    "read_frames",
    "split_frames",
    "topic_info",
    "wire_members",
]

#: As `confluent_kafka.Producer.produce`.
Produce: TypeAlias = Callable[[str, bytes, bytes, int, Any], object]

#: Name space of the Kafka topics.
SUBNAME = "bench"

#: TAI - UTC [s].
TAI_MINUS_UTC = 37.0

PYTHON_TYPES = {"boolean": bool, "int": int, "long": int, "float": float, "double": float}


def topic_info(topic_id: int) -> TopicInfo:
    """Return the SAL topic of a topic ID."""
    return packaged_topics()[f"tel_{RAW_TELEMETRY_MAP[topic_id][0]}"]


@cache
def wire_members(topic_id: int) -> dict[str, tuple[str, ...]]:
    """Return the names of a topic's wire members, by SAL field."""
    return {field: member_names(field, count) for field, count in RAW_TELEMETRY_MAP[topic_id][1].items()}


@cache
def make_struct(topic_id: int) -> type[msgspec.Struct]:
    """Make the typed structure that msgspec decodes a topic's frames into."""
    types = {field.name: PYTHON_TYPES[field.avro_type] for field in topic_info(topic_id).fields}
    members = [(name, types[field]) for field, names in wire_members(topic_id).items() for name in names]
    return msgspec.defstruct(f"Topic{topic_id}", [("topicID", int), *members])


class PlainTopic:
    """One topic's record, and its encoding.

    Parameters
    ----------
    topic_id : `int`
        The topic's ID on the wire.
    schema_id : `int`
        Id of its schema.
    is_struct : `bool`
        Are decoded frames structures? Else they are dicts.
    """

    def __init__(self, topic_id: int, schema_id: int = SCHEMA_ID, *, is_struct: bool = False) -> None:
        info = topic_info(topic_id)
        getter: Callable[..., Callable[[Any], Any]] = attrgetter if is_struct else itemgetter
        self.kafka_topic = info.kafka_topic(SUBNAME)
        self.schema = fastavro.parse_schema(info.avro_schema())
        self.record = {field.name: field.default for field in info.private_fields + info.fields}
        self.record |= {
            "private_revCode": REV_CODE,
            "private_identity": "MTMount",
            "private_origin": ORIGIN,
        }
        # A getter of one name returns the value, one of several a tuple.
        self._getters = [(field, getter(*names)) for field, names in wire_members(topic_id).items()]
        self._seq_num = 0
        self._prefix = b"\0" + schema_id.to_bytes(4, "big")

    def gather(self, data: Mapping[str, Any] | msgspec.Struct) -> None:
        """Take the values of a decoded frame."""
        record = self.record
        for field, get in self._getters:
            record[field] = get(data)

    def stamp(self, tai: float, utc: float) -> dict[str, Any]:
        """Fill in the stamps and the next sequence number; return the whole record."""
        self._seq_num += 1
        record = self.record
        record["private_sndStamp"] = record["private_kafkaStamp"] = tai
        record["private_efdStamp"] = utc
        record["private_seqNum"] = self._seq_num
        return record

    def encode(self, tai: float, utc: float) -> bytes:
        """Write the record as the value of a Kafka message."""
        out = io.BytesIO()
        out.write(self._prefix)
        fastavro.schemaless_writer(out, self.schema, self.stamp(tai, utc))
        return out.getvalue()

    def decode(self, message: bytes) -> dict[str, Any]:
        """Read the record of a Kafka message."""
        record = fastavro.schemaless_reader(io.BytesIO(message[len(self._prefix) :]), self.schema, None)
        assert isinstance(record, dict)
        return record

    def produce(self, produce: Produce) -> None:
        """Hand the record to a producer."""
        now = time.time()
        produce(self.kafka_topic, self.encode(now + TAI_MINUS_UTC, now), b"", 0, ignore_delivery)


class PlainPipeline:
    """Frame by frame: decode, look the topic up, gather, encode, produce.

    Parameters
    ----------
    topic_ids : `Iterable` [`int`]
        Topics to get ready for.
    decode : callable
        Decodes a frame into a dict.
    schema_ids : `Mapping` [`int`, `int`], optional
        Schema ids by topic ID.
    """

    def __init__(
        self,
        topic_ids: Iterable[int],
        decode: Callable[[bytes], Any] = json.loads,
        schema_ids: Mapping[int, int] | None = None,
    ) -> None:
        ids = schema_ids or {}
        self.topics = {
            topic_id: PlainTopic(topic_id, ids.get(topic_id, SCHEMA_ID)) for topic_id in set(topic_ids)
        }
        self.decode = decode

    def take_frame(self, frame: bytes, produce: Produce) -> None:
        """Publish a frame."""
        data = self.decode(frame)
        topic = self.topics[data["topicID"]]
        topic.gather(data)
        topic.produce(produce)


class TypedPipeline:
    """The same with one typed structure a topic, which is chosen before the frame is decoded.

    Parameters
    ----------
    topic_ids : `Iterable` [`int`]
        Topics to get ready for.
    """

    def __init__(self, topic_ids: Iterable[int]) -> None:
        self.topics = {
            topic_id: (
                msgspec.json.Decoder(make_struct(topic_id)).decode,
                PlainTopic(topic_id, is_struct=True),
            )
            for topic_id in set(topic_ids)
        }

    def take_frame(self, frame: bytes, produce: Produce) -> None:
        """Publish a frame."""
        decode, topic = self.topics[read_topic_id(frame)]
        topic.gather(decode(frame))
        topic.produce(produce)


def split_frames(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Split chunks into frames, in the simplest fast way that Python has."""
    buffer = bytearray()
    for chunk in chunks:
        buffer.extend(chunk)
        start = 0
        while (end := buffer.find(LINE_TERMINATOR, start)) >= 0:
            yield bytes(buffer[start:end])
            start = end + len(LINE_TERMINATOR)
        del buffer[:start]


async def read_frames(
    chunks: Iterable[bytes], num_frames: int, take_frame: Callable[[bytes], object]
) -> None:
    """Read frames with asyncio's StreamReader, while chunks come in."""
    reader = asyncio.StreamReader(limit=MAX_FRAME_LENGTH)

    async def receive() -> None:
        for chunk in chunks:
            reader.feed_data(chunk)
            await asyncio.sleep(0)

    receiving = asyncio.create_task(receive())
    for _ in range(num_frames):
        frame = await reader.readuntil(LINE_TERMINATOR)
        take_frame(frame.removesuffix(LINE_TERMINATOR))
    await receiving
