"""Schemas and records that do not mean well: each is refused in bounded time and memory."""

import io
import json
from typing import Any

import fastavro
import pytest

from lsst.ts.mtmount.sal import load_packaged_interface
from lsst.ts.mtmount.tools.reader.record_schema import SchemaError, parse_record_schema


def record(*types: Any) -> dict[str, Any]:
    fields = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(types)]
    return {"type": "record", "name": "r", "fields": fields}


def nest(depth: int) -> Any:
    kind: Any = "int"
    for _ in range(depth):
        kind = {"type": "array", "items": kind}
    return kind


RECURSIVE = record("int", {"type": "array", "items": "r"})
CHAIN = '{"type":' * 200_000 + '"int"' + "}" * 200_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "null",
        "[]",
        '["null", "int"]',
        '"string"',
        CHAIN,
        "[" * 200_000,
        json.dumps(RECURSIVE),
        json.dumps(record("r")),
        json.dumps(record(["null", "double"])),
        json.dumps(record("null")),
        json.dumps(record({"type": "array", "items": "null"})),
        json.dumps(record({"type": "array", "items": record()})),
        json.dumps(record({"type": "map", "values": "int"})),
        json.dumps(record({"type": "enum", "name": "e", "symbols": ["A"]})),
        json.dumps(record({"type": "fixed", "name": "f", "size": 10**9})),
        json.dumps(record(record("int"))),
        json.dumps(record(nest(2))),
        json.dumps(record(nest(50))),
        json.dumps(record({})),
        json.dumps(record(None)),
        json.dumps(record(*["int"] * 5000)),
        json.dumps({"type": "record", "name": "r"}),
        json.dumps({"type": "record", "name": "r", "fields": 3}),
        json.dumps({"type": "record", "name": "r", "fields": ["f"]}),
        json.dumps({"type": "record", "name": "r", "fields": [{"name": "\x1b[2J", "type": "int"}]}),
        json.dumps({"type": "record", "name": "r", "fields": [{"name": [], "type": "int"}]}),
        json.dumps({"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}] * 2}),
        json.dumps(record("int") | {"description": "x" * (1 << 20)}),
    ],
)
def test_schemas_that_are_refused(text: str) -> None:
    with pytest.raises(SchemaError) as caught:
        parse_record_schema(text)
    assert len(str(caught.value)) < 300


def test_all_schemas_of_sal() -> None:
    for topic in load_packaged_interface().topics.values():
        schema = parse_record_schema(json.dumps(topic.avro_schema()))
        infos = topic.private_fields + topic.fields
        assert [field["name"] for field in schema.avro["fields"]] == [info.name for info in infos]
        assert schema.units == {
            info.name: info.units for info in infos if info.units and info.units != "unitless"
        }


def test_attributes_do_not_reach_the_decoder() -> None:
    odd = record({"type": "bytes", "logicalType": "decimal", "precision": -5}, {"type": {"type": "int"}})
    data = io.BytesIO(b"\x02a\x06")
    assert fastavro.schemaless_reader(data, parse_record_schema(json.dumps(odd)).avro, None) == {
        "f0": b"a",
        "f1": 3,
    }
