"""Whether data written with one Avro schema can be read with another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["LEVELS", "find_conflicts"]

#: Levels of compatibility. For each: must the new schema read data of the old
#: one, must the old one read data of the new one, and does that go for all old
#: schemas or only for the latest?
LEVELS = {
    "NONE": (False, False, False),
    "BACKWARD": (True, False, False),
    "BACKWARD_TRANSITIVE": (True, False, True),
    "FORWARD": (False, True, False),
    "FORWARD_TRANSITIVE": (False, True, True),
    "FULL": (True, True, False),
    "FULL_TRANSITIVE": (True, True, True),
}

PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}

#: What a reader's primitive type takes besides itself. Source: the Avro
#: specification, "Schema Resolution".
PROMOTIONS = {
    "long": {"int"},
    "float": {"int", "long"},
    "double": {"int", "long", "float"},
    "string": {"bytes"},
    "bytes": {"string"},
}


def find_conflicts(reader: Any, writer: Any, place: str = "") -> Iterator[str]:
    """Find what keeps a schema from reading data of another one.

    Records, arrays, unions and primitive types are resolved as Avro does; other
    types must be the same.

    Parameters
    ----------
    reader, writer : `str`, `list` or `dict`
        The two schemas, valid and as JSON makes them.
    place : `str`
        Where the two are in the whole schema, for the descriptions.

    Yields
    ------
    conflict : `str`
        Description of one conflict.
    """
    reader, writer = _unwrap(reader), _unwrap(writer)
    if reader == writer:
        return
    if isinstance(writer, list):
        for branch in writer:
            yield from find_conflicts(reader, branch, place)
    elif isinstance(reader, list):
        if all(any(find_conflicts(branch, writer, place)) for branch in reader):
            yield f"{place or '/'}: no branch of the union reads {_name(writer)}"
    elif _is(reader, "record") and _is(writer, "record"):
        yield from _find_record_conflicts(reader, writer, place)
    elif _is(reader, "array") and _is(writer, "array"):
        yield from find_conflicts(reader["items"], writer["items"], f"{place}/items")
    elif not (isinstance(reader, str) and isinstance(writer, str) and writer in PROMOTIONS.get(reader, ())):
        yield f"{place or '/'}: {_name(reader)} does not read {_name(writer)}"


def _find_record_conflicts(reader: dict[str, Any], writer: dict[str, Any], place: str) -> Iterator[str]:
    if _base_name(reader) != _base_name(writer):
        yield f"{place or '/'}: record {reader['name']} does not read record {writer['name']}"
        return
    written = {field["name"]: field for field in writer["fields"]}
    for field in reader["fields"]:
        field_place = f"{place}/{field['name']}"
        names = [field["name"], *field.get("aliases", ())]
        source = next((written[name] for name in names if name in written), None)
        if source is not None:
            yield from find_conflicts(field["type"], source["type"], field_place)
        elif "default" not in field:
            yield f"{field_place}: is not written, and has no default"


def _base_name(schema: dict[str, Any]) -> str:
    """Return the name without its name space, which does not count."""
    name: str = schema["name"]
    return name.rpartition(".")[2]


def _unwrap(schema: Any) -> Any:
    """Reduce ``{"type": "int", ...}`` to ``"int"``: attributes do not count."""
    while isinstance(schema, dict) and (
        isinstance(schema["type"], (dict, list)) or schema["type"] in PRIMITIVES
    ):
        schema = schema["type"]
    return schema


def _is(schema: Any, kind: str) -> bool:
    return isinstance(schema, dict) and schema["type"] == kind


def _name(schema: Any) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)
