"""The prepared Avro record, against fastavro."""

import io
import json
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import fastavro
import numpy as np
import pytest

from lsst.ts.mtmount.core import Record

from ..oracle import avro_schema
from .topics import MIXED_FIELDS, ORIGIN, REV_CODE, STAMP, UTC


def make_record(schema_id: int | None = None) -> Record:
    return Record(MIXED_FIELDS, schema_id=schema_id, rev_code=REV_CODE, origin=ORIGIN)


def decode(message: bytes, fields: Any = MIXED_FIELDS) -> dict[str, Any]:
    source = io.BytesIO(message)
    data = fastavro.schemaless_reader(source, avro_schema(fields), None)
    assert source.read() == b""
    assert isinstance(data, dict)
    return data


def test_new_record_is_all_zero() -> None:
    data = decode(make_record().encode(STAMP, UTC))
    private = {name: value for name, value in data.items() if name.startswith("private_")}
    assert private == {
        "private_sndStamp": STAMP,
        "private_rcvStamp": 0,
        "private_efdStamp": UTC,
        "private_kafkaStamp": STAMP,
        "private_seqNum": 1,
        "private_revCode": REV_CODE,
        "private_identity": "MTMount",
        "private_origin": ORIGIN,
    }
    assert (data["d"], data["l"], data["b"], data["s"]) == (0.0, 0, False, "")
    assert (data["da"], data["ba"]) == ([0.0] * 3, [False] * 2)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("d", 1, 1.0),
        ("d", -0.0, -0.0),
        ("d", math.inf, math.inf),
        ("d", True, 1.0),
        ("d", np.float32(0.5), 0.5),
        ("f", 0.1, float(np.float32(0.1))),
        ("f", 1e300, math.inf),
        ("l", 2**63 - 1, 2**63 - 1),
        ("l", -(2**63), -(2**63)),
        ("l", -1.9, -1),
        ("l", np.int32(-5), -5),
        ("l", np.float64(6.7), 6),
        ("i", 2**31 - 1, 2**31 - 1),
        ("i", -(2**31), -(2**31)),
        ("i", True, 1),
        ("b", 2, True),
        ("b", math.nan, True),
        ("b", 0.0, False),
        ("b", np.True_, True),
        ("s", "é\u20ac\U0001f52d" * 50, "é\u20ac\U0001f52d" * 50),
        ("da", (1, 2.5, np.float64(3)), [1.0, 2.5, 3.0]),
        ("da", np.array([1, 2, 3]), [1.0, 2.0, 3.0]),
        ("la", [64, -65], [64, -65]),
        ("ba", [1, 0], [True, False]),
    ],
)
def test_set_and_encode(name: str, value: Any, expected: Any) -> None:
    record = make_record()
    zero = record.get_field(name)
    assert record.set_field(name, value) == (zero != expected)
    assert not record.set_field(name, value)
    assert record.get_field(name) == expected
    assert record.values()[name] == expected
    data = decode(record.encode(STAMP, UTC))
    assert data[name] == expected
    assert math.copysign(1, data["d"]) == math.copysign(1, record.get_field("d"))


@pytest.mark.parametrize(
    "value", [-(2**63), -(2**31), -65, -64, -1, 0, 1, 63, 64, 8191, 8192, 2**31, 2**63 - 1]
)
def test_integers_of_every_length(value: int) -> None:
    record = make_record()
    record.set_field("la", [value, value])
    assert decode(record.encode(STAMP, UTC))["la"] == [value, value]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("d", "1", TypeError),
        ("d", [1.0], TypeError),
        ("d", 10**400, OverflowError),
        ("f", b"1", TypeError),
        ("l", 2**63, OverflowError),
        ("l", 1e19, OverflowError),
        ("l", math.nan, ValueError),
        ("l", math.inf, OverflowError),
        ("l", "1", TypeError),
        ("i", 2**31, OverflowError),
        ("i", None.__class__, TypeError),
        ("b", "", TypeError),
        ("b", [], TypeError),
        ("s", 1, TypeError),
        ("s", "\ud800", ValueError),
        ("da", [1, 2], ValueError),
        ("da", "123", TypeError),
        ("da", [1, None, 3], TypeError),
        ("da", 5, TypeError),
    ],
)
def test_bad_value_changes_nothing(name: str, value: Any, error: type[Exception]) -> None:
    record = make_record()
    record.set_fields({"d": 1.5, "da": [1, 2, 3], "s": "text", "l": 5})
    before = record.values()
    with pytest.raises(error, match=name):
        record.set_fields({"timestamp": 99.0, "s": "other", name: value} if name != "s" else {name: value})
    assert record.values() == before
    assert record.set_field("timestamp", 2.0)
    assert record.values() == before | {"timestamp": 2.0}


