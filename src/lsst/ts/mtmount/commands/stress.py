"""The program ``stress_mtmount_telemetry``: how much a client takes, and whether nothing is lost."""

import argparse
import asyncio
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar

from ..program.arguments import (
    ArgumentParser,
    add_tma_interface_option,
    check_extra,
    parse_output_folder,
    parse_recording,
    parse_seconds,
)
from ..program.event_loop import SignalRelay
from ..sal.kafka_settings import SettingsError
from ..tools.load_test.child_program import LoadTestError
from ..tools.load_test.client_command import PLAIN, ClientCommand
from ..tools.load_test.kafka_target import EMBEDDED, TargetChoice
from ..tools.load_test.live_progress import LiveProgress, RunProgress
from ..tools.load_test.load_run import ReadMode, RunPlan, run_load
from ..tools.load_test.report_files import ReportFiles
from ..tools.load_test.run_result import RunResult
from ..tools.load_test.tables import (
    LATENCY_NOTE,
    describe_unpublished,
    make_account_table,
    make_console,
    make_cost_table,
    make_trend_table,
    print_interface,
    print_problems,
)
from ..tools.load_test.tma_stream import RecordedStream, TmaStream
from ..tools.load_test.trends import find_trends, list_growing
from .scratch_folder import run_in_scratch_folder
from .shared_options import add_client_option, choose_stream, parse_rate, parse_seed

__all__ = ["main"]

NAME = "stress_mtmount_telemetry"

#: What ``--compare`` knows.
COMPARISONS = {"plain": PLAIN}

#: What is not asked for: rates, seconds a run, seconds between samples, seconds between lines of progress.
STRESS_DEFAULTS = ([1.0, 10.0, 100.0, math.inf], 10.0, 1.0, 2.0)
SOAK_DEFAULTS = ([20.0], 1800.0, 2.0, 30.0)

#: Multiple of the full rate up to which the embedded broker hands out everything within its time.
MAX_EMBEDDED_DECODE_RATE = 10.0

DESCRIPTION = """
Stream the telemetry of a simulated TMA through a client, at the full rate and multiples of it, one run after
the other, and measure throughput, CPU, memory and latency. Each frame must be found again: the exit status is
0 only if the broker got as many records of each topic as frames were sent, nothing was dropped, and what was
read back is in sequence, with the right private fields and no frame twice or after a later one. All other
values are compared where a recording is decoded (--replay), and by demo_mtmount_telemetry.
"""


class StressProgress(RunProgress):
    """What the stress test shows while it runs: the run that goes on, and the results of those before."""

    def __init__(self, plan: RunPlan, results: Sequence[RunResult]) -> None:
        super().__init__(plan.stream.find_duration(plan.rate, plan.duration))
        self._plan = plan
        self._results = results

    def render(self) -> RenderableType:
        """Draw the present state."""
        return Group(
            *([make_cost_table(self._results)] if self._results else []),
            f"[bold]{describe_plan(self._plan)}[/bold]",
            ProgressBar(total=1.0, completed=self.part),
            super().describe(),
        )

    def describe(self) -> str:
        """Describe the present state in one line."""
        return f"{describe_plan(self._plan)}: {super().describe()}"


def describe_plan(plan: RunPlan) -> str:
    """Describe a run that is to be made."""
    rate = "as fast as it can" if math.isinf(plan.rate) else f"at {plan.rate:g}x"
    if isinstance(plan.stream, RecordedStream):
        return f"{plan.client.name}, a recording {rate}"
    return f"{plan.client.name} {rate} for {plan.duration:g} s"


def make_plans(args: argparse.Namespace, target: TargetChoice, stream: TmaStream) -> list[RunPlan]:
    """Plan the runs that the command line asks for."""
    modes = {rate: choose_read_mode(args.read, rate, target, is_soak=args.soak) for rate in args.rate}
    clients: list[ClientCommand] = [args.client_command]
    if args.compare is not None:
        clients.append(COMPARISONS[args.compare])
    return [
        RunPlan(
            client,
            rate,
            args.duration,
            read_mode=modes[rate],
            # The frames of a recording may be anything: each record is compared with its own.
            compare=isinstance(stream, RecordedStream) and modes[rate] is ReadMode.DECODE,
            interval=args.interval,
            seed=args.seed or 0,
            stream=stream,
        )
        for client in clients
        for rate in args.rate
    ]


