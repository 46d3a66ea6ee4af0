"""Program ``run_mock_tma_telemetry``: a simulator of the TMA's telemetry."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..constants import TELEMETRY_PORT
from ..tools.simulator import TmaSimulator

__all__ = ["main", "parse_rate"]

NAME = "run_mock_tma_telemetry"


def parse_rate(text: str) -> float:
    """Parse a multiple of the full rate: a number, or ``max``.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is neither.
    """
    if text == "max":
        return math.inf
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number above 0 nor 'max'")
    return rate


def parse_topics(text: str) -> list[str]:
    """Parse a comma-separated list of topics."""
    return [topic.strip() for topic in text.split(",")]


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Stream the telemetry of a simulated TMA to any number of clients.",
        epilog="SIGTERM and SIGINT end the program; it then prints what was sent.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=TELEMETRY_PORT, help="port; 0 for any free one (default: %(default)s)"
    )
    parser.add_argument(
        "--rate",
        type=parse_rate,
        default=1.0,
        help="multiple of the full TMA rate, or 'max': as fast as the client reads (default: 1)",
    )
    parser.add_argument(
        "--topics", type=parse_topics, help="topic IDs or SAL names, separated by commas (default: all)"
    )
    parser.add_argument(
        "--duration",
        type=float,
        help="end each stream after so many seconds, and the program with the last of them",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all values (default: %(default)s)")
    parser.add_argument("--report", type=Path, help="file to write the counts to at the end, as JSON")
    parser.add_argument("--record", type=Path, help="file to write everything to that is sent")
    parser.add_argument(
        "--stay-open",
        action="store_true",
        help="at the end of a stream, let the client close the connection",
    )
    return parser


def make_report(simulator: TmaSimulator, seconds: float) -> dict[str, Any]:
    """Describe what was sent, ready for JSON.

    Parameters
    ----------
    simulator : `TmaSimulator`
        The simulator.
    seconds : `float`
        How long it ran [s].
    """
    sent = simulator.sent
    return {
        "clients": simulator.num_clients,
        "seconds": seconds,
        "rate": "max" if math.isinf(simulator.rate) else simulator.rate,
        "ticks": simulator.ticks,
        "late_ticks": simulator.late_ticks,
        "frames": simulator.frames_sent,
        "bytes": simulator.bytes_sent,
        "frames_by_topic": {topic.name: sent[topic.topic_id] for topic in simulator.topics},
    }


def print_report(report: dict[str, Any]) -> None:
    """Print what was sent, for people."""
    for name, frames in report["frames_by_topic"].items():
        print(f"{name:24}{frames:12}")
    print(
        f"{NAME}: sent {report['frames']} frames ({report['bytes']} bytes) in {report['ticks']} ticks "
        f"({report['late_ticks']} late) to {report['clients']} clients in {report['seconds']:.1f} s"
    )


async def run(simulator: TmaSimulator) -> dict[str, Any]:
    """Run a simulator until its streams are complete or a signal comes."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    complete = asyncio.create_task(simulator.wait_complete())
    signals = (signal.SIGTERM, signal.SIGINT)
    for signum in signals:
        loop.add_signal_handler(signum, complete.cancel)
    try:
        async with simulator:
            rate = "max" if math.isinf(simulator.rate) else f"{simulator.rate:g}"
            print(f"{NAME}: host={simulator.host}; port={simulator.port}; rate={rate}", flush=True)
            await asyncio.wait([complete])
    finally:
        for signum in signals:
            loop.remove_signal_handler(signum)
    return make_report(simulator, loop.time() - start)


def make_simulator(
    args: argparse.Namespace, parser: argparse.ArgumentParser, record: Callable[[memoryview], object] | None
) -> TmaSimulator:
    """Make the simulator that the command line asks for."""
    try:
        return TmaSimulator(
            host=args.host,
            port=args.port,
            rate=args.rate,
            topics=args.topics,
            duration=args.duration,
            seed=args.seed,
            record=record,
            stay_open=args.stay_open,
        )
    except ValueError as error:
        parser.error(str(error))


async def amain(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the program; return its exit status."""
    try:
        with contextlib.ExitStack() as stack:
            record = None
            if args.record is not None:
                # Unbuffered: who follows the file sees what was sent as soon as it was.
                record = stack.enter_context(args.record.open("wb", buffering=0)).write
            report = await run(make_simulator(args, parser, record))
    except OSError as error:
        print(f"{NAME}: failed: {error}", file=sys.stderr)
        return 1
    print_report(report)
    if args.report is not None:
        args.report.write_text(json.dumps(report, indent=4) + "\n", encoding="utf-8")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program ``run_mock_tma_telemetry``.

    Parameters
    ----------
    argv : `Sequence` [`str`], optional
        Arguments; those of the command line by default.

    Returns
    -------
    status : `int`
        Exit status: 0 at the end of the streams and after SIGTERM or SIGINT.
    """
    parser = make_parser()
    return asyncio.run(amain(parser.parse_args(argv), parser))


if __name__ == "__main__":
    sys.exit(main())
