"""The interface as a table (CSV): what this package exports, and its own packaged table."""

import csv
import io
from collections.abc import Iterator
from typing import TypeAlias

from ..resilience.escape import escape
from .description import (
    FRAME_STAMP,
    MAX_MEMBERS,
    MAX_TOPICS,
    TOPIC_ID_MEMBER,
    TmaInterface,
    TmaInterfaceError,
    TmaMember,
    TmaTopic,
)

__all__ = ["format_table", "is_table", "parse_table"]

#: A row is a SAL field; ``members`` are its members on the wire in order, separated by blanks.
COLUMNS = ("topic_id", "sal_topic", "period_ms", "field", "elements", "sal_type", "members")

HEADER = ",".join(COLUMNS)

#: What rows of one topic have in common: topic ID, SAL name and period [ms].
Place: TypeAlias = tuple[int, str, int]

MAX_DIGITS = 10
MAX_SHOWN = 200


def is_table(text: str) -> bool:
    """Return whether a text is meant to be such a table: its first line tells, be it quoted or not."""
    return text.removeprefix('"').startswith(COLUMNS[0])


def parse_table(text: str, source: str) -> TmaInterface:
    """Parse a table, which has a header line; ``source`` tells where it is from."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        topics = _read_topics(rows)
    except csv.Error as error:
        raise TmaInterfaceError(f"{source}, line {rows.line_num}: expected CSV, got: {error}") from None
    except TmaInterfaceError as error:
        raise TmaInterfaceError(f"{source}, line {rows.line_num}: {error}") from None
    if not topics:
        raise TmaInterfaceError(f"{source}: expected a topic that is sent, got none")
    return TmaInterface(tuple(_make_topic(source, *topic) for topic in topics.items()), source)


def _read_topics(rows: Iterator[list[str]]) -> dict[Place, list[TmaMember]]:
    """Read the members of each topic; what is wrong is in the last row that was read."""
    if (header := tuple(next(rows, ()))) != COLUMNS:
        raise TmaInterfaceError(f"expected the columns {HEADER}, got {','.join(header)[:MAX_SHOWN]!r}")
    topics: dict[Place, list[TmaMember]] = {}
    # Topic ID, and SAL name: the topic that has it.
    owners: dict[object, Place] = {}
    num_members = 0
    # A text editor may leave an empty line at the end.
    for row in filter(None, rows):
        place, members = _parse_row(row, MAX_MEMBERS - num_members)
        num_members += len(members)
        for what, value in (("topic ID", place[0]), ("SAL topic", place[1])):
            if owners.setdefault(value, place) != place:
                raise TmaInterfaceError(
                    f"expected each {what} once, got {escape(str(value), MAX_SHOWN)} twice"
                )
        topics.setdefault(place, []).extend(members)
        if len(topics) > MAX_TOPICS:
            raise TmaInterfaceError(f"expected at most {MAX_TOPICS} topics, got more")
    return topics


def _make_topic(source: str, place: Place, members: list[TmaMember]) -> TmaTopic:
    """Make a topic; refuse what no frames can be of, as the TMA's own file cannot have it."""
    try:
        topic = TmaTopic(*place, tuple(members))
        if TOPIC_ID_MEMBER in topic.by_name:
            raise TmaInterfaceError(
                f"expected another name, as this one is reserved for the topic ID, got {TOPIC_ID_MEMBER!r}"
            )
        if FRAME_STAMP not in topic.by_name:
            raise TmaInterfaceError(f"expected the member {FRAME_STAMP!r}, got none")
    except TmaInterfaceError as error:
        raise TmaInterfaceError(f"{source}: {escape(place[1], MAX_SHOWN)}: {error}") from None
    return topic


def format_table(interface: TmaInterface) -> str:
    """Return the interface as a table; a type that is not known is left empty."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for topic in interface.topics:
        place = topic.topic_id, topic.sal_topic, topic.period_ms
        for name, members in topic.fields.items():
            wire_names = " ".join(member.name for member in members)
            writer.writerow([*place, name, len(members), members[0].sal_type or "", wire_names])
    return file.getvalue()


def _parse_row(row: list[str], max_members: int) -> tuple[Place, list[TmaMember]]:
    if len(row) != len(COLUMNS):
        raise TmaInterfaceError(f"expected {len(COLUMNS)} columns, got {len(row)}")
    cells = dict(zip(COLUMNS, row, strict=True))
    names = cells["members"].split()
    if _parse_int(cells, "elements") != len(names) or not names:
        raise TmaInterfaceError(
            f"expected as many members as elements of {cells['field'][:MAX_SHOWN]!r}, "
            f"got {len(names)} for elements={cells['elements']}"
        )
    if len(names) > max_members:
        raise TmaInterfaceError(f"expected at most {MAX_MEMBERS} members of all topics, got more")
    members = [
        TmaMember(name, cells["field"], index, cells["sal_type"] or None) for index, name in enumerate(names)
    ]
    place = _parse_int(cells, "topic_id"), cells["sal_topic"], _parse_int(cells, "period_ms")
    return place, members


def _parse_int(cells: dict[str, str], column: str) -> int:
    cell = cells[column]
    if not (cell.isascii() and cell.isdigit() and len(cell) <= MAX_DIGITS):
        raise TmaInterfaceError(f"expected a whole number for {column}, got {cell[:MAX_SHOWN]!r}")
    return int(cell)