def choose_read_mode(wanted: str, rate: float, target: TargetChoice, *, is_soak: bool = False) -> ReadMode:
    """Choose what is read back: at full speed, two cores cannot also decode everything.

    Nor can the embedded broker hand it out far above the full rate, or for long: an answer holds one batch of
    each topic, and for each it looks through all batches that it keeps.
    """
    if wanted != "auto":
        return ReadMode(wanted)
    is_too_much = target.is_embedded and (is_soak or rate > MAX_EMBEDDED_DECODE_RATE)
    return ReadMode.COUNT if is_too_much or math.isinf(rate) else ReadMode.DECODE


async def run_all(
    console: Console,
    args: argparse.Namespace,
    target: TargetChoice,
    plans: Sequence[RunPlan],
    folder: Path,
    results: list[RunResult],
) -> None:
    """Make all runs, and add what comes out to the results."""
    for number, plan in enumerate(plans, 1):
        run_folder = folder / f"run{number}"
        run_folder.mkdir()
        progress = StressProgress(plan, results)
        with LiveProgress(console, progress, line_interval=args.line_interval) as live:
            results.append(await run_load(plan, target, run_folder, live.update))


def print_results(console: Console, results: Sequence[RunResult]) -> None:
    """Print the tables, and how they are to be read."""
    console.print(make_cost_table(results))
    console.print(make_account_table(results))
    for result in results:
        for line in describe_unpublished(result):
            console.print(f"{result.client} {result.rate_name}: {line}", markup=False, soft_wrap=True)
    console.print(LATENCY_NOTE, style="dim")
    if not all(result.account.is_read_whole for result in results):
        console.print(
            "Counted: at this rate the processor cannot also decode everything, or the embedded broker not "
            "hand it out; the account is closed by the acknowledgements and the broker's high watermarks, "
            "and one topic alone is read back and decoded.",
            style="dim",
        )
    if any(result.was_cut for result in results):
        console.print(
            "Behind: the client did not keep up with the rate, so the stream was cut some seconds after its "
            "time; a recording is sent to its end. (At this rate the TMA would have lost telemetry.)",
            style="dim",
        )


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = ArgumentParser(NAME, description=DESCRIPTION)
    parser.add_argument(
        "--soak",
        action="store_true",
        help="one long run, after which memory, open files, threads and latency must not have grown",
    )
    parser.add_argument(
        "--rate",
        type=lambda text: [parse_rate(rate.strip()) for rate in text.split(",")],
        metavar="LIST",
        help="multiples of the full TMA rate, or 'max', separated by commas (default: 1,10,100,max; "
        "with --soak: 20)",
    )
    parser.add_argument(
        "--duration", type=parse_seconds, help="seconds for each rate (default: 10; with --soak: 1800)"
    )
    parser.add_argument(
        "--read",
        choices=["auto", *ReadMode],
        default="auto",
        help="decode everything, or count by the broker's watermarks and decode one topic "
        f"(default: count at the rate 'max', and above {MAX_EMBEDDED_DECODE_RATE:g} or with --soak on the "
        "embedded broker, which keeps 5 MB of a topic and is slow to hand them out)",
    )
    parser.add_argument(
        "--replay",
        type=parse_recording,
        metavar="PATH",
        help="stream a recording, or all of a folder, instead of simulated values; --rate 1 is as recorded "
        "(default: 1). Time stamps are moved to the time of sending",
    )
    add_tma_interface_option(parser)
    kafka = parser.add_argument_group("Kafka (default: an embedded one, new for each run)")
    kafka.add_argument("--broker", metavar="ADDRESS", help="bootstrap servers of a given Kafka")
    kafka.add_argument("--registry", metavar="URL", help="its schema registry")
    kafka.add_argument(
        "--external", action="store_true", help="the Kafka that the LSST_... environment variables name"
    )
    clients = parser.add_argument_group("client")
    add_client_option(clients)
    clients.add_argument(
        "--compare", choices=list(COMPARISONS), help="then test a client in pure Python in the same way"
    )
    parser.add_argument(
        "--output",
        type=parse_output_folder,
        metavar="DIR",
        help="write stress.html, stress.md and stress.json there; with --soak: soak.html and so on",
    )
    parser.add_argument("--seed", type=parse_seed, help="seed of all values (default: 0)")
    parser.add_argument(
        "--interval", type=parse_seconds, help="seconds between samples (default: 1; with --soak: 2)"
    )
    return parser


