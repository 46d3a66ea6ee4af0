"""The soak test, ``make soak``: does anything grow when the client runs for long?"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..tools.load_test.child_program import LoadTestError
from ..tools.load_test.html_report import make_html_report
from ..tools.load_test.interrupt import run_interruptible
from ..tools.load_test.kafka_target import TargetChoice
from ..tools.load_test.live_progress import LiveProgress, RunProgress
from ..tools.load_test.machine import describe_machine
from ..tools.load_test.options import add_client_option, add_kafka_options, choose_target, parse_positive
from ..tools.load_test.run import ReadMode, RunPlan, run_load
from ..tools.load_test.run_result import RunResult, replace_nan
from ..tools.load_test.samples import Sample
from ..tools.load_test.tables import format_number, make_account_table, make_console, make_cost_table
from ..tools.load_test.trends import Trend, find_trends, find_warm_up

__all__ = ["main"]

DESCRIPTION = """
Stream the telemetry of a simulated TMA through a client for a long time, and see whether its memory, its open
files or the latency grow, and whether each frame is found again. The exit status tells.
"""


def make_trend_table(trends: Sequence[Trend]) -> Table:
    """Make the table of the trends."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("after the warm-up")
    for header in ("median", "growth", "limit", ""):
        table.add_column(header, justify="right")
    for trend in trends:
        table.add_row(
            trend.name,
            *(format_number(figure, 2) for figure in (trend.level, trend.growth, trend.limit)),
            Text("flat", "green") if trend.is_flat else Text("GROWS", "bold red"),
        )
    return table


def describe_trends(result: RunResult, trends: Sequence[Trend]) -> list[str]:
    """Describe the trends for the report, one sentence each."""
    warm_up = find_warm_up(result.duration)
    return [
        f"From {warm_up:g} s on, {trend.name}: median {format_number(trend.level, 2)}, "
        f"growth {format_number(trend.growth, 2)} (limit {format_number(trend.limit, 2)}): "
        + ("flat." if trend.is_flat else "it grows.")
        for trend in trends
    ]


def write_results(folder: Path, result: RunResult, trends: Sequence[Trend], target: str) -> None:
    """Write the report as HTML, and all figures as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    figures = {
        "program": "soak test",
        "machine": machine,
        "kafka": target,
        "passed": has_passed(result, trends),
        "trends": [asdict(trend) | {"is_flat": trend.is_flat} for trend in trends],
        "run": result.as_dict(),
    }
    (folder / "soak.json").write_text(json.dumps(replace_nan(figures), indent=1, allow_nan=False) + "\n")
    notes = describe_trends(result, trends)
    page = make_html_report("Soak test of the telemetry client", [result], machine, target, notes)
    (folder / "soak.html").write_text(page, encoding="utf-8")


def has_passed(result: RunResult, trends: Sequence[Trend]) -> bool:
    """Does the account close, and is everything flat?"""
    return result.has_passed and not result.was_cut and all(trend.is_flat for trend in trends)


def print_results(console: Console, result: RunResult, trends: Sequence[Trend]) -> None:
    """Print the tables and the verdict."""
    for table in (make_cost_table([result]), make_account_table([result]), make_trend_table(trends)):
        console.print(table)
    if has_passed(result, trends):
        console.print("PASSED: nothing grows, and every frame is accounted for.", style="bold green")
        return
    console.print("FAILED:", style="bold red")
    problems = [*result.problems, *(f"{trend.name}: not flat" for trend in trends if not trend.is_flat)]
    if result.was_cut:
        problems.append("the client did not keep up with the rate")
    for problem in problems:
        console.print(f"  {problem}", markup=False)


def choose_read_mode(wanted: str, target: TargetChoice) -> ReadMode:
    """Choose what is read back, so that reading does not hold up the broker, and with it the client."""
    if wanted != "auto":
        return ReadMode(wanted)
    return ReadMode.COUNT if target.is_embedded else ReadMode.DECODE


async def run_soak(
    console: Console, plan: RunPlan, target: TargetChoice, folder: Path, output: Path | None
) -> int:
    """Run the soak test; return its exit status."""
    watch = RunProgress(plan.duration)

    def render() -> RenderableType:
        title = f"[bold]{plan.client.name} at {plan.rate:g}x for {plan.duration:g} s[/bold]"
        return Group(title, ProgressBar(total=1.0, completed=watch.part), watch.describe())

    with LiveProgress(console, render, watch.describe, line_interval=30.0) as live:

        def show(sample: Sample) -> None:
            watch.update(sample)
            live.update()

        result = await run_load(plan, target, folder, show)
    trends = find_trends(result)
    print_results(console, result, trends)
    if output is not None:
        write_results(output, result, trends, target.describe())
        console.print(f"The report is in {output}", markup=False, soft_wrap=True)
    return 0 if has_passed(result, trends) else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak test.

    Parameters
    ----------
    argv : `Sequence` [`str`], optional
        Arguments; those of the command line by default.

    Returns
    -------
    status : `int`
        Exit status: 0 if nothing grows and every frame is accounted for.
    """
    parser = argparse.ArgumentParser(prog="python -m lsst.ts.mtmount.commands.soak", description=DESCRIPTION)
    parser.add_argument(
        "--duration", type=parse_positive, default=1800.0, help="seconds (default: %(default)g)"
    )
    parser.add_argument(
        "--rate",
        type=parse_positive,
        default=20.0,
        help="multiple of the TMA's full rate (default: %(default)g)",
    )
    parser.add_argument(
        "--interval", type=parse_positive, default=2.0, help="seconds between samples (default: %(default)g)"
    )
    parser.add_argument(
        "--read",
        choices=["auto", *ReadMode],
        default="auto",
        help="decode everything, or count by the broker's watermarks and decode one topic (default: count "
        "with the embedded broker, whose search for a record takes the longer, the more there are)",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="write soak.html and soak.json there")
    add_kafka_options(parser)
    add_client_option(parser)
    args = parser.parse_args(argv)
    target = choose_target(args, parser)
    console = make_console()
    console.print(f"Soak test: {target.describe()}", markup=False)
    read_mode = choose_read_mode(args.read, target)
    plan = RunPlan(args.client_command, args.rate, args.duration, read_mode, interval=args.interval)
    folder = Path(tempfile.mkdtemp(prefix="mtmount_soak_"))
    try:
        status = run_interruptible(run_soak(console, plan, target, folder, args.output))
    except LoadTestError as error:
        console.print(f"FAILED: {error}", style="bold red", markup=False)
        status = 1
    if status == 1:
        console.print(f"The output of the programs is in {folder}", markup=False, soft_wrap=True)
    else:
        shutil.rmtree(folder)
    return status


if __name__ == "__main__":
    sys.exit(main())
