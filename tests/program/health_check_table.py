"""Run all tests of ``--check``, those with a real Kafka too; print what it says of each fault."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from ..faults.__main__ import update_document
from ..row_collector import RowCollector
from .health_check import PROPERTY, CheckedFault

#: Between these lines of a document stands the table.
BEGIN = "<!-- table of what --check finds: begin -->"
END = "<!-- table of what --check finds: end -->"


def make_table(rows: list[CheckedFault]) -> str:
    """Return a Markdown table."""
    lines = (f"| {row.fault} | {row.exit_status} | `{row.line}` |" for row in rows)
    return "\n".join(["| what is wrong | status | line |", "|---|---|---|", *lines])


def main() -> int:
    """Run the program; return its exit status, which is pytest's."""
    parser = argparse.ArgumentParser(prog="python -m tests.program.health_check_table", description=__doc__)
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table into this document")
    args = parser.parse_args()
    collector = RowCollector(PROPERTY)
    files = [str(path) for path in sorted(Path(__file__).parent.glob("test_health_check*.py"))]
    status = pytest.main([*files, "-q", "-m", "kafka or not kafka"], plugins=[collector])
    table = make_table([CheckedFault(**row) for row in collector.rows])
    print(f"\n{table}")
    if args.update is not None and status == 0:
        update_document(args.update, table, BEGIN, END)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
