"""Run all tests of faults, the slow ones and those with a real Kafka too; print what was measured."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ..row_collector import RowCollector
from .outcome import PROPERTY, Outcome

HEADINGS = (
    *("fault", "sent", "published", "read back", "lost", "counted", "duplicated", "time [s]"),
    "result",
)

#: Between these lines of a document stands the table.
BEGIN = "<!-- table of faults: begin -->"
END = "<!-- table of faults: end -->"


def make_row(outcome: Outcome) -> list[str]:
    """Return the cells of one row."""
    seconds = "" if outcome.seconds is None else f"{outcome.seconds:.1f}"
    counts = (outcome.sent, outcome.published, outcome.read_back, outcome.lost, outcome.counted)
    return [
        outcome.fault,
        *("" if count is None else f"{count:,}" for count in (*counts, outcome.duplicated)),
        seconds,
        outcome.result,
    ]


def make_table(outcomes: Sequence[Outcome]) -> str:
    """Return a Markdown table, aligned for reading as it is."""
    rows = [list(HEADINGS), *(make_row(outcome) for outcome in outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    is_number = [name not in ("fault", "result") for name in HEADINGS]

    def render(cells: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, is_number, strict=True)
        )
        return f"| {' | '.join(aligned)} |"

    rule = "|".join(
        "-" * (width + 1) + (":" if right else "-") for width, right in zip(widths, is_number, strict=True)
    )
    return "\n".join([render(rows[0]), f"|{rule}|", *(render(row) for row in rows[1:])])


def update_document(path: Path, table: str, begin_line: str = BEGIN, end_line: str = END) -> None:
    """Put a table into a document, in the place of the one that is there.

    Raises
    ------
    ValueError
        If the document has no place for it.
    """
    before, begin, rest = path.read_text(encoding="utf-8").partition(begin_line)
    _, end, after = rest.partition(end_line)
    if not begin or not end:
        raise ValueError(f"{path} has no lines {begin_line!r} and {end_line!r}")
    path.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def main() -> int:
    """Run the program; return its exit status, which is pytest's."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table into this document")
    arguments, pytest_arguments = parser.parse_known_args()
    collector = RowCollector(PROPERTY)
    command = [str(Path(__file__).parent), "-q", "-m", "kafka or not kafka", *pytest_arguments]
    status = pytest.main(command, plugins=[collector])
    table = make_table([Outcome(**row) for row in collector.rows])
    print(f"\n{table}")
    if arguments.update is not None and status == 0:
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        update_document(arguments.update, f"Measured on {date}:\n\n{table}")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
