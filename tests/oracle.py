"""The plain pipeline: what a frame must become, in a few slow lines.

json.loads, a dict, and fastavro; the rules of the table of bad input are
applied one value at a time.
"""

import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import fastavro

from lsst.ts.mtmount.core import member_names

PRIVATE_FIELDS = [
    ("private_sndStamp", "double"),
    ("private_rcvStamp", "double"),
    ("private_efdStamp", "double"),
    ("private_kafkaStamp", "double"),
    ("private_seqNum", "int"),
    ("private_revCode", "string"),
    ("private_identity", "string"),
    ("private_origin", "int"),
]
RANGES = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


class BadFrameError(Exception):
    """The frame must be dropped."""


def avro_schema(fields: Sequence[tuple[str, str, int]]) -> dict[str, Any]:
    """Make the schema of a record with these own fields."""
    return {
        "type": "record",
        "name": "record",
        "fields": [{"name": name, "type": avro_type} for name, avro_type in PRIVATE_FIELDS]
        + [
            {
                "name": name,
                "type": avro_type if count == 1 else {"type": "array", "items": avro_type},
            }
            for name, avro_type, count in fields
        ],
    }


def zero(avro_type: str, count: int) -> Any:
    value = {"boolean": False, "string": "", "int": 0, "long": 0}.get(avro_type, 0.0)
    return value if count == 1 else [value] * count


def convert(value: Any, avro_type: str) -> Any:
    """Convert one value that is not None as the table of bad input says."""
    if isinstance(value, (str, list, dict)) or value is None or avro_type == "string":
        raise BadFrameError("type")
    try:
        if avro_type == "boolean":
            return value != 0
        if avro_type in ("double", "float"):
            return float(value)
        if not math.isfinite(value):
            raise BadFrameError("not finite")
        value = int(value)
    except OverflowError:
        raise BadFrameError("range") from None
    low, high = RANGES[avro_type]
    if not low <= value <= high:
        raise BadFrameError("range")
    return value


class PlainTopic:
    """One topic's state, changed by the plain rules."""

    def __init__(
        self, topic_id: int, fields: Sequence[tuple[str, str, int]], wire: Mapping[str, int]
    ) -> None:
        self.topic_id = topic_id
        self.fields = {name: (avro_type, count) for name, avro_type, count in fields}
        self.wire = {name: count for name, count in wire.items() if name in self.fields}
        self.values = {name: zero(avro_type, count) for name, avro_type, count in fields}
        self.schema = fastavro.parse_schema(avro_schema(fields))

    def decode_frame(self, frame: bytes) -> None:
        """Take a frame, or raise BadFrameError and leave the state alone."""
        try:
            data = json.loads(frame.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise BadFrameError(str(error)) from None
        if not isinstance(data, dict):
            raise BadFrameError("no object")
        topic_id = data.get("topicID")
        if isinstance(topic_id, bool) or not isinstance(topic_id, (int, float)) or topic_id != self.topic_id:
            raise BadFrameError("topicID")
        new: dict[str, Any] = {}
        for name, count in self.wire.items():
            avro_type = self.fields[name][0]
            members = member_names(name, count)
            if any(member not in data for member in members):
                raise BadFrameError("missing")
            if count > 1:
                new[name] = [convert(data[member], avro_type) for member in members]
            elif data[name] is not None:
                new[name] = convert(data[name], avro_type)
        self.values.update(new)

    def encode(self, stamp: float, utc: float, seq_num: int, rev_code: str, origin: int) -> bytes:
        """Encode the state as one Avro record."""
        record = dict(
            self.values,
            private_sndStamp=stamp,
            private_rcvStamp=0.0,
            private_efdStamp=utc,
            private_kafkaStamp=stamp,
            private_seqNum=seq_num,
            private_revCode=rev_code,
            private_identity="MTMount",
            private_origin=origin,
        )
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.schema, record)
        return out.getvalue()
