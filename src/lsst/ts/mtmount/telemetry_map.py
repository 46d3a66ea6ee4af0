"""The TMA's telemetry topics: their IDs, and the wire fields of each.

The tables beside the package's code (``data/tma_topics.csv`` and
``data/tma_fields.csv``) are the source.
"""

import csv
import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from .core import ArrayFunctor, ScalarFunctor

__all__ = ["RAW_TELEMETRY_MAP", "TELEMETRY_MAP", "Functor", "TelemetryTopicId", "make_functor"]

DATA_DIR = Path(__file__).parent / "data"

Functor: TypeAlias = ArrayFunctor | ScalarFunctor


def read_table(name: str) -> Iterator[dict[str, str]]:
    """Read the rows of one of the packaged tables."""
    with (DATA_DIR / name).open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _read_raw_map() -> dict[int, list[Any]]:
    raw_map: dict[int, list[Any]] = {
        int(row["topic_id"]): [row["sal_topic"], {}] for row in read_table("tma_topics.csv")
    }
    for row in read_table("tma_fields.csv"):
        raw_map[int(row["topic_id"])][1][row["field"]] = int(row["elements"])
    return raw_map


def make_functor(field_name: str, num_elements: int) -> Functor:
    """Make what converts a field between its wire members and its SAL value.

    Parameters
    ----------
    field_name : `str`
        Name of the SAL field.
    num_elements : `int`
        Number of elements; 1 means a scalar.
    """
    return ScalarFunctor(field_name) if num_elements == 1 else ArrayFunctor(field_name, num_elements)


#: Topic ID: [SAL topic name, {SAL field name: number of elements}]
RAW_TELEMETRY_MAP: dict[int, list[Any]] = _read_raw_map()

#: Topic ID: [SAL topic name, {SAL field name: functor}]
TELEMETRY_MAP: dict[int, list[Any]] = {
    topic_id: [sal_topic, {field: make_functor(field, count) for field, count in fields.items()}]
    for topic_id, (sal_topic, fields) in RAW_TELEMETRY_MAP.items()
}

#: SAL topic name = topic ID on the wire.
TelemetryTopicId = enum.IntEnum(  # type: ignore[misc]
    "TelemetryTopicId", {sal_topic: topic_id for topic_id, (sal_topic, _) in RAW_TELEMETRY_MAP.items()}
)
