"""Run all benchmarks, and report.

Without ``--quick``, tables and charts go to ``doc/benchmarks``, and the main figures into the README.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from .charts import draw_charts
from .mix import MIX, RECORDING_VARIABLE, find_workload
from .pages import FOLDER, ROOT, describe_figures, update_readme
from .report import print_results, write_results
from .results import describe_machine, read_results
from .verdicts import make_verdicts

#: The stages, in the order of a frame's way.
MODULES: tuple[str, ...] = ("framing", "decode", "encode", "core", "client", "structs", "arrays")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few rounds and workloads, nothing written: shows that all runs"
    )
    parser.add_argument(
        "--recording",
        type=Path,
        metavar="PATH",
        help="the client only, on frames of a recording in place of simulated ones; nothing is written",
    )
    args = parser.parse_args(arguments)
    is_quick = args.quick
    modules = MODULES
    if args.recording is not None:
        modules = ("client",)
        os.environ[RECORDING_VARIABLE] = str(args.recording.absolute())
        try:
            mix = find_workload(MIX)
        except (ValueError, OSError) as error:
            parser.error(f"argument --recording: {error}")
        print(f"{args.recording}: {len(mix.frames)} frames of {len(set(mix.topic_ids))} topics")
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as scratch:
        figures = Path(scratch) / "benchmarks.json"
        status = pytest.main(
            [
                *(str(ROOT / "bench" / f"test_{module}.py") for module in modules),
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
        if args.recording is not None:
            print_results(results, Console(soft_wrap=True))
            return 0
        folder = Path(scratch) if is_quick else FOLDER
        verdicts = [str(verdict) for verdict in make_verdicts(is_quick=is_quick)]
        write_results(
            results,
            folder,
            machine=machine,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            command="make bench",
            charts=draw_charts(results, folder),
            verdicts=verdicts,
        )
        summary = describe_figures(json.loads((folder / "results.json").read_text(encoding="utf-8")))
    console = Console(soft_wrap=True)
    print_results(results, console)
    console.print(summary, highlight=False, markup=False)
    if is_quick:
        console.print("Too few rounds to compare; nothing is written.")
    else:
        update_readme(summary)
        console.print(*verdicts, sep="\n", highlight=False, markup=False)
        console.print(f"Written to {FOLDER.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
