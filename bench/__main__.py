"""Run all benchmarks, and report.

Without ``--quick``, tables and charts go to ``doc/benchmarks``.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from .charts import draw_charts
from .report import print_results, write_results
from .results import describe_machine, read_results
from .verdicts import make_comparisons

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "doc" / "benchmarks"

#: The stages, in the order of a frame's way.
MODULES = ("framing", "decode", "encode", "core", "client", "structs", "arrays")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few rounds and workloads, nothing written: shows that all runs"
    )
    is_quick = parser.parse_args(arguments).quick
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as scratch:
        figures = Path(scratch) / "benchmarks.json"
        status = pytest.main(
            [
                *(str(ROOT / "bench" / f"test_{module}.py") for module in MODULES),
                "-q",
                "-p",
                "no:cacheprovider",
                "--benchmark-quiet",
                f"--benchmark-json={figures}",
                f"--benchmark-storage=file://{scratch}",
                f"--rootdir={ROOT}",
                *(["--quick"] if is_quick else []),
            ]
        )
        if status != 0:
            return int(status)
        results = read_results(figures)
        folder = Path(scratch) if is_quick else FOLDER
        verdicts = [str(comparison) for comparison in make_comparisons(is_quick=is_quick)]
        write_results(
            results,
            folder,
            machine=machine,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            command="make bench",
            charts=draw_charts(results, folder),
            verdicts=verdicts,
        )
    console = Console(soft_wrap=True)
    print_results(results, console)
    if is_quick:
        console.print("Too few rounds to compare; nothing is written.")
    else:
        console.print(*verdicts, sep="\n", highlight=False, markup=False)
        console.print(f"Written to {FOLDER.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