def parse_arguments(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line, and fill in the defaults of the mode."""
    args = parser.parse_args(argv)
    if args.replay is not None:
        for option in ("soak", "duration", "seed"):
            if getattr(args, option):
                parser.error(f"argument --{option}: expected none beside --replay")
        check_extra(parser, "zstandard", "record", "--replay")
        args.rate = args.rate or [1.0]
    rates, duration, interval, args.line_interval = SOAK_DEFAULTS if args.soak else STRESS_DEFAULTS
    args.rate = args.rate or rates
    args.duration = args.duration or duration
    args.interval = args.interval or interval
    if args.soak and (len(args.rate) > 1 or math.isinf(args.rate[0])):
        parser.error("expected one number for --rate with --soak")
    if args.soak and args.compare is not None:
        parser.error("expected no --compare with --soak, which tests one client")
    return args


def choose_target(args: argparse.Namespace, parser: argparse.ArgumentParser) -> TargetChoice:
    """Choose the Kafka that the options ask for."""
    if (args.broker is None) != (args.registry is None):
        parser.error("expected --broker and --registry together, got one of them")
    if args.external and args.broker is not None:
        parser.error("argument --external: expected none beside --broker and --registry")
    if args.broker is not None:
        target = TargetChoice(
            {"LSST_KAFKA_BROKER_ADDR": args.broker, "LSST_SCHEMA_REGISTRY_URL": args.registry}
        )
    else:
        target = TargetChoice({}) if args.external else EMBEDDED
    try:
        target.describe()
    except SettingsError as error:
        parser.error(str(error))
    return target


def main(argv: Sequence[str] | None = None, relay: SignalRelay | None = None) -> int:
    """Run the program with these arguments, or those of the command line; see `run_until_signal`.

    Return the exit status: 0 if every frame is accounted for and nothing was lost; with ``--soak``
    also only if nothing grows and the client kept up.
    """
    parser = make_parser()
    args = parse_arguments(parser, argv)
    target = choose_target(args, parser)
    stream = choose_stream(args, parser)
    if isinstance(stream, RecordedStream):
        try:
            for rate in args.rate:
                stream.check_rate(rate)
        except ValueError as error:
            parser.error(f"argument --replay: {error}")
    plans = make_plans(args, target, stream)
    files = None
    if args.output is not None:
        try:
            files = ReportFiles(args.output, "soak" if args.soak else "stress", target.describe())
        except OSError as error:
            parser.error(f"argument --output: {error.filename}: {error.strerror}")
    console = make_console()
    results: list[RunResult] = []

    async def run(folder: Path) -> int:
        console.print(f"{NAME}: {target.describe()}", markup=False)
        print_interface(console, stream.tma_interface)
        failures = []
        try:
            await run_all(console, args, target, plans, folder, results)
        except LoadTestError as error:
            failures.append(str(error))
        except asyncio.CancelledError:
            report(console, args, results, files)
            console.print(f"INTERRUPTED after {len(results)} runs", style="bold red")
            raise
        problems = report(console, args, results, files) + failures
        return print_problems(console, problems, "every frame is accounted for; nothing was lost.")

    return run_in_scratch_folder(run, "mtmount_stress_", console, relay)


def report(
    console: Console, args: argparse.Namespace, results: Sequence[RunResult], files: ReportFiles | None
) -> list[str]:
    """Print and write what came out; return what is wrong with it."""
    if not results:
        return []
    print_results(console, results)
    trends = find_trends(results[0]) if args.soak else []
    if trends:
        console.print(make_trend_table(trends))
    problems = [
        f"{result.client} {result.rate_name}: {problem}" for result in results for problem in result.problems
    ]
    if args.soak:
        problems += list_growing(trends)
        problems += ["the client did not keep up with the rate"] if results[0].was_cut else []
    if files is not None:
        try:
            files.write(results, trends, passed=not problems)
            console.print(f"The report is in {args.output}", markup=False, soft_wrap=True)
        except OSError as error:
            problems.append(f"--output {error.filename}: {error.strerror}")
    return problems


if __name__ == "__main__":
    import mtmount_telemetry_launcher

    sys.exit(mtmount_telemetry_launcher.run_stress())
