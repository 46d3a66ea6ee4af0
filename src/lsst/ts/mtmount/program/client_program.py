"""The program ``run_mtmount_telemetry_client``: its arguments, what it prints, its exit status."""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ..constants import TELEMETRY_PORT
from ..pipeline.counters import Counters
from ..sal import BACKENDS, SalobjError
from .output import print_line
from .report_file import ReportFile
from .shutdown_watchdog import ShutdownWatchdog
from .which import describe_program

__all__ = ["run_program"]

#: What each line that is printed starts with.
PREFIX = "MTMount telemetry client"

#: Its messages reach SAL, as the client's do.
LOG = logging.getLogger("MTMount").getChild("program")

#: How long the end may take besides the client's ``flush_timeout`` [seconds].
#: salobj's part needs 2 s, and 12 s if Kafka does not answer.
SHUTDOWN_MARGIN = 15.0


class RunnableClient(Protocol):
    """What the program needs of a telemetry client; see `TelemetryClient`."""

    log: logging.Logger
    flush_timeout: float
    failure: Exception | None
    on_end: Callable[[], object] | None
    start_task: asyncio.Future[None]
    done_task: asyncio.Future[None]

    @property
    def counters(self) -> Counters:
        """What became of every frame so far."""

    def describe_loss(self) -> str:
        """Tell what has not reached Kafka yet; from any thread."""

    async def close(self) -> None:
        """End the client, within a bound."""


async def run_program(client_class: Callable[..., RunnableClient]) -> int:
    """Run the program with the arguments in `sys.argv`.

    Parameters
    ----------
    client_class : callable
        Makes the client: `TelemetryClient`, or a subclass.

    Returns
    -------
    status : `int`
        Exit status; see `TelemetryClient.amain`.
    """
    args = parse_arguments()
    if args.which:
        try:
            print(describe_program(args.sal_backend))
        except SalobjError as error:
            print(f"SAL backend: {error}")
            return 1
        return 0
    print_line(f"{PREFIX}: host={args.host}; port={args.port}", LOG)
    print_line(f"{PREFIX} starting", LOG)
    client: RunnableClient | None = None
    report: ReportFile | None = None
    try:
        client = client_class(host=args.host, port=args.port, **_choose_options(args))
        if args.report is not None:
            report = _make_report(args, client)
        client.log.setLevel(args.loglevel)
        with ShutdownWatchdog(
            client.flush_timeout + SHUTDOWN_MARGIN,
            client.describe_loss,
            client.log,
        ) as watchdog:
            client.on_end = watchdog.arm
            await client.start_task
            if not client.done_task.done():
                print_line(f"{PREFIX} running", LOG)
            await client.done_task
        failure = client.failure
    except Exception as error:
        failure = error
    if client is not None:
        await client.close()
        if report is not None:
            report.finish()
    if failure is not None:
        print_line(f"{PREFIX} failed: {failure!r}", LOG)
        return 1
    print_line(f"{PREFIX} done", LOG)
    return 0


def _choose_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options that were asked for; a subclass may know nothing of our additions."""
    options: dict[str, Any] = {}
    if args.strict:
        options["strict"] = True
    if args.sal_backend != "auto":
        options["sal_backend"] = args.sal_backend
    if args.reconnect:
        options["reconnect"] = True
    if args.dead_letter is not None:
        options["dead_letter"] = args.dead_letter
    if args.wait_for_kafka:
        options["wait_for_kafka"] = args.wait_for_kafka
    return options


def _make_report(args: argparse.Namespace, client: RunnableClient) -> ReportFile:
    return ReportFile(args.report, lambda: client.counters.as_dict(), client.log, args.report_interval)


def parse_arguments() -> argparse.Namespace:
    """Parse `sys.argv`; a usage error ends the program with status 2."""
    parser = argparse.ArgumentParser(
        prog="run_mtmount_telemetry_client",
        description="Read telemetry from the TMA and publish it as SAL messages.",
    )
    parser.add_argument("--host", help="IP address of the TMA's telemetry server (required)")
    parser.add_argument("--port", type=int, default=TELEMETRY_PORT, help="port (default: %(default)s)")
    parser.add_argument(
        "--loglevel",
        type=int,
        default=logging.INFO,
        help="log level (DEBUG=10, INFO=20, WARNING=30; 0: that of the parent; default: %(default)s)",
    )
    parser.add_argument(
        "--sal-backend",
        choices=BACKENDS,
        default="auto",
        help="what publishes events and log messages (default: salobj where it is installed)",
    )
    parser.add_argument("--strict", action="store_true", help="end at the first frame that cannot be decoded")
    parser.add_argument(
        "--reconnect",
        action="store_true",
        help="connect again, with a back-off, if the TMA cannot be reached or the telemetry ends",
    )
    parser.add_argument(
        "--dead-letter",
        type=Path,
        metavar="FILE",
        help="keep each dropped frame in this file, as JSON lines; it and three older ones take up to 64 MiB",
    )
    parser.add_argument(
        "--wait-for-kafka",
        type=float,
        nargs="?",
        const=math.inf,
        default=0.0,
        metavar="SECONDS",
        help="at the start, wait for Kafka and the schema registry, that long or until a signal",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="at the end, write the counters as JSON to this file"
    )
    parser.add_argument(
        "--report-interval",
        type=float,
        metavar="SECONDS",
        help="with --report: write them also at this interval",
    )
    parser.add_argument(
        "--which", action="store_true", help="tell which package this program runs, and end; needs no --host"
    )
    args = parser.parse_args()
    if args.host is None and not args.which:
        parser.error("the following arguments are required: --host")
    return args
