"""Measures what the TMA's full rate costs, and how the producer's linger shifts that.

Run as ``python -m bench.pace``, or ``make bench-pace``. For each linger, the client runs at the full rate and
at the highest one that it reaches. At the full rate, 218 messages a second of 26 topics, hardly anything is
batched: what counts is how often a thread wakes up and how often the kernel is called. So a producer that
only produces ready messages at the same pace is measured, too: Kafka's client library takes that much alone.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lsst.ts.mtmount.core import DeliveryCounter
from lsst.ts.mtmount.sal import PRODUCER_DEFAULTS
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP
from lsst.ts.mtmount.tools.load_test.client_command import OURS, ClientCommand
from lsst.ts.mtmount.tools.load_test.kafka_target import EMBEDDED
from lsst.ts.mtmount.tools.load_test.run import ReadMode, RunPlan, run_load
from lsst.ts.mtmount.tools.load_test.run_result import RunResult
from lsst.ts.mtmount.tools.simulator import TICK_INTERVAL, select_topics

from .mix import MIX, find_workload
from .producing import FLUSH_TIMEOUT, make_messages
from .results import describe_machine
from .services import Services, report_failure, run_services

__all__ = ["main"]

#: Length of a run at the highest rate [s].
MAX_DURATION = 10.0

#: Time between two samples, and between two reports that the client writes [s]: twice a second,
#: they were a tenth of what the client takes at the full rate.
SAMPLE_INTERVAL = 2.0

#: Ticks between two collections of delivery reports: a second, as in the client.
TICKS_PER_POLL = round(1 / TICK_INTERVAL)


def run_client(linger: float, rate: float, duration: float) -> RunResult:
    """Run the client once, with that linger [ms]."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "producer.yaml"
        settings.write_text(f"linger.ms: {linger:g}\n")
        variable = f"LSST_KAFKA_PRODUCER_CONFIGURATION={settings}"
        client = ClientCommand(OURS.name, ("env", variable, *OURS.template))
        read_mode = ReadMode.COUNT if math.isinf(rate) else ReadMode.DECODE
        plan = RunPlan(client, rate, duration, read_mode, interval=SAMPLE_INTERVAL)
        result = asyncio.run(run_load(plan, EMBEDDED, Path(folder), lambda sample: None))
    assert result.has_passed, result.problems
    return result


def measure_bare_producer(services: Services, linger: float, duration: float) -> float:
    """Produce ready messages by the TMA's schedule; return the share of a core that it takes."""
    messages = dict(zip(find_workload(MIX).topic_ids, make_messages(services), strict=True))
    topics = select_topics()
    producer = services.make_producer({**PRODUCER_DEFAULTS, "linger.ms": linger})
    deliveries = DeliveryCounter(report_failure)
    num_produced = 0
    num_ticks = round(duration / TICK_INTERVAL)
    next_tick = time.monotonic()
    # The first second is for the connections.
    for tick in range(-TICKS_PER_POLL, num_ticks):
        if tick == 0:
            start, cpu_start = time.monotonic(), time.process_time()
        for topic in topics:
            if tick % topic.period == 0:
                producer.produce(*messages[topic.topic_id], b"", 0, deliveries)
                num_produced += 1
        if tick % TICKS_PER_POLL == 0:
            producer.poll(0)
        next_tick += TICK_INTERVAL
        time.sleep(max(next_tick - time.monotonic(), 0))
    share = (time.process_time() - cpu_start) / (time.monotonic() - start)
    producer.flush(FLUSH_TIMEOUT)
    assert deliveries.acknowledged == num_produced
    return share


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.pace", description=__doc__)
    parser.add_argument(
        "--linger",
        type=lambda text: [float(item) for item in text.split(",")],
        default=[0.0, 1.0, 2.0, 5.0, 10.0],
        metavar="LIST",
        help="values of linger.ms, separated by commas (default: 0,1,2,5,10)",
    )
    parser.add_argument(
        "--duration", type=float, default=20.0, help="seconds at the full rate (default: %(default)g)"
    )
    args = parser.parse_args(arguments)
    table = Table(title="The full rate (1x), and the highest one (max)", title_justify="left")
    table.add_column("linger\n[ms]", justify="right")
    for head in (
        "1x: client\n[% of a core]",
        "1x: bare producer\n[% of a core]",
        "1x: latency\np50 [ms]",
        "\np99 [ms]",
        "max: client\n[us a frame]",
        "max\n[frames/s]",
    ):
        table.add_column(head, justify="right")
    with run_services(RAW_TELEMETRY_MAP, is_quick=False) as services:
        for linger in args.linger:
            bare_share = measure_bare_producer(services, linger, args.duration)
            paced = run_client(linger, 1.0, args.duration)
            fastest = run_client(linger, math.inf, MAX_DURATION)
            table.add_row(
                f"{linger:g}",
                f"{100 * paced.streaming.compute_cpu_share('client'):.2f}",
                f"{100 * bare_share:.2f}",
                f"{1000 * paced.latency.percentile(50):.1f}",
                f"{1000 * paced.latency.percentile(99):.1f}",
                f"{1e6 * fastest.cpu_per_frame:.2f}",
                f"{fastest.frames_per_second:,.0f}",
            )
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"linger.ms is {PRODUCER_DEFAULTS['linger.ms']} by default.")
    for name, value in describe_machine().items():
        console.print(f"{name}: {value}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
