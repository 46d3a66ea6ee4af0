"""The program ``stress_mtmount_telemetry``: how much a client takes, and whether nothing is lost."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar

from ..tools.load_test.child_program import LoadTestError
from ..tools.load_test.client_command import PLAIN, ClientCommand
from ..tools.load_test.html_report import make_html_report
from ..tools.load_test.interrupt import run_interruptible
from ..tools.load_test.kafka_target import TargetChoice
from ..tools.load_test.live_progress import LiveProgress, RunProgress
from ..tools.load_test.machine import describe_machine
from ..tools.load_test.options import add_client_option, add_kafka_options, choose_target, parse_positive
from ..tools.load_test.run import SAMPLED_TOPIC, ReadMode, RunPlan, run_load
from ..tools.load_test.run_result import RunResult
from ..tools.load_test.samples import Sample
from ..tools.load_test.tables import LATENCY_NOTE, make_account_table, make_console, make_cost_table
from .mock_tma import parse_rate

__all__ = ["main"]

NAME = "stress_mtmount_telemetry"

#: What ``--compare`` knows.
COMPARISONS = {"plain": PLAIN}

#: Multiple of the full rate up to which the embedded broker hands out everything within its time.
MAX_EMBEDDED_DECODE_RATE = 10.0

DESCRIPTION = """
Stream the telemetry of a simulated TMA through a client, at the full rate and multiples of it, one run after
the other, and measure throughput, CPU, memory and latency. Each frame must be found again: the exit status is
0 only if every account closes, nothing was lost or dropped, and what was read back is in sequence.
"""


class StressView:
    """What the stress test shows while it runs.

    Parameters
    ----------
    plan : `RunPlan`
        The run that goes on.
    results : `Sequence` [`RunResult`]
        The runs that are over.
    """

    def __init__(self, plan: RunPlan, results: Sequence[RunResult]) -> None:
        self.watch = RunProgress(plan.duration)
        self._plan = plan
        self._results = results

    def render(self) -> RenderableType:
        """Draw the present state."""
        return Group(
            *([make_cost_table(self._results)] if self._results else []),
            f"[bold]{describe_plan(self._plan)}[/bold]",
            ProgressBar(total=1.0, completed=self.watch.part),
            self.watch.describe(),
        )

    def describe(self) -> str:
        """Describe the present state in one line."""
        return f"{describe_plan(self._plan)}: {self.watch.describe()}"


def describe_plan(plan: RunPlan) -> str:
    """Describe a run that is to be made, for people."""
    rate = "as fast as it can" if math.isinf(plan.rate) else f"at {plan.rate:g}x"
    return f"{plan.client.name} {rate}"


def make_plans(args: argparse.Namespace, target: TargetChoice) -> list[RunPlan]:
    """Plan the runs that the command line asks for."""
    clients: list[ClientCommand] = [args.client_command]
    if args.compare is not None:
        clients.append(COMPARISONS[args.compare])
    return [
        RunPlan(
            client,
            rate,
            args.duration,
            read_mode=choose_read_mode(args.read, rate, target),
            interval=args.interval,
            seed=args.seed,
        )
        for client in clients
        for rate in args.rate
    ]


def choose_read_mode(wanted: str, rate: float, target: TargetChoice) -> ReadMode:
    """Choose what is read back: at full speed, two cores cannot also decode everything.

    Nor can the embedded broker hand it out far above the full rate: an answer holds one batch of
    each topic, and for each it looks through all batches that it keeps.
    """
    if wanted != "auto":
        return ReadMode(wanted)
    is_too_fast = math.isinf(rate) or (target.is_embedded and rate > MAX_EMBEDDED_DECODE_RATE)
    return ReadMode.COUNT if is_too_fast else ReadMode.DECODE


async def run_all(
    console: Console, plans: Sequence[RunPlan], target: TargetChoice, folder: Path, results: list[RunResult]
) -> int:
    """Make all runs, and add what comes out to the results; return the exit status."""
    for number, plan in enumerate(plans, 1):
        run_folder = folder / f"run{number}"
        run_folder.mkdir()
        view = StressView(plan, results)
        with LiveProgress(console, view.render, view.describe) as live:

            def show(sample: Sample, view: StressView = view, live: LiveProgress = live) -> None:
                view.watch.update(sample)
                live.update()

            results.append(await run_load(plan, target, run_folder, show))
    return 0 if all(result.has_passed for result in results) else 1


def print_results(console: Console, results: Sequence[RunResult]) -> None:
    """Print the tables, and how they are to be read."""
    console.print(make_cost_table(results))
    console.print(make_account_table(results))
    console.print(LATENCY_NOTE, style="dim")
    if not all(result.account.is_read_whole for result in results):
        console.print(
            "Counted: at this rate the processor cannot also decode everything, or the embedded broker not "
            "hand it out; the account is closed by the acknowledgements and the broker's high watermarks, "
            f"and {SAMPLED_TOPIC} alone is read back and decoded.",
            style="dim",
        )
    if any(result.was_cut for result in results):
        console.print(
            "Behind: the client did not keep up with the rate, so the stream was cut some seconds after its "
            "time. (At this rate the TMA would have lost telemetry.)",
            style="dim",
        )


def print_verdict(
    console: Console, results: Sequence[RunResult], num_plans: int, failure: LoadTestError | None
) -> None:
    """Print whether the test has passed, and if not, why."""
    problems = [
        f"{result.client} {result.rate_name}: {problem}" for result in results for problem in result.problems
    ]
    if failure is not None:
        problems.append(str(failure))
    if problems:
        console.print("FAILED:", style="bold red")
        for problem in problems:
            console.print(f"  {problem}", markup=False)
    elif len(results) < num_plans:
        console.print(f"INTERRUPTED after {len(results)} of {num_plans} runs", style="bold red")
    else:
        console.print("PASSED: every frame is accounted for; nothing was lost.", style="bold green")


def write_results(folder: Path, results: Sequence[RunResult], target: str) -> None:
    """Write the report as HTML, and all figures as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    figures = {
        "program": NAME,
        "machine": machine,
        "kafka": target,
        "passed": all(result.has_passed for result in results),
        "runs": [result.as_dict() for result in results],
    }
    (folder / "stress.json").write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n")
    page = make_html_report("Stress test of the telemetry client", results, machine, target)
    (folder / "stress.html").write_text(page, encoding="utf-8")


