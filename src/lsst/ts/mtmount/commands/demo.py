"""The program ``demo_mtmount_telemetry``: from a simulated TMA to records that are checked.

The simulator streams all topics at the full rate, the client program publishes
them to an embedded Kafka, and a reader that shares no code with the client
decodes every record with fastavro. Each value is compared with the frame that
went over the wire. Then the client gets SIGTERM and must end well. With a page
for browsers and no duration it goes on until a signal, and nothing is compared.
"""

import argparse
import asyncio
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table

from ..program.arguments import (
    LOOPBACK,
    ArgumentParser,
    add_tma_interface_option,
    check_extra,
    parse_address,
    parse_seconds,
)
from ..program.event_loop import SignalRelay
from ..tools.load_test.child_program import LoadTestError
from ..tools.load_test.kafka_target import EMBEDDED, TargetChoice
from ..tools.load_test.live_progress import LiveProgress, RunProgress
from ..tools.load_test.load_run import RunPlan, run_load
from ..tools.load_test.run_result import ROLES, RunResult
from ..tools.load_test.tables import (
    LATENCY_NOTE,
    describe_unpublished,
    format_number,
    make_console,
    make_topic_table,
    print_interface,
    print_problems,
)
from ..tools.load_test.target_with_page import TargetWithPage
from .scratch_folder import run_in_scratch_folder
from .shared_options import add_client_option, choose_stream, parse_rate, parse_seed

__all__ = ["main"]

NAME = "demo_mtmount_telemetry"

#: Length of the stream unless it is told, or a page is served [s].
DEFAULT_DURATION = 10.0

#: Where the page is served unless it is told.
DEFAULT_ADDRESS = "5006"

#: Columns of topics in the live view.
NUM_COLUMNS = 2

#: Printed at the end.
FURTHER = """\
Where to look further:
  demo_mtmount_telemetry --web         this, live, as a page in a browser
  monitor_mtmount_telemetry            all topics in Kafka, live; --web 5006 for the page
  stress_mtmount_telemetry             higher rates, every frame accounted for; --output DIR for a report
  run_mtmount_telemetry_client --help  the client
  doc/tutorial.md, doc/how-to          in the project's source: the first steps, and the daily running"""


