"""The JSON text of a schema, of whatever origin: bounded before anybody follows it."""

import json
from typing import Any

__all__ = ["load_schema"]

#: Longest text of a schema [characters]; the largest of SAL has some 100,000.
MAX_SIZE = 1 << 20

#: How deep a schema may be nested; SAL's are 5 deep.
MAX_DEPTH = 100


def load_schema(text: str) -> Any:
    """Load the JSON text of a schema; ValueError if it is too long, too deep, or not JSON.

    How deep fastavro, or a comparison, can follow it depends on the Python.
    """
    if len(text) > MAX_SIZE:
        raise ValueError(f"expected a schema of up to {MAX_SIZE} characters, got {len(text)}")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected a schema in JSON, got: {error}") from None
    level = [schema]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, list | dict)
            for child in (item if isinstance(item, list) else item.values())
        ]
        if not level:
            return schema
    raise ValueError(f"expected a schema nested up to {MAX_DEPTH} deep, got a deeper one")