def parse_rates(text: str) -> list[float]:
    """Parse a comma-separated list of rates."""
    return [parse_rate(rate.strip()) for rate in text.split(",")]


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(prog=NAME, description=DESCRIPTION)
    parser.add_argument(
        "--rate",
        type=parse_rates,
        default=[1.0, 10.0, 100.0, math.inf],
        metavar="LIST",
        help="multiples of the full TMA rate, or 'max', separated by commas (default: 1,10,100,max)",
    )
    parser.add_argument(
        "--duration", type=parse_positive, default=10.0, help="seconds for each rate (default: %(default)g)"
    )
    parser.add_argument(
        "--read",
        choices=["auto", *ReadMode],
        default="auto",
        help="decode everything, or count by the broker's watermarks and decode one topic "
        f"(default: count at the rate 'max', and above {MAX_EMBEDDED_DECODE_RATE:g} on the embedded broker, "
        "which keeps 5 MB of a topic and is slow to hand them out)",
    )
    add_kafka_options(parser)
    clients = parser.add_argument_group("client")
    add_client_option(clients)
    clients.add_argument(
        "--compare", choices=list(COMPARISONS), help="then the same through a client in pure Python"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="write stress.html and stress.json there")
    parser.add_argument("--seed", type=int, default=0, help="seed of all values (default: %(default)s)")
    parser.add_argument(
        "--interval", type=parse_positive, default=1.0, help="seconds between samples (default: %(default)g)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    argv : `Sequence` [`str`], optional
        Arguments; those of the command line by default.

    Returns
    -------
    status : `int`
        Exit status: 0 if every account closes and nothing was lost.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    target = choose_target(args, parser)
    console = make_console()
    console.print(f"{NAME}: {target.describe()}", markup=False)
    folder = Path(tempfile.mkdtemp(prefix="mtmount_stress_"))
    plans = make_plans(args, target)
    results: list[RunResult] = []
    failure: LoadTestError | None = None
    try:
        status = run_interruptible(run_all(console, plans, target, folder, results))
    except LoadTestError as error:
        failure = error
        status = 1
    if results:
        print_results(console, results)
        if args.output is not None:
            write_results(args.output, results, target.describe())
            console.print(f"The report is in {args.output}", markup=False, soft_wrap=True)
    print_verdict(console, results, len(plans), failure)
    if status == 1:
        console.print(f"The output of the programs is in {folder}", markup=False, soft_wrap=True)
    else:
        shutil.rmtree(folder)
    return status


if __name__ == "__main__":
    sys.exit(main())
