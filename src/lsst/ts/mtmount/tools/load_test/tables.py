"""Tables for the terminal, and as Markdown."""

import math
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...tma_interface import TmaInterface, describe_choice, list_names
from .frame_counts import FrameCounts, TopicCounts
from .latency_histogram import LatencyHistogram
from .run_result import ROLES, RunResult
from .trends import Trend
from .verifier_process import BUSY_FETCH_WAIT, FETCH_WAIT

__all__ = [
    "LATENCY_NOTE",
    "describe_unpublished",
    "format_markdown",
    "format_number",
    "list_costs",
    "make_account_table",
    "make_console",
    "make_cost_table",
    "make_topic_table",
    "make_trend_table",
    "print_interface",
    "print_problems",
]

#: Width where the output is not a terminal [characters].
PLAIN_WIDTH = 120

#: How the latency is measured.
LATENCY_NOTE = (
    "Latency: from the time stamp that the simulator puts into a frame when it hands it to the socket, "
    "until an independent reader has the record from the broker. The embedded broker answers a waiting "
    f"reader only when its time is over, so the reader asks anew every {FETCH_WAIT * 1e3:g} ms, which adds "
    f"some {FETCH_WAIT * 5e2:g} ms; above the full rate every {BUSY_FETCH_WAIT * 1e3:g} ms, which adds some "
    f"{BUSY_FETCH_WAIT * 5e2:g} ms. In a long run at 10x that broker is slow to hand out everything, and the "
    "latency is its own: use a real Kafka."
)

#: Percentiles of the latency in the terminal, where there is little room.
TOLD_PERCENTILES = (50, 99, 99.9)

VERDICT_STYLES = {"ok": "green", "behind": "yellow", "FAILED": "bold red"}

UNKNOWN = "-"


