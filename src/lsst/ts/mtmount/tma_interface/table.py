"""The interface as a table (CSV): what this package exports, and its own packaged table."""

import csv
import io

from .description import FRAME_STAMP, TOPIC_ID_MEMBER, TmaInterface, TmaInterfaceError, TmaMember, TmaTopic

__all__ = ["format_table", "is_table", "parse_table"]

#: A row is a SAL field; ``members`` are its members on the wire in order, separated by blanks.
COLUMNS = ("topic_id", "sal_topic", "period_ms", "field", "elements", "sal_type", "members")

HEADER = ",".join(COLUMNS)

MAX_DIGITS = 10


def is_table(text: str) -> bool:
    """Return whether a text is meant to be such a table: its first line tells, be it quoted or not."""
    return text.removeprefix('"').startswith(COLUMNS[0])


def parse_table(text: str, source: str) -> TmaInterface:
    """Parse a table, which has a header line; ``source`` tells where it is from."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    topics: dict[tuple[int, str, int], list[TmaMember]] = {}
    try:
        if (header := tuple(next(rows, ()))) != COLUMNS:
            raise TmaInterfaceError(f"expected the columns {HEADER}, got {','.join(header)[:200]!r}")
        # A text editor may leave an empty line at the end.
        for row in filter(None, rows):
            topic_id, sal_topic, period_ms, members = _parse_row(row)
            topics.setdefault((topic_id, sal_topic, period_ms), []).extend(members)
        interface = TmaInterface(
            tuple(
                TmaTopic(topic_id, sal_topic, period_ms, tuple(members))
                for (topic_id, sal_topic, period_ms), members in topics.items()
            ),
            source,
        )
        _check_topics(interface)
        return interface
    except csv.Error as error:
        raise TmaInterfaceError(f"{source}, line {rows.line_num}: expected CSV, got: {error}") from None
    except TmaInterfaceError as error:
        raise TmaInterfaceError(f"{source}, line {rows.line_num}: {error}") from None


def _check_topics(interface: TmaInterface) -> None:
    """Refuse what no frames can be of, as the TMA's own file cannot have it."""
    if not interface.topics:
        raise TmaInterfaceError("expected a topic that is sent, got none")
    for topic in interface.topics:
        if TOPIC_ID_MEMBER in topic.by_name:
            raise TmaInterfaceError(
                f"{topic.sal_topic}: expected another name, as this one is reserved for the topic ID, "
                f"got {TOPIC_ID_MEMBER!r}"
            )
        if FRAME_STAMP not in topic.by_name:
            raise TmaInterfaceError(f"{topic.sal_topic}: expected the member {FRAME_STAMP!r}, got none")


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


def _parse_row(row: list[str]) -> tuple[int, str, int, list[TmaMember]]:
    if len(row) != len(COLUMNS):
        raise TmaInterfaceError(f"expected {len(COLUMNS)} columns, got {len(row)}")
    cells = dict(zip(COLUMNS, row, strict=True))
    names = cells["members"].split()
    if _parse_int(cells, "elements") != len(names) or not names:
        raise TmaInterfaceError(
            f"expected as many members as elements of {cells['field'][:200]!r}, "
            f"got {len(names)} for elements={cells['elements']}"
        )
    members = [
        TmaMember(name, cells["field"], index, cells["sal_type"] or None) for index, name in enumerate(names)
    ]
    return _parse_int(cells, "topic_id"), cells["sal_topic"], _parse_int(cells, "period_ms"), members


def _parse_int(cells: dict[str, str], column: str) -> int:
    cell = cells[column]
    if not (cell.isascii() and cell.isdigit() and len(cell) <= MAX_DIGITS):
        raise TmaInterfaceError(f"expected a whole number for {column}, got {cell[:200]!r}")
    return int(cell)
