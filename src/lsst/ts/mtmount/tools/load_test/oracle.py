"""What a record must hold, worked out from its frame in a few slow lines.

This shares nothing with the client but the packaged tables, so that it can
tell right from wrong.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...sal.fields import FieldInfo

__all__ = ["TopicOracle", "find_difference"]

FLOAT = struct.Struct("<f")


def _round_to_float(value: Any) -> float:
    """Round to the nearest number of 32 bits."""
    rounded: float = FLOAT.unpack(FLOAT.pack(value))[0]
    return rounded


#: How a JSON value becomes one of an Avro type.
CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "boolean": bool,
    "int": int,
    "long": int,
    "float": _round_to_float,
    "double": float,
}

#: Values of fields that the TMA does not send.
ZEROS: Mapping[str, Any] = {
    "boolean": False,
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "string": "",
}


class TopicOracle:
    """Makes records of one topic from its frames.

    Parameters
    ----------
    sal_fields : `Iterable` [`FieldInfo`]
        The topic's own fields in the SAL interface.
    wire_fields : `Mapping` [`str`, `int`]
        Fields that the TMA sends: SAL name and number of elements.
    """

    def __init__(self, sal_fields: Iterable[FieldInfo], wire_fields: Mapping[str, int]) -> None:
        # Field, the wire members of its elements, and the conversion.
        self._scalars: list[tuple[str, str, Callable[[Any], Any]]] = []
        self._arrays: list[tuple[str, list[str], Callable[[Any], Any]]] = []
        self._constants: dict[str, Any] = {}
        for field in sal_fields:
            zero = ZEROS[field.avro_type]
            if field.name not in wire_fields:
                self._constants[field.name] = zero if field.count == 1 else [zero] * field.count
                continue
            convert, num_elements = CONVERSIONS[field.avro_type], wire_fields[field.name]
            if num_elements == 1:
                self._scalars.append((field.name, field.name, convert))
            else:
                self._arrays.append((field.name, _name_elements(field.name, num_elements), convert))

    def make_record(self, frame: Mapping[str, Any]) -> dict[str, Any]:
        """Make the record's own fields from a decoded frame."""
        record = dict(self._constants)
        for name, member, convert in self._scalars:
            record[name] = convert(frame[member])
        for name, members, convert in self._arrays:
            record[name] = [convert(frame[member]) for member in members]
        return record


def _name_elements(field: str, num_elements: int) -> list[str]:
    """Name the members of an array: the number comes last, but before ``Timestamp``."""
    suffix = "Timestamp" if field.endswith("Timestamp") else ""
    stem = field.removesuffix(suffix)
    return [f"{stem}{number}{suffix}" for number in range(1, num_elements + 1)]


def find_difference(expected: Mapping[str, Any], record: Mapping[str, Any]) -> str | None:
    """Find how a record differs from what it must be.

    Parameters
    ----------
    expected : `Mapping` [`str`, `Any`]
        The record's own fields as they must be.
    record : `Mapping` [`str`, `Any`]
        The record, with its private fields.

    Returns
    -------
    difference : `str` or `None`
        For people; None if there is none.
    """
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
