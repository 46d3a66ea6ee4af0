"""From a Kafka message to a SAL record."""

import io
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import fastavro
from confluent_kafka import Message

from ...resilience.escape import describe_error
from .record_schema import RecordSchema

__all__ = ["DecodeError", "ReceivedRecord", "decode_record", "locate", "read_schema_id"]

#: Confluent framing: byte 0, schema id (big-endian), then the Avro record.
FRAMING = struct.Struct(">bi")


class DecodeError(ValueError):
    """A message is not what a SAL message must be."""


class ReceivedRecord(NamedTuple):
    """A record that was read."""

    topic: str
    record: dict[str, Any]  #: The decoded record
    kafka_timestamp: float  #: Time stamp of the message: when it was given to its producer [UTC unix s]
    arrival_time: float  #: When it was read [UTC unix s]
    offset: int  #: Its number in the topic
    key: bytes | None
    schema_id: int  #: Id of its schema
    units: Mapping[str, str]  #: Units of the fields that have some
    is_earlier: bool = False  #: Was it written before the reader began?


def locate(message: Message) -> tuple[str, int]:
    """Return topic and offset, which each message without an error has."""
    return cast(str, message.topic()), cast(int, message.offset())


def read_schema_id(message: Message) -> int:
    """Return the id of the schema that a message names; `DecodeError` if it is not in Confluent framing."""
    value = message.value()
    if value is None or len(value) < FRAMING.size:
        size = "no value" if value is None else f"{len(value)} bytes"
        raise DecodeError(f"{message.topic()}: expected Confluent framing, got {size}")
    magic, schema_id = FRAMING.unpack_from(value)
    if magic != 0:
        raise DecodeError(f"{message.topic()}: expected 0 as first byte of Confluent framing, got {magic}")
    return cast(int, schema_id)


def decode_record(message: Message, schema: RecordSchema, arrival_time: float) -> ReceivedRecord:
    """Decode a message in Confluent framing, whose schema is known; `DecodeError` if it does not fit that."""
    topic, offset = locate(message)
    value = cast(bytes, message.value())
    _, schema_id = FRAMING.unpack_from(value)
    data = io.BytesIO(value)
    data.seek(FRAMING.size)
    try:
        record = cast(dict[str, Any], fastavro.schemaless_reader(data, schema.avro, None))
    except (EOFError, ValueError, IndexError, OverflowError, MemoryError) as error:
        raise DecodeError(
            f"{topic}: expected a record of schema {schema_id}, got: {describe_error(error)}"
        ) from error
    if data.tell() != len(value):
        num_more = len(value) - data.tell()
        raise DecodeError(f"{topic}: expected a record of schema {schema_id}, got {num_more} bytes after it")
    _, timestamp_ms = message.timestamp()
    return ReceivedRecord(
        topic, record, timestamp_ms / 1000, arrival_time, offset, message.key(), schema_id, schema.units
    )
