"""Whether records of one Avro schema can be read with another one: what SAL's schemas have, and no more.

By the rules of the Avro specification for the resolution of schemas. Known are primitive types,
arrays and records; not unions, maps, enumerations, fixed, and references to names.
"""

from typing import Any

__all__ = ["UnknownTypeError", "find_conflict"]

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})

#: Type that was written: the other ones that it can be read as.
PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}

#: The part of a type that is told [characters].
MAX_SHOWN = 100


class UnknownTypeError(ValueError):
    """A type that no SAL schema has."""


def find_conflict(writer: Any, reader: Any, place: str = "the schema") -> str | None:
    """Tell what keeps ``reader`` from reading the records of ``writer``, both valid schemas; None if it may.

    `UnknownTypeError` if one of them has a type that is not known here.
    """
    written, read = _find_kind(writer, place), _find_kind(reader, place)
    if written != read:
        if read in PROMOTIONS.get(written, ()):
            return None
        return f"expected a type of {place} that {written} can be read as, got {read}"
    if written == "array":
        return find_conflict(_unwrap(writer)["items"], _unwrap(reader)["items"], f"the elements of {place}")
    return _find_record_conflict(_unwrap(writer), _unwrap(reader), place) if written == "record" else None


def _find_record_conflict(writer: Any, reader: Any, place: str) -> str | None:
    names = [schema["name"].rpartition(".")[2] for schema in (writer, reader)]
    if names[0] != names[1]:
        return f"expected {names[0]!r} for the name of {place}, got {names[1]!r}"
    written = {field["name"]: field["type"] for field in writer["fields"]}
    for field in reader["fields"]:
        name = field["name"]
        if name in written:
            if conflict := find_conflict(written[name], field["type"], f"field {name}"):
                return conflict
        elif "default" not in field:
            return f"No default value for field {name}"
    return None


def _unwrap(schema: Any) -> Any:
    """Return the inner schema of one such as ``{"type": {"type": "array", ...}}``."""
    while isinstance(schema, dict) and isinstance(schema["type"], dict):
        schema = schema["type"]
    return schema


def _find_kind(schema: Any, place: str) -> str:
    """Return the name of a primitive type, ``array`` or ``record``."""
    schema = _unwrap(schema)
    kind = schema["type"] if isinstance(schema, dict) else schema
    is_complex = isinstance(schema, dict) and kind in ("array", "record")
    if not isinstance(kind, str) or not (is_complex or kind in PRIMITIVES):
        raise UnknownTypeError(
            f"expected a primitive type, an array or a record for {place}, got {schema!r:.{MAX_SHOWN}}"
        )
    return kind
