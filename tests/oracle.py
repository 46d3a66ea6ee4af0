"""The plain pipeline: what a frame must become, in a few slow lines.

json.loads, a dict, and fastavro; the rules of the table of bad input are
applied one value at a time.
"""

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any

import fastavro

from lsst.ts.mtmount.core import DropReason, member_names

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
#: Objects and arrays open at once, the frame itself included.
MAX_NESTING = 512
RANGES = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


#: What is wrong with a frame: a reason, and the wire member that it concerns.
Problem = tuple[DropReason, str | None]


class BadFrameError(Exception):
    """The frame must be dropped, for any one of its problems."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = frozenset(problems)


class BadValueError(Exception):
    """The value of a wire member cannot become that of its field."""


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


@cache
def parse_record_schema(fields: tuple[tuple[str, str, int], ...]) -> Any:
    """Prepare `avro_schema` for fastavro."""
    return fastavro.parse_schema(avro_schema(fields))


def zero(avro_type: str, count: int) -> Any:
    value = {"boolean": False, "string": "", "int": 0, "long": 0}.get(avro_type, 0.0)
    return value if count == 1 else [value] * count


def convert(value: Any, avro_type: str) -> Any:
    """Convert one value that is not None as the table of bad input says."""
    if isinstance(value, (str, list, dict)) or value is None or avro_type == "string":
        raise BadValueError("type")
    try:
        if avro_type == "boolean":
            return value != 0
        if avro_type in ("double", "float"):
            return float(value)
        if not math.isfinite(value):
            raise BadValueError("not finite")
        value = int(value)
    except OverflowError:
        raise BadValueError("range") from None
    low, high = RANGES[avro_type]
    if not low <= value <= high:
        raise BadValueError("range")
    return value


def load_object(frame: bytes) -> dict[str, Any]:
    """Load a frame as JSON, or raise BadFrameError if it is no object nested at most MAX_NESTING deep."""
    try:
        text = frame.decode("utf-8")
    except UnicodeDecodeError:
        raise BadFrameError((DropReason.NOT_UTF8, None)) from None
    # Most frames have few brackets: no need to look at these one by one.
    may_be_deep = text.count("[") + text.count("{") > MAX_NESTING
    try:
        data = json.loads(text)
    except RecursionError:
        raise BadFrameError((DropReason.NESTING, None)) from None
    except ValueError:
        problems: list[Problem] = [(DropReason.NOT_JSON, None)]
        if may_be_deep:
            # Who reads on finds the error first, who stops there the nesting.
            problems.append((DropReason.NESTING, None))
        raise BadFrameError(*problems) from None
    if may_be_deep and nesting(text) > MAX_NESTING:
        raise BadFrameError((DropReason.NESTING, None))
    if not isinstance(data, dict):
        raise BadFrameError((DropReason.NOT_OBJECT, None))
    return data


def nesting(text: str) -> int:
    """Return how many objects and arrays of a JSON text are open at once, at most."""
    brackets = re.sub(r'"(\\.|[^"\\])*"|[^\[\]{}]', "", text)
    return max(accumulate(1 if bracket in "[{" else -1 for bracket in brackets), default=0)


class TopicTwin:
    """One topic's state, changed by the plain rules."""

    def __init__(
        self,
        topic_id: int,
        fields: Sequence[tuple[str, str, int]],
        wire: Mapping[str, int],
        *,
        accept_incomplete: bool = False,
    ) -> None:
        self.topic_id = topic_id
        self.accept_incomplete = accept_incomplete
        self.fields = {name: (avro_type, count) for name, avro_type, count in fields}
        self.wire = {name: count for name, count in wire.items() if name in self.fields}
        self.values = {name: zero(avro_type, count) for name, avro_type, count in fields}
        self.schema = parse_record_schema(tuple(fields))

    def load(self, frame: bytes) -> dict[str, Any]:
        """Load a frame that must be of this topic."""
        data = load_object(frame)
        topic_id = data.get("topicID")
        if isinstance(topic_id, bool) or not isinstance(topic_id, (int, float)) or topic_id != self.topic_id:
            raise BadFrameError((DropReason.TOPIC_ID, None))
        return data

    def decode_frame(self, frame: bytes) -> None:
        """Take a frame, or raise BadFrameError and leave the state alone."""
        data = self.load(frame)
        new: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, count in self.wire.items():
            avro_type = self.fields[name][0]
            elements = []
            for i, member in enumerate(member_names(name, count)):
                if member not in data and self.accept_incomplete:
                    if count > 1:
                        elements.append(self.values[name][i])
                elif member not in data:
                    problems.append((DropReason.MISSING_FIELD, member))
                elif count > 1 or data[member] is not None:
                    try:
                        elements.append(convert(data[member], avro_type))
                    except BadValueError:
                        problems.append((DropReason.BAD_VALUE, member))
            if elements:
                new[name] = elements if count > 1 else elements[0]
        if problems:
            raise BadFrameError(*problems)
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
