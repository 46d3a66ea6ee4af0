"""Measures what the TMA's full rate costs, how the producer's linger shifts that, and how long a start takes.

Run as ``python -m bench.pace``, or ``make bench-pace``. For each Kafka and each linger, a bare producer and
the client take turns at the full rate, and the client runs at the highest rate that it reaches. At the full
rate, 218 messages a second of 26 topics, hardly anything is batched: what counts is how often a thread wakes
up and how often the kernel is called. All figures are medians, and in brackets the range. Latencies are from
the time in a frame or message until a reader has it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from lsst.ts.mtmount.sal import PRODUCER_DEFAULTS
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP
from lsst.ts.mtmount.tools.load_test.child_program import ChildProgram
from lsst.ts.mtmount.tools.load_test.client_command import OURS, ClientCommand, parse_client_command
from lsst.ts.mtmount.tools.load_test.kafka_target import TargetChoice
from lsst.ts.mtmount.tools.load_test.latency_histogram import LatencyHistogram
from lsst.ts.mtmount.tools.load_test.run import ReadMode, RunPlan, run_load
from lsst.ts.mtmount.tools.load_test.run_result import RunResult
from lsst.ts.mtmount.tools.load_test.verifier_process import VerifierProcess

from .pages import write_page
from .results import describe_machine
from .services import Services, list_kafkas, run_services

__all__ = ["main"]

#: Length of a run at the highest rate [s].
MAX_DURATION = 10.0

#: Time between two samples, and between two reports that the client writes [s]: twice a second,
#: they were a tenth of what the client takes at the full rate.
SAMPLE_INTERVAL = 2.0

#: Where the output is no terminal, the tables get the room that they need [characters].
PLAIN_WIDTH = 180

#: How long a start may take [s].
START_TIMEOUT = 60.0


def run_client(
    services: Services, client: ClientCommand, linger: float, rate: float, duration: float
) -> RunResult:
    """Run a client once, with that linger [ms]."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "producer.yaml"
        settings.write_text(f"linger.ms: {linger:g}\n")
        variable = f"LSST_KAFKA_PRODUCER_CONFIGURATION={settings}"
        command = ClientCommand(client.name, ("env", variable, *client.template))
        read_mode = ReadMode.COUNT if math.isinf(rate) else ReadMode.DECODE
        plan = RunPlan(command, rate, duration, read_mode, interval=SAMPLE_INTERVAL)
        target = TargetChoice(services.environment)
        result = asyncio.run(run_load(plan, target, Path(folder), lambda sample: None))
    assert result.has_passed, result.problems
    return result


def run_bare_producer(services: Services, linger: float, duration: float) -> tuple[float, LatencyHistogram]:
    """Produce ready messages by the TMA's schedule; return the share of a core, and the latencies."""
    return asyncio.run(_run_bare_producer(services, linger, duration))


async def _run_bare_producer(
    services: Services, linger: float, duration: float
) -> tuple[float, LatencyHistogram]:
    environment = os.environ | services.environment
    names = [RAW_TELEMETRY_MAP[topic_id][0] for topic_id in services.schema_ids]
    command = [sys.executable, "-m", "bench.bare_producer", "--linger", str(linger)]
    command += ["--duration", str(duration), "--schema-ids", json.dumps(services.schema_ids)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            VerifierProcess(names, environment, folder, interval=0.2) as verifier,
            ChildProgram("producer", command, environment, folder, read_output=True) as producer,
        ):
            result = json.loads(await producer.expect_line(duration + START_TIMEOUT))
            # Its messages are all alike, and so not in sequence: only their latency is of interest.
            found = await verifier.finish()
    return result["share"], found.latency


def measure_start(services: Services, client: ClientCommand) -> float:
    """Start a client; return the time until a reader has its first record, which is acknowledged then [s]."""
    with tempfile.TemporaryDirectory() as folder, services.open_reader() as reader:
        services.feed(1)
        command = client.make_command("127.0.0.1", services.port, Path(folder) / "report.json", 60.0)
        environment = os.environ | services.environment
        with (Path(folder) / "log").open("wb") as log:
            start = time.time()
            with subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
                (first, *_) = reader.collect(1, START_TIMEOUT)
                process.send_signal(signal.SIGTERM)
    return first.arrival_time - start


