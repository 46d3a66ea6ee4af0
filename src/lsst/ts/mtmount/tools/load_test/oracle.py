"""What a record must hold, worked out from its frame in a few slow lines.

This shares nothing with the client but the descriptions of the two interfaces,
so that it can tell right from wrong.
"""

import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...sal.fields import FieldInfo

__all__ = ["InvalidFrameError", "TopicOracle", "decode_frame", "find_difference"]

FLOAT = struct.Struct("<f")


class InvalidFrameError(ValueError):
    """A frame that no record can be made of."""


def decode_frame(frame: bytes) -> tuple[int, dict[str, Any]]:
    """Decode a frame as the standard library does: its topic ID, and all members.

    `InvalidFrameError` if it is not a JSON object with a topic ID.
    """
    try:
        members = json.loads(frame.decode())
        topic_id = members["topicID"]
        is_valid = type(topic_id) in (int, float) and int(topic_id) == topic_id
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        raise InvalidFrameError(repr(error)) from None
    if not is_valid or not isinstance(members, dict):
        raise InvalidFrameError(f"expected an integer for topicID, got {topic_id!r}")
    return int(topic_id), members


def _round_to_float(value: float) -> float:
    """Round to the nearest number of 32 bits."""
    return float(FLOAT.unpack(FLOAT.pack(value))[0])


def _make_integer(num_bits: int) -> Callable[[float], int]:
    limit = 1 << (num_bits - 1)

    def convert(value: float) -> int:
        number = int(value)
        if not -limit <= number < limit:
            raise OverflowError(f"expected an integer of {num_bits} bits, got {number}")
        return number

    return convert


#: How a JSON number or boolean becomes a value of an Avro type.
CONVERSIONS: Mapping[str, Callable[[float], Any]] = {
    "boolean": bool,
    "int": _make_integer(32),
    "long": _make_integer(64),
    "float": _round_to_float,
    "double": float,
}

NUMBERS = (int, float, bool)


class TopicOracle:
    """Makes records of one topic from its frames, in the order of the frames.

    ``sent_fields`` are those that the TMA sends: SAL name, and the members of its elements.
    """

    def __init__(self, sal_fields: Iterable[FieldInfo], sent_fields: Mapping[str, Sequence[str]]) -> None:
        # Field, the wire members of its elements, and the conversion.
        self._scalars: list[tuple[str, str, Callable[[float], Any]]] = []
        self._arrays: list[tuple[str, Sequence[str], Callable[[float], Any]]] = []
        # Values of the last record: what a frame has no value for stays.
        self._values: dict[str, Any] = {}
        for field in sal_fields:
            # For what the TMA does not send.
            self._values[field.name] = field.default
            members = sent_fields.get(field.name, ())
            convert = CONVERSIONS.get(field.avro_type)
            if not members or convert is None:
                continue
            if field.count > 1:
                self._arrays.append((field.name, members, convert))
            elif len(members) == 1:
                self._scalars.append((field.name, members[0], convert))

    def make_record(self, frame: Mapping[str, Any]) -> dict[str, Any]:
        """Make the record's own fields from a decoded frame.

        `InvalidFrameError` if a member is missing, or its value does not fit its field.
        """
        record = dict(self._values)
        try:
            for name, member, convert in self._scalars:
                # A scalar null leaves the value as it was.
                if (value := frame[member]) is not None:
                    record[name] = convert(_check_number(value))
            for name, members, convert in self._arrays:
                record[name] = [convert(_check_number(frame[member])) for member in members]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InvalidFrameError(repr(error)) from None
        self._values = record
        return dict(record)


def _check_number(value: Any) -> float:
    """Return the value if it is a number or a boolean; raise TypeError if it is not."""
    if type(value) not in NUMBERS:
        raise TypeError(f"expected a number, got {value!r}")
    number: float = value
    return number


def find_difference(expected: Mapping[str, Any], record: Mapping[str, Any]) -> str | None:
    """Tell how a record differs from what its own fields must be; None if it does not."""
    own = {name: value for name, value in record.items() if not name.startswith("private_")}
    if own == expected:
        return None
    if missing := expected.keys() - own.keys():
        return f"lacks {', '.join(sorted(missing))}"
    if extra := own.keys() - expected.keys():
        return f"also has {', '.join(sorted(extra))}"
    for name, value in expected.items():
        if not _are_same(own[name], value):
            return f"{name} is {own[name]!r} instead of {value!r}"
    return None


def _are_same(value: Any, expected: Any) -> bool:
    """Tell whether two values are the same; NaN is the same as NaN."""
    if isinstance(expected, list):
        return len(value) == len(expected) and all(map(_are_same, value, expected))
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(value, float) and math.isnan(value)
    return bool(value == expected)
