"""The load test's plain pipeline on the benchmarks' frames, and the same with typed structures."""

import asyncio
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

import fastavro
import msgspec
from tests.core.topics import ORIGIN, REV_CODE, packaged_topics

from lsst.ts.mtmount.constants import LINE_TERMINATOR, MAX_FRAME_LENGTH
from lsst.ts.mtmount.core import member_names
from lsst.ts.mtmount.sal import TaiClock, TopicInfo
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP
from lsst.ts.mtmount.tools.load_test.plain_pipeline import PlainPipeline, PlainTopic

from .mix import SCHEMA_ID, read_topic_id
from .stand_ins import ignore_delivery

__all__ = [
    "SUBNAME",
    "Produce",
    "ProducingPipeline",
    "TypedPipeline",
    "decode_message",
    "make_plain_topic",
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

#: Of a message, before the record: a zero byte and the schema id [bytes].
HEAD_SIZE = 5

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


def make_plain_topic(topic_id: int, schema_id: int = SCHEMA_ID, *, is_struct: bool = False) -> PlainTopic:
    """Make a topic of the load test's plain pipeline; its decoded frames are dicts, or structures."""
    getter = attrgetter if is_struct else itemgetter
    topic = PlainTopic(topic_info(topic_id), wire_members(topic_id), SUBNAME, getter)
    topic.start(schema_id, REV_CODE)
    topic.record["private_origin"] = ORIGIN
    return topic


def decode_message(topic: PlainTopic, message: bytes) -> dict[str, Any]:
    """Decode the record of a Kafka message."""
    record = fastavro.schemaless_reader(io.BytesIO(message[HEAD_SIZE:]), topic.schema, None)
    assert isinstance(record, dict)
    return record


class ProducingPipeline(PlainPipeline):
    """The load test's plain pipeline for some topics, and a producer.

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
        super().__init__({i: make_plain_topic(i, ids.get(i, SCHEMA_ID)) for i in set(topic_ids)}, decode)

    def take_frame(self, frame: bytes, produce: Produce) -> None:
        """Publish a frame of a known topic."""
        message = self.encode_frame(frame)
        assert message is not None
        produce(*message, b"", 0, ignore_delivery)


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
                make_plain_topic(topic_id, is_struct=True),
            )
            for topic_id in set(topic_ids)
        }
        self._clock = TaiClock()

    def take_frame(self, frame: bytes, produce: Produce) -> None:
        """Publish a frame."""
        decode, topic = self.topics[read_topic_id(frame)]
        topic.gather(decode(frame))
        tai = self._clock.now()
        produce(
            topic.kafka_topic, topic.encode(tai, tai - self._clock.tai_minus_utc), b"", 0, ignore_delivery
        )


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