def format_range(values: Sequence[float], digits: int) -> str:
    """Format the median of some figures, and their range."""
    low, middle, high = (f"{figure:,.{digits}f}" for figure in (min(values), median(values), max(values)))
    return f"{middle}\n({low}-{high})"


def measure_linger(
    services: Services, client: ClientCommand, linger: float, args: argparse.Namespace
) -> list[str]:
    """Measure in turns; return the cells of a row."""
    bare: list[tuple[float, LatencyHistogram]] = []
    paced: list[RunResult] = []
    fastest: list[RunResult] = []
    for _ in range(args.rounds):
        bare.append(run_bare_producer(services, linger, args.duration))
        paced.append(run_client(services, client, linger, 1.0, args.duration))
        fastest.append(run_client(services, client, linger, math.inf, min(args.duration, MAX_DURATION)))
    shares = [result.streaming.compute_cpu_share("client") for result in paced]

    def percentiles(latencies: Sequence[LatencyHistogram]) -> list[str]:
        return [
            format_range([1e3 * latency.percentile(percent) for latency in latencies], 1)
            for percent in (50, 99)
        ]

    return [
        format_range([100 * share for share in shares], 2),
        format_range([100 * share for share, _ in bare], 2),
        format_range([100 * (share - other) for share, (other, _) in zip(shares, bare, strict=True)], 2),
        *percentiles([result.latency for result in paced]),
        *percentiles([latency for _, latency in bare]),
        format_range([1e6 * result.cpu_per_frame for result in fastest], 2),
        format_range([result.frames_per_second for result in fastest], 0),
        format_range([result.series.find_peak_rss("client") / 1e6 for result in fastest], 0),
    ]


HEADS = (
    "1x: client\n[% of a core]",
    "1x: bare\nproducer [%]",
    "difference\n[points]",
    "client\np50 [ms]",
    "\np99 [ms]",
    "bare\np50 [ms]",
    "\np99 [ms]",
    "max: client\n[us a frame]",
    "max\n[frames/s]",
    "max\n[MB]",
)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.pace", description=__doc__)
    parser.add_argument(
        "--linger",
        type=lambda text: [float(item) for item in text.split(",")],
        default=[0.0, 2.0],
        metavar="LIST",
        help="values of linger.ms, separated by commas (default: 0,2)",
    )
    parser.add_argument(
        "--duration", type=float, default=12.0, help="seconds at the full rate (default: %(default)g)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each row (default: %(default)s)")
    parser.add_argument(
        "--client-command",
        type=parse_client_command,
        metavar="COMMAND",
        help="another client, such as the observatory's own, whose rows stand beside",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the tables; return the exit status."""
    args = make_parser().parse_args(arguments)
    machine = describe_machine()
    clients = [OURS, *([args.client_command] if args.client_command else [])]
    table = Table(title="The full rate (1x), and the highest one (max)", title_justify="left")
    starts = Table(title="Start: exec to the first record acknowledged [s]", title_justify="left")
    for name in ("Kafka", "client"):
        table.add_column(name)
        starts.add_column(name)
    for head in ("linger\n[ms]", *HEADS):
        table.add_column(head, justify="right")
    starts.add_column("s", justify="right")
    for kafka in list_kafkas():
        with run_services(RAW_TELEMETRY_MAP, is_quick=False, kafka=kafka) as services:
            for client in clients:
                # The first start registers the schemas of the events.
                _, *seconds = (measure_start(services, client) for _ in range(1 + args.rounds))
                starts.add_row(kafka, client.name, format_range(seconds, 2))
                for linger in args.linger:
                    table.add_row(
                        kafka, client.name, f"{linger:g}", *measure_linger(services, client, linger, args)
                    )
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    console.print(table)
    console.print(starts)
    notes = [
        f"Medians of {args.rounds} runs of {args.duration:g} s each, and their ranges; "
        f"linger.ms is {PRODUCER_DEFAULTS['linger.ms']:g} by default."
    ]
    console.print(*notes, highlight=False)
    if args.client_command is None:
        path = write_page(
            "pace", "What the full rate costs", "make bench-pace", [table, starts], machine, notes
        )
        console.print(f"Written to {path}.", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