def test_unknown_field() -> None:
    record = make_record()
    with pytest.raises(AttributeError, match="nothing"):
        record.set_fields({"d": 1, "nothing": 2})
    assert record.get_field("d") == 0
    with pytest.raises(AttributeError):
        record.get_field("nothing")


def test_none_leaves_and_nan_equals_nan() -> None:
    record = make_record()
    assert record.set_fields({"d": math.nan, "da": [1, math.nan, 2]})
    assert not record.set_fields({"d": math.nan, "da": [1, math.nan, 2], "l": None, "s": None})
    assert math.isnan(record.get_field("d"))


def test_sequence_numbers() -> None:
    record = make_record()
    assert record.seq_num == 0
    for expected in (1, 2, 3):
        assert decode(record.encode(STAMP, UTC))["private_seqNum"] == expected
    record.seq_num = 2**31 - 2
    assert decode(record.encode(STAMP, UTC))["private_seqNum"] == 2**31 - 1
    assert decode(record.encode(STAMP, UTC))["private_seqNum"] == 1
    assert record.num_encoded == 5
    for bad in (-1, 2**31):
        with pytest.raises((ValueError, OverflowError)):
            record.seq_num = bad


def test_confluent_framing() -> None:
    message = make_record(schema_id=0x01020304).encode(STAMP, UTC)
    assert message[:5] == b"\0\1\2\3\4"
    assert message[5:] == make_record().encode(STAMP, UTC)


@pytest.mark.parametrize(
    "fields",
    [
        [("a", "double", 1), ("a", "double", 1)],
        [("a", "bytes", 1)],
        [("a", "double", 0)],
    ],
)
def test_bad_fields(fields: Any) -> None:
    with pytest.raises(ValueError, match="'a'"):
        Record(fields, schema_id=None, rev_code="", origin=0)


def test_record_without_own_fields() -> None:
    record = Record([], schema_id=None, rev_code=REV_CODE, origin=ORIGIN)
    assert decode(record.encode(STAMP, UTC), [])["private_seqNum"] == 1
    assert record.values() == {}


def test_array_of_one_element() -> None:
    fields = [("one", "double", 1, True), ("count", "int", 1, True), ("plain", "double", 1, False)]
    record = Record(fields, schema_id=None, rev_code=REV_CODE, origin=ORIGIN)
    assert record.values() == {"one": [0.0], "count": [0], "plain": 0.0}
    # As the TMA has it, and as an array.
    assert record.set_fields({"one": 1.5, "count": [7], "plain": 2.5})
    assert record.set_field("count", np.array([8]))
    source = io.BytesIO(record.encode(STAMP, UTC))
    schema = avro_schema([("one", "double", 2), ("count", "int", 2), ("plain", "double", 1)])
    data = fastavro.schemaless_reader(source, schema, None)
    assert source.read() == b""
    assert isinstance(data, dict)
    assert (data["one"], data["count"], data["plain"]) == ([1.5], [8], 2.5)
    for bad in ([1.0, 2.0], [], "1", b"1"):
        with pytest.raises((TypeError, ValueError), match="one"):
            record.set_field("one", bad)
    assert record.get_field("one") == [1.5]
    with pytest.raises(TypeError, match="plain"):
        record.set_field("plain", [1.0])


@pytest.mark.parametrize("make", [OrderedDict, MappingProxyType])
def test_any_mapping(make: Callable[[dict[str, float]], Mapping[str, float]]) -> None:
    record = make_record()
    assert record.set_fields(make({"d": 1.5, "l": 3}))
    assert (record.get_field("d"), record.get_field("l")) == (1.5, 3)


class OddNumber:
    """A number whose value cannot be told, by an error of more arguments than a text."""

    def __float__(self) -> float:
        return float(json.loads("x"))


def test_an_error_of_a_value_is_told_with_its_field() -> None:
    with pytest.raises(ValueError, match="field 'd': Expecting value") as caught:
        make_record().set_field("d", OddNumber())
    assert isinstance(caught.value.__cause__, json.JSONDecodeError)