class DemoProgress(RunProgress):
    """What the demonstration shows while it runs."""

    def __init__(self, plan: RunPlan) -> None:
        super().__init__(plan.duration)
        self._plan = plan

    def render(self) -> RenderableType:
        """Draw the present state."""
        topics = Table.grid(padding=(0, 2))
        for _ in range(NUM_COLUMNS):
            topics.add_column(no_wrap=True)
            topics.add_column(justify="right", min_width=7)
        decoded = [] if self.sample is None else list(self.sample.decoded.items())
        num_rows = -(-len(decoded) // NUM_COLUMNS)
        for row in range(num_rows):
            cells = decoded[row::num_rows]
            topics.add_row(*(text for name, count in cells for text in (name, f"{count:,}")))
        bar = [] if is_endless(self._plan) else [ProgressBar(total=1.0, completed=self.part)]
        return Group(
            f"[bold]TMA simulator ({self._plan.rate:g}x) > {self._plan.client.name} > Kafka > reader[/bold]",
            "",
            topics,
            "",
            *bar,
            super().describe(),
        )

    def describe(self) -> str:
        """Describe the present state in one line."""
        due = "" if is_endless(self._plan) else f" of {self._plan.num_due:,}"
        num_decoded = 0 if self.sample is None else self.sample.total_decoded
        return f"{super().describe()}  read back {num_decoded:,}{due}"


def is_endless(plan: RunPlan) -> bool:
    """Return whether only a signal ends the demonstration."""
    return math.isinf(plan.duration)


async def run_demo(console: Console, plan: RunPlan, target: TargetChoice, folder: Path) -> int:
    """Run the demonstration; return its exit status."""
    length = (
        "until Ctrl-C"
        if is_endless(plan)
        else f"for {plan.duration:g} s: {plan.num_due:,} frames to be published"
    )
    print_interface(console, plan.stream.tma_interface)
    console.print(f"All topics of the TMA at {plan.rate:g}x the full rate {length}")
    progress = DemoProgress(plan)
    try:
        with LiveProgress(console, progress) as live:
            result = await run_load(plan, target, folder, live.update)
    except asyncio.CancelledError:
        if not is_endless(plan):
            raise
        console.print(progress.describe(), highlight=False)
        print_further(console)
        return 0
    console.print(make_topic_table(result))
    return print_totals(console, result)


def print_totals(console: Console, result: RunResult) -> int:
    """Print what the run took, and the verdict; return the exit status."""
    shares = ", ".join(
        f"{role} {format_number(result.streaming.compute_cpu_share(role) * 100, 2)} %" for role in ROLES
    )
    console.print(f"CPU, all threads, of one core: {shares}")
    console.print(
        f"client: {format_number(result.cpu_per_frame * 1e6, 1)} us of CPU a frame, "
        f"{result.series.find_peak_rss('client') / 1e6:.1f} MB at most; "
        f"latency p99.9 {format_number(result.latency.percentile(99.9) * 1e3, 1)} ms, "
        f"max {format_number(result.latency.max * 1e3, 1)} ms"
    )
    console.print(LATENCY_NOTE, style="dim")
    for line in describe_unpublished(result):
        console.print(line, markup=False, soft_wrap=True)
    others = "; each of the other ones" if result.account.unsupported else "; each"
    status = print_problems(
        console,
        result.problems,
        f"{result.account.total_sent:,} frames sent{others} was published, acknowledged and read back, and "
        "every value is that of its frame; the client ended well.",
    )
    print_further(console)
    return status


def print_further(console: Console) -> None:
    """Print where to look further."""
    console.print(f"\n{FURTHER}", markup=False, soft_wrap=True)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = ArgumentParser(
        NAME,
        description="Send telemetry from a simulated TMA through client and Kafka to a reader, and check it.",
    )
    parser.add_argument(
        "--duration",
        type=parse_seconds,
        help=f"seconds (default: {DEFAULT_DURATION:g}; with --web: until a signal, and no value is compared)",
    )
    parser.add_argument(
        "--web",
        nargs="?",
        const=DEFAULT_ADDRESS,
        type=parse_address,
        metavar="[HOST:]PORT",
        help="show it live: serve a page for web browsers of what is in the demonstration's Kafka "
        f"(default: {LOOPBACK}:{DEFAULT_ADDRESS}); needs the extra [web]",
    )
    parser.add_argument(
        "--rate",
        type=parse_multiple,
        default=1.0,
        help="multiple of the TMA's full rate (default: %(default)g)",
    )
    parser.add_argument(
        "--seed", type=parse_seed, default=0, help="seed of all values (default: %(default)s)"
    )
    add_tma_interface_option(parser)
    add_client_option(parser)
    return parser


def parse_multiple(text: str) -> float:
    """Parse a multiple of the full rate; all due frames must be known, so not ``max``."""
    rate = parse_rate(text)
    if math.isinf(rate):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return rate


def main(argv: Sequence[str] | None = None, relay: SignalRelay | None = None) -> int:
    """Run the demonstration with these arguments, or those of the command line; see `run_until_signal`.

    Return the exit status: 0 if nothing was lost, nothing is wrong, and the client ended with
    0 after SIGTERM; 0 after a signal that was to end it.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    console = make_console()
    target, duration = EMBEDDED, args.duration or DEFAULT_DURATION
    if args.web is not None:
        check_extra(parser, "bokeh.server.server", "web", "--web")
        host, port = args.web
        target = TargetWithPage(host=host, port=port, tell=console.print)
        duration = args.duration or math.inf
    plan = RunPlan(
        args.client_command,
        args.rate,
        duration,
        compare=math.isfinite(duration),
        by_signal=True,
        seed=args.seed,
        stream=choose_stream(args, parser),
    )

    async def run(folder: Path) -> int:
        try:
            return await run_demo(console, plan, target, folder)
        except LoadTestError as error:
            return print_problems(console, [str(error)], "")

    return run_in_scratch_folder(run, "mtmount_demo_", console, relay)


if __name__ == "__main__":
    import mtmount_telemetry_launcher

    sys.exit(mtmount_telemetry_launcher.run_demo())
