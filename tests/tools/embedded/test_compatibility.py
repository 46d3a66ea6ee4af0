"""Compatibility, with fastavro's own schema resolution as the oracle."""

import io
from typing import Any

import fastavro
import pytest
from fastavro.schema import UnknownType

from lsst.ts.mtmount.tools.embedded.compatibility import find_conflicts


def record(*fields: dict[str, Any], name: str = "brake") -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": "lsst.sal.MTMount", "fields": list(fields)}


def field(name: str, avro_type: Any, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "type": avro_type, **attributes}


PRESSURE = field("pressure", "double", default=0.0)
ARRAY = {"type": "array", "items": "int"}

# Writer, a value of it, reader.
COMPATIBLE = [
    (record(PRESSURE), {"pressure": 1.5}, record(PRESSURE)),
    (record(PRESSURE), {"pressure": 1.5}, record(field("pressure", "double", description="?", units="Pa"))),
    (record(PRESSURE), {"pressure": 1.5}, record(PRESSURE, field("flow", "int", default=0))),
    (record(PRESSURE, field("flow", "int")), {"pressure": 1.5, "flow": 3}, record(PRESSURE)),
    (record(field("n", "int")), {"n": 3}, record(field("n", "long"))),
    (record(field("n", "int")), {"n": 3}, record(field("n", "double"))),
    (record(field("n", "long")), {"n": 3}, record(field("n", "float"))),
    (record(field("n", "int")), {"n": 3}, record(field("n", {"type": "int"}))),
    (record(field("n", ARRAY)), {"n": [3]}, record(field("n", {"type": "array", "items": "double"}))),
    (record(field("n", "int")), {"n": 3}, record(field("n", ["null", "int"]))),
    (record(field("n", ["int", "long"])), {"n": 3}, record(field("n", "double"))),
    (record(field("old", "int")), {"old": 3}, record(field("new", "int", aliases=["old"]))),
    ({"type": "map", "values": "int"}, {"a": 1}, {"type": "map", "values": "int"}),
]
INCOMPATIBLE = [
    (record(PRESSURE), {"pressure": 1.5}, record(PRESSURE, field("flow", "int")), "/flow"),
    (record(PRESSURE), {"pressure": 1.5}, record(field("pressure", "int")), "/pressure"),
    (record(field("n", "long")), {"n": 3}, record(field("n", "int")), "/n"),
    (record(field("n", "int")), {"n": 3}, record(field("n", "boolean")), "/n"),
    (record(field("n", "int")), {"n": 3}, record(field("n", "string")), "/n"),
    (record(field("n", ARRAY)), {"n": [3]}, record(field("n", "int")), "/n"),
    (
        record(field("n", ARRAY)),
        {"n": [3]},
        record(field("n", {"type": "array", "items": "string"})),
        "/n/items",
    ),
    (record(field("n", "int")), {"n": 3}, record(field("n", ["null", "string"])), "/n"),
    (record(PRESSURE), {"pressure": 1.5}, record(PRESSURE, name="clutch"), "/"),
    (record(PRESSURE), {"pressure": 1.5}, "double", "/"),
]


def resolve(writer: Any, value: Any, reader: Any) -> Any:
    """Write a value with one schema, and read it with the other."""
    data = io.BytesIO()
    fastavro.schemaless_writer(data, writer, value)
    data.seek(0)
    return fastavro.schemaless_reader(data, writer, reader)


@pytest.mark.parametrize(("writer", "value", "reader"), COMPATIBLE)
def test_compatible(writer: Any, value: Any, reader: Any) -> None:
    resolve(writer, value, reader)
    assert list(find_conflicts(reader, writer)) == []


@pytest.mark.parametrize(("writer", "value", "reader", "place"), INCOMPATIBLE)
def test_incompatible(writer: Any, value: Any, reader: Any, place: str) -> None:
    with pytest.raises((fastavro.read.SchemaResolutionError, UnknownType)):
        resolve(writer, value, reader)
    conflicts = list(find_conflicts(reader, writer))
    assert len(conflicts) == 1
    assert conflicts[0].startswith(f"{place}: ")


def test_a_union_must_be_readable_in_all_its_branches() -> None:
    # Only some values of it could be read, which no single value shows.
    assert list(find_conflicts("int", ["null", "int"])) == ["/: int does not read null"]