def make_console() -> Console:
    """Make a console; where it is not a terminal, tables get the room that they need."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def format_number(value: float, digits: int = 0) -> str:
    """Format a number for people; what is not known is a dash."""
    return UNKNOWN if math.isnan(value) else f"{value:,.{digits}f}"


def format_markdown(table: Table) -> str:
    """Format a table as Markdown; heads that are cut into lines are joined."""
    heads = [str(column.header).replace("-\n", "").replace("\n", " ").strip() for column in table.columns]
    rules = ["---:" if column.justify == "right" else "---" for column in table.columns]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    return "\n".join(
        f"| {' | '.join(str(cell).replace(chr(10), ' ') for cell in row)} |" for row in (heads, rules, *rows)
    )


def make_topic_table(result: RunResult) -> Table:
    """Make the table of one run, topic by topic."""
    table = _make_table(
        ["topic"],
        [
            "sent",
            "pub-\nlished",
            "de-\ncoded",
            "rate\n1/s",
            "p50\nms",
            "p99\nms",
            "drop-\nped",
            "lost",
            "wrong",
        ],
    )
    account = result.account
    for name, topic in account.topics.items():
        assert topic.read_back is not None
        decoded, latency = topic.read_back.decoded, topic.read_back.latency
        table.add_row(name, *_list_counts(topic, topic.published, decoded, latency, result.elapsed))
    for name, sent in account.unsupported.items():
        table.add_row(f"{name}: not in SAL", str(sent), style="dim")
    table.add_section()
    decoded = account.read_back.sum_up("decoded")
    counts = _list_counts(account, account.total_written, decoded, result.latency, result.elapsed)
    table.add_row("all topics", *counts, style="bold")
    return table


def _list_counts(
    account: TopicCounts | FrameCounts,
    published: int,
    decoded: int,
    latency: LatencyHistogram,
    elapsed: float,
) -> list[str | Text]:
    """List what the table of topics tells of one of them, or of all."""
    sent = account.total_sent if isinstance(account, FrameCounts) else account.sent
    return [
        *(str(count) for count in (sent, published, decoded)),
        format_number(published / elapsed if elapsed > 0 else math.nan, 1),
        *(_format_latency(latency.percentile(percent)) for percent in (50, 99)),
        *(_mark(count) for count in (account.dropped, account.lost, account.wrong)),
    ]


def list_costs(result: RunResult) -> list[str]:
    """List what a run achieved, and what that took, as `make_cost_table` has it."""
    streaming = result.streaming
    shares = {role: streaming.compute_cpu_share(role) * 100 for role in ROLES}
    return [
        format_number(result.frames_per_second),
        format_number(result.bytes_per_second / 1e6, 1),
        format_number(result.late_ticks),
        format_number(shares["client"], 2),
        format_number(result.cpu_per_frame * 1e6, 1),
        format_number(result.series.find_peak_rss("client") / 1e6, 1),
        format_number(streaming.find_max_queue_depth()),
        *(format_number(shares[role], 1) for role in ROLES[1:]),
    ]


def make_cost_table(results: Iterable[RunResult]) -> Table:
    """Make the table of what some runs achieved, and what that took."""
    table = _make_table(
        ["client", "rate"],
        ["frames/s", "MB/s", "late\nticks", "client\nCPU %", "us a\nframe", "MB", "queue"]
        + [f"{role}\nCPU %" for role in ROLES[1:]],
    )
    for result in results:
        table.add_row(result.client, result.rate_name, *list_costs(result))
    return table


def make_account_table(results: Iterable[RunResult]) -> Table:
    """Make the table of where the frames of some runs went, and when they came."""
    table = _make_table(
        ["client", "rate"],
        ["sent", "acknow-\nledged", "at the\nbroker", "read back", "drop-\nped", "lost"]
        + [f"p{percent:g}\nms" for percent in TOLD_PERCENTILES]
        + ["max\nms", ""],
    )
    for result in results:
        account, latency = result.account, result.latency
        acknowledged = math.nan if account.counters is None else account.counters["acknowledged"]
        decoded = account.read_back.sum_up("decoded")
        table.add_row(
            result.client,
            result.rate_name,
            f"{account.total_sent:,}",
            format_number(acknowledged),
            f"{account.total_written:,}",
            f"{decoded:,}" if account.is_read_whole else "counted",
            _mark(account.dropped),
            _mark(account.lost),
            *(_format_latency(latency.percentile(percent)) for percent in TOLD_PERCENTILES),
            _format_latency(latency.max),
            Text(result.verdict, VERDICT_STYLES[result.verdict]),
        )
    return table


def describe_unpublished(result: RunResult) -> list[str]:
    """Describe the frames of a run that the client must not publish, for people; empty if there are none."""
    account = result.account
    lines = []
    if account.unsupported:
        topics = list_names(f"{name} ({sent:,} frames)" for name, sent in account.unsupported.items())
        lines.append(f"Unsupported, as SAL lacks these topics: {topics}")
    if account.invalid:
        lines.append(
            f"{account.invalid:,} frames of the recording cannot be published; the client drops them"
        )
    return lines


def make_trend_table(trends: Iterable[Trend]) -> Table:
    """Make the table of what grew in a long run."""
    table = _make_table(["after the warm-up"], ["median", "growth", "limit", ""])
    for trend in trends:
        table.add_row(
            trend.name,
            *(format_number(figure, 2) for figure in (trend.level, trend.growth, trend.limit)),
            Text("flat", "green") if trend.is_flat else Text("GROWS", "bold red"),
        )
    return table


def print_interface(console: Console, interface: TmaInterface) -> None:
    """Print which interface of the TMA is used, and how it differs from the packaged one."""
    for _, line in describe_choice(interface):
        console.print(line, markup=False, soft_wrap=True)


def print_problems(console: Console, problems: Sequence[str], praise: str) -> int:
    """Print the verdict: the problems, or that there are none; return the exit status."""
    if not problems:
        console.print(f"PASSED: {praise}", style="bold green")
        return 0
    console.print("FAILED:", style="bold red")
    for problem in problems:
        console.print(f"  {problem}", markup=False, soft_wrap=True)
    return 1


def _make_table(names: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for header in names:
        table.add_column(header, no_wrap=True, vertical="bottom")
    for header in numbers:
        table.add_column(header, justify="right", no_wrap=True)
    return table


def _format_latency(latency: float) -> str:
    """Format a latency [s] in milliseconds; long ones without decimals."""
    return format_number(latency * 1e3, 1 if latency < 0.1 else 0)


def _mark(count: int) -> Text:
    """Make a count that should be 0 stand out if it is not."""
    return Text(f"{count:,}", "bold red" if count else "")
