"""The Avro schema of a SAL record, checked before a decoder sees it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fastavro

from ...sal.schema_limits import load_schema

__all__ = ["RecordSchema", "SchemaError", "parse_record_schema"]

#: Most fields of a record.
MAX_FIELDS = 4096

#: Deepest nesting of a field's type: an array of ``{"type": "int"}`` has 3 levels.
MAX_DEPTH = 4

#: Types whose values take at least a byte each, so that a record cannot ask for
#: more memory than its bytes allow (an array of ``null`` could).
PRIMITIVES = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string"})

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")

#: Much of a text that is not as expected is shown in an error [characters].
MAX_SHOWN = 100


class SchemaError(ValueError):
    """A schema is not that of a SAL record."""


@dataclass(frozen=True, slots=True)
class RecordSchema:
    """The schema of a SAL record."""

    text: str  #: JSON text, as the registry has it
    avro: Any  #: Names and types of the fields, as fastavro wants them
    units: Mapping[str, str]  #: Units of the fields that have some


def parse_record_schema(text: str) -> RecordSchema:
    """Parse the JSON text of a schema.

    A SAL record has fields of primitive types and of arrays of these. Nothing else
    reaches fastavro, which follows a recursive schema until the stack ends.
    """
    try:
        schema = load_schema(text)
    except ValueError as error:
        raise SchemaError(str(error)) from None
    fields = schema.get("fields") if isinstance(schema, dict) and schema.get("type") == "record" else None
    if not isinstance(fields, list) or len(fields) > MAX_FIELDS:
        raise SchemaError(
            f"expected the schema of a record of up to {MAX_FIELDS} fields, got {schema!r:.{MAX_SHOWN}}"
        )
    types: dict[str, Any] = {}
    units = {}
    for field in fields:
        name = field.get("name") if isinstance(field, dict) else None
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in types:
            raise SchemaError(f"expected a field with a name of its own, got {field!r:.{MAX_SHOWN}}")
        types[name] = _parse_type(name, field.get("type"), 0)
        unit = field.get("units")
        if isinstance(unit, str) and unit != "unitless":
            units[name] = unit
    members = [{"name": name, "type": kind} for name, kind in types.items()]
    avro = fastavro.parse_schema({"type": "record", "name": "record", "fields": members})
    return RecordSchema(text, avro, units)


def _parse_type(name: str, kind: Any, depth: int) -> Any:
    """Return a primitive type, or an array of one, without its attributes."""
    if isinstance(kind, str) and kind in PRIMITIVES:
        return kind
    if isinstance(kind, dict) and depth < MAX_DEPTH:
        if kind.get("type") != "array":
            return _parse_type(name, kind.get("type"), depth + 1)
        items = _parse_type(name, kind.get("items"), depth + 1)
        if isinstance(items, str):
            return {"type": "array", "items": items}
    raise SchemaError(
        f"expected a primitive type or an array of one for field {name}, got {kind!r:.{MAX_SHOWN}}"
    )
