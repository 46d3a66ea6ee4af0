"""Measures what the TMA's full rate costs, how the producer's linger shifts that, and how long a start takes.

Run as ``python -m bench.pace``, or ``make bench-pace``. For each Kafka and each linger, a bare producer and
the client run at the full rate, and the client runs at the highest rate that it reaches. What only receives
the telemetry, and throws it away, runs by itself. On Apache Kafka, the salobj backend runs beside, where
``lsst.ts.salobj`` is, and another client, if its command is given. All rows of one Kafka take turns. All
figures are medians, and in brackets the range.

At the full rate, 218 messages a second of 26 topics, hardly anything is batched: what counts is how often a
thread wakes up and how often the kernel is called. Latencies are from the time in a frame or message until a
reader has it.
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
from dataclasses import dataclass, field
from importlib.util import find_spec
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
from lsst.ts.mtmount.tools.load_test.load_run import ReadMode, RunPlan, run_load
from lsst.ts.mtmount.tools.load_test.run_result import RunResult
from lsst.ts.mtmount.tools.load_test.verifier_process import VerifierProcess
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from .pages import write_page
from .results import describe_machine
from .services import APACHE, Services, list_kafkas, run_services

__all__ = ["main"]

#: Length of a run at the highest rate [s].
MAX_DURATION = 10.0

#: Time between two samples, and between two reports that the client writes [s]: twice a second,
#: they were a tenth of what the client takes at the full rate.
SAMPLE_INTERVAL = 2.0

#: Where the output is no terminal, the tables get the room that they need [characters].
PLAIN_WIDTH = 240

#: How long a start may take [s].
START_TIMEOUT = 60.0


#: The client with each backend of SAL; by itself it would take salobj where that is.
BUILTIN, SALOBJ = (
    ClientCommand(f"telemetry client, {backend}", (*OURS.template, f"--sal-backend={backend}"))
    for backend in ("builtin", "salobj")
)


@dataclass
class PaceRow:
    """A client with one linger.

    Parameters
    ----------
    client : `ClientCommand`
        The program.
    linger : `float`, optional
        What linger.ms is set to [ms]; the client's own setting if `None`.
    """

    client: ClientCommand
    linger: float | None = None
    #: Shares of a core, and latencies.
    bare: list[tuple[float, LatencyHistogram]] = field(default_factory=list)
    receiving: list[float] = field(default_factory=list)
    paced: list[RunResult] = field(default_factory=list)
    fastest: list[RunResult] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)  #: [s]

    def measure(self, services: Services, duration: float) -> None:
        """Run everything once."""
        self.starts.append(measure_start(services, self.client))
        linger = PRODUCER_DEFAULTS["linger.ms"] if self.linger is None else self.linger
        self.bare.append(run_bare_producer(services, linger, duration))
        self.receiving.append(asyncio.run(run_bare_receiver(duration)))
        self.paced.append(run_client(services, self.client, self.linger, 1.0, duration))
        self.fastest.append(
            run_client(services, self.client, self.linger, math.inf, min(duration, MAX_DURATION))
        )

    @property
    def cells(self) -> list[str]:
        """The cells under `HEADS`."""
        shares = [result.streaming.compute_cpu_share("client") for result in self.paced]
        differences = [share - other for share, (other, _) in zip(shares, self.bare, strict=True)]
        return [
            "own" if self.linger is None else f"{self.linger:g}",
            format_range([100 * share for share in shares], 2),
            format_range([100 * share for share, _ in self.bare], 2),
            format_range([100 * difference for difference in differences], 2),
            format_range([100 * share for share in self.receiving], 2),
            *format_latencies([result.latency for result in self.paced]),
            *format_latencies([latency for _, latency in self.bare]),
            format_range([result.series.find_peak_rss("client") / 1e6 for result in self.paced], 0),
            format_range([1e6 * result.cpu_per_frame for result in self.fastest], 2),
            format_range([result.frames_per_second for result in self.fastest], 0),
            format_range([result.series.find_peak_rss("client") / 1e6 for result in self.fastest], 0),
        ]


def run_client(
    services: Services, client: ClientCommand, linger: float | None, rate: float, duration: float
) -> RunResult:
    """Run a client once, with that linger [ms]."""
    with tempfile.TemporaryDirectory() as folder:
        command = client
        if linger is not None:
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


async def run_bare_receiver(duration: float) -> float:
    """Receive the full rate, and throw it away; return the share of a core."""
    with tempfile.TemporaryDirectory() as folder:
        async with TmaSimulator() as tma:
            command = [sys.executable, "-m", "bench.bare_receiver"]
            command += ["--port", str(tma.port), "--duration", str(duration)]
            async with ChildProgram(
                "receiver", command, os.environ, Path(folder), read_output=True
            ) as receiver:
                return float(await receiver.expect_line(duration + START_TIMEOUT))


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


def format_latencies(latencies: Sequence[LatencyHistogram]) -> list[str]:
    """Format the median and the 99th percentile [ms] of some runs."""
    return [
        format_range([1e3 * latency.percentile(percent) for latency in latencies], 1) for percent in (50, 99)
    ]


def find_others(args: argparse.Namespace) -> list[ClientCommand]:
    """Find what else can be run on Apache Kafka: the salobj backend, and the client that is given."""
    found = [SALOBJ] if find_spec("lsst.ts.salobj") else []
    if args.client_command is not None:
        name = args.client_name or args.client_command.name
        found.append(ClientCommand(name, args.client_command.template))
    return found


def collect_starts(rows: Sequence[PaceRow]) -> dict[str, list[float]]:
    """Collect the times for starts by the name of the client; the linger makes no difference to them."""
    starts: dict[str, list[float]] = {}
    for row in rows:
        starts.setdefault(row.client.name, []).extend(row.starts)
    return starts


HEADS = (
    "linger\n[ms]",
    "1x: client\n[% of a core]",
    "1x: bare\nproducer [%]",
    "difference\n[points]",
    "receiving\nalone [%]",
    "client\np50 [ms]",
    "\np99 [ms]",
    "bare\np50 [ms]",
    "\np99 [ms]",
    "client\n[MB]",
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
        help="another client, such as the observatory's own, which runs beside on Apache Kafka",
    )
    parser.add_argument("--client-name", metavar="NAME", help="what to call it, with its versions")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the tables; return the exit status."""
    args = make_parser().parse_args(arguments)
    machine = describe_machine()
    table = Table(title="The full rate (1x), and the highest one (max)", title_justify="left")
    starts = Table(title="Start: exec to the first record acknowledged [s]", title_justify="left")
    for name in ("Kafka", "client"):
        table.add_column(name)
        starts.add_column(name)
    for head in HEADS:
        table.add_column(head, justify="right")
    starts.add_column("s", justify="right")
    for kafka in list_kafkas():
        rows = [PaceRow(BUILTIN, linger) for linger in args.linger]
        # salobj creates topics, which the embedded broker cannot.
        if kafka == APACHE:
            rows += [PaceRow(client) for client in find_others(args)]
        with run_services(RAW_TELEMETRY_MAP, is_quick=False, kafka=kafka) as services:
            for row in rows:
                # The first start creates topics, and registers schemas.
                measure_start(services, row.client)
            for _ in range(args.rounds):
                for row in rows:
                    row.measure(services, args.duration)
        for row in rows:
            table.add_row(kafka, row.client.name, *row.cells)
        for name, seconds in collect_starts(rows).items():
            starts.add_row(kafka, name, format_range(seconds, 2))
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    console.print(table)
    console.print(starts)
    notes = [
        f"Medians of {args.rounds} runs of {args.duration:g} s each, and their ranges; "
        f"linger.ms is {PRODUCER_DEFAULTS['linger.ms']:g} by default."
    ]
    console.print(*notes, highlight=False)
    path = write_page("pace", "What the full rate costs", "make bench-pace", [table, starts], machine, notes)
    console.print(f"Written to {path}.", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
