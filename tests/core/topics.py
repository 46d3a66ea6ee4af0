"""Codecs, and their plain twins, of the packaged topics and of made-up ones."""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lsst.ts.mtmount.core import Record, TopicCodec, member_names
from lsst.ts.mtmount.sal.interface import TopicInfo, load_packaged_interface
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP

from ..oracle import TopicTwin

Fields = Sequence[tuple[str, str, int]]

REV_CODE = "0123abcd"
ORIGIN = 4242
STAMP = 1732400000.25
UTC = 1732399963.25

#: One field of each type, and arrays of some.
MIXED_FIELDS: Fields = [
    ("d", "double", 1),
    ("f", "float", 1),
    ("l", "long", 1),
    ("i", "int", 1),
    ("b", "boolean", 1),
    ("s", "string", 1),
    ("da", "double", 3),
    ("la", "long", 2),
    ("ba", "boolean", 2),
    ("unsent", "double", 2),
    ("timestamp", "double", 1),
]
MIXED_WIRE = {"d": 1, "f": 1, "l": 1, "i": 1, "b": 1, "da": 3, "la": 2, "ba": 2, "timestamp": 1}
MIXED_ID = 99


def make_codec(
    topic_id: int,
    fields: Fields,
    wire: Mapping[str, int],
    schema_id: int | None = None,
    ignored: Collection[str] = (),
) -> TopicCodec:
    record = Record(fields, schema_id=schema_id, rev_code=REV_CODE, origin=ORIGIN)
    members = {
        member: (name, index)
        for name, count in wire.items()
        if name in record.field_names
        for index, member in enumerate(member_names(name, count))
    }
    return TopicCodec(topic_id, f"lsst.test.MTMount.topic{topic_id}", record, members, ignored)


@cache
def packaged_topics() -> Mapping[str, TopicInfo]:
    return load_packaged_interface().topics


@cache
def packaged_fields(topic_id: int) -> tuple[tuple[str, str, int], ...]:
    name = RAW_TELEMETRY_MAP[topic_id][0]
    fields = packaged_topics()[f"tel_{name}"].record_fields()
    return tuple((name, avro_type, count) for name, avro_type, count, _ in fields)


def packaged_codec(topic_id: int, schema_id: int | None = None) -> TopicCodec:
    return make_codec(topic_id, packaged_fields(topic_id), RAW_TELEMETRY_MAP[topic_id][1], schema_id)


def packaged_twin(topic_id: int) -> TopicTwin:
    return TopicTwin(topic_id, packaged_fields(topic_id), RAW_TELEMETRY_MAP[topic_id][1])


def mixed_codec() -> TopicCodec:
    return make_codec(MIXED_ID, MIXED_FIELDS, MIXED_WIRE)


def mixed_twin() -> TopicTwin:
    return TopicTwin(MIXED_ID, MIXED_FIELDS, MIXED_WIRE)


def mixed_data(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"topicID": MIXED_ID, "d": 1.5, "f": 0.5, "l": 7, "i": -3, "b": True}
    data |= {"da1": 0.1, "da2": 0.2, "da3": 0.3, "la1": 1, "la2": -2, "ba1": False, "ba2": 1}
    data["timestamp"] = 1732400000.123456
    return data | changes


def mixed_frame(**changes: Any) -> bytes:
    """A frame of the mixed topic; a str as a change is JSON text."""
    return b"{%s}" % b", ".join(
        json.dumps(name).encode()
        + b": "
        + (value.encode() if isinstance(value, str) else json.dumps(value).encode())
        for name, value in mixed_data(**changes).items()
    )


@cache
def golden_records() -> tuple[dict[str, Any], ...]:
    path = Path(__file__).parent.parent / "data" / "golden_records.jsonl"
    return tuple(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
