"""Program ``run_mock_tma_telemetry``: a simulator of the TMA's telemetry."""

import argparse
import asyncio
import contextlib
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..constants import TELEMETRY_PORT
from ..program.arguments import (
    ArgumentParser,
    add_tma_interface_option,
    check_distinct,
    check_extra,
    find_tma_interface,
    parse_host,
    parse_output_file,
    parse_recording,
    parse_seconds,
    parse_server_port,
    print_error,
)
from ..program.event_loop import SignalRelay
from ..recording import RecordingError, find_files
from ..recording.mcap_channels import TOPIC_PREFIX
from ..recording.times import parse_time
from ..resilience.daemon_thread import run_in_daemon_thread
from ..resilience.escape import describe_error
from ..resilience.output_file import OutputFile, write_all
from ..tma_interface import TmaInterface, describe_choice
from ..tools.simulator import TmaSimulator
from ..tools.simulator.replay import Replay
from ..tools.simulator.replay_server import ReplayServer
from .runner import SignalReceivedError, run_until_signal, wait_for_signal
from .shared_options import parse_rate, parse_seed, parse_topics

__all__ = ["main"]

NAME = "run_mock_tma_telemetry"


def make_parser() -> ArgumentParser:
    """Make the parser of the command line."""
    parser = ArgumentParser(
        NAME,
        description="Stream the telemetry of a simulated TMA to any number of clients.",
        epilog="SIGTERM, SIGINT and SIGHUP end the program; it then prints what was sent.",
    )
    parser.add_argument(
        "--host", type=parse_host, default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=parse_server_port,
        default=TELEMETRY_PORT,
        help="port; 0 for any free one (default: %(default)s)",
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
        type=parse_seconds,
        metavar="SECONDS",
        help="end each stream after this time, and the program with the last of them",
    )
    parser.add_argument(
        "--wait",
        type=parse_seconds,
        metavar="SECONDS",
        help="with --duration or --replay: end when no client was there for this time "
        "(default: that of --duration)",
    )
    parser.add_argument("--seed", type=parse_seed, help="seed of all values (default: 0)")
    parser.add_argument(
        "--report",
        type=parse_output_file,
        metavar="FILE",
        help="file for the counts at the end, as JSON",
    )
    parser.add_argument(
        "--record", type=parse_output_file, metavar="FILE", help="file for everything that is sent"
    )
    parser.add_argument(
        "--replay",
        type=parse_recording,
        metavar="PATH",
        help="stream a recording, or all of a folder, instead; --rate 1: as fast as recorded",
    )
    parser.add_argument(
        "--shift-time",
        action="store_true",
        help="with --replay: move all time stamps by the time from the recorded arrival to the sending",
    )
    for option, what in (("--from", "at or after"), ("--to", "before")):
        parser.add_argument(
            option,
            type=_parse_time,
            dest="first" if option == "--from" else "stop",
            metavar="TIME",
            help=f"with --replay: only what was received {what} this time (ISO 8601, UTC)",
        )
    parser.add_argument(
        "--stay-open",
        action="store_true",
        help="at the end of a stream, let the client close the connection",
    )
    add_tma_interface_option(parser)
    return parser


def _parse_time(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def make_replay(args: argparse.Namespace, interface: TmaInterface) -> Replay:
    """Make the replay that the command line asks for."""
    return Replay(
        find_files(args.replay),
        rate=args.rate,
        shift_time=args.shift_time,
        first=args.first or 0,
        stop=2**64 if args.stop is None else args.stop,
        topics=args.topics,
        interface=interface,
    )


async def check_replay(replay: Replay, path: Path) -> None:
    """Raise `RecordingError` if a replay has no frames to send; to find the first one may take long."""
    if await run_in_daemon_thread(next, replay.read(), None) is None:
        raise RecordingError(f"{path}: expected frames that are asked for, got none")


def make_simulator(
    args: argparse.Namespace,
    interface: TmaInterface,
    replay: Replay | None,
    record: Callable[[memoryview], object] | None,
) -> TmaSimulator | ReplayServer:
    """Make what the command line asks for; `ValueError` if an argument cannot be used."""
    if replay is not None:
        return ReplayServer(
            replay,
            host=args.host,
            port=args.port,
            record=record,
            stay_open=args.stay_open,
        )
    return TmaSimulator(
        host=args.host,
        port=args.port,
        rate=args.rate,
        topics=args.topics,
        duration=args.duration,
        seed=args.seed or 0,
        record=record,
        stay_open=args.stay_open,
        interface=interface,
    )


def make_report(server: TmaSimulator | ReplayServer, seconds: float) -> dict[str, Any]:
    """Describe what was sent in this time [s], ready for JSON."""
    ticks: dict[str, int] = {}
    if isinstance(server, TmaSimulator):
        ticks = {"ticks": server.totals.ticks, "late_ticks": server.totals.late_ticks}
        sent = server.sent
        by_topic = {topic.name: sent[topic.topic_id] for topic in server.topics}
    else:
        by_topic = {name.removeprefix(TOPIC_PREFIX): count for name, count in sorted(server.sent.items())}
    return {
        "clients": server.num_clients,
        "seconds": seconds,
        "rate": "max" if math.isinf(server.rate) else server.rate,
        **ticks,
        "frames": server.frames_sent,
        "bytes": server.bytes_sent,
        "frames_by_topic": by_topic,
    }


def print_report(report: dict[str, Any]) -> None:
    """Print what was sent, for people."""
    for name, frames in report["frames_by_topic"].items():
        print(f"{name:24}{frames:12}")
    ticks = f"in {report['ticks']} ticks ({report['late_ticks']} late) " if "ticks" in report else ""
    print(
        f"{NAME}: sent {report['frames']} frames ({report['bytes']} bytes) {ticks}"
        f"to {report['clients']} clients in {report['seconds']:.1f} s"
    )


class SentFile:
    """Writes what was sent to a file, until that fails.

    It is not buffered: who follows the file sees what was sent as soon as it was.
    """

    def __init__(self, file: OutputFile) -> None:
        self.error: OSError | None = None  #: Why the file is not complete
        self._path = file.path
        self._file = file.open()

    def write(self, data: memoryview) -> None:
        """Write data; the first failure is told and ends the recording, but not the telemetry."""
        if self.error is None:
            try:
                write_all(self._file.fileno(), data)
            except OSError as error:
                self.error = error
                print_error(NAME, f"--record {self._path}: {error.strerror}; nothing more is recorded")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


async def run(
    simulator: TmaSimulator | ReplayServer, idle_timeout: float | None, interface: TmaInterface
) -> dict[str, Any]:
    """Run a simulator, or a replay, until its streams are complete, no client is there, or a signal comes."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with simulator:
        rate = "max" if math.isinf(simulator.rate) else f"{simulator.rate:g}"
        print(f"{NAME}: host={simulator.host}; port={simulator.port}; rate={rate}")
        if isinstance(simulator, TmaSimulator):
            for _, line in describe_choice(interface):
                print(f"{NAME}: {line}")
        with contextlib.suppress(SignalReceivedError):
            await wait_for_signal(simulator.wait_complete(idle_timeout))
    return make_report(simulator, loop.time() - start)


async def amain(args: argparse.Namespace, parser: ArgumentParser) -> int:
    """Run the program; return its exit status."""
    recording = None
    try:
        if args.record is not None:
            recording = SentFile(args.record)
        interface = find_tma_interface(parser, args)
        replay = None if args.replay is None else make_replay(args, interface)
        simulator = make_simulator(args, interface, replay, None if recording is None else recording.write)
        report = make_report(simulator, 0.0)
        with contextlib.suppress(SignalReceivedError):
            if replay is not None:
                await wait_for_signal(check_replay(replay, args.replay))
            report = await run(simulator, args.wait or args.duration, interface)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        where = "" if error.filename is not None else f"--host {args.host} --port {args.port}: "
        print_error(NAME, f"{where}{describe_error(error)}")
        return 1
    finally:
        if recording is not None:
            recording.close()
    print_report(report)
    if args.report is not None:
        try:
            args.report.replace((json.dumps(report, indent=4) + "\n").encode())
        except OSError as error:
            print_error(NAME, f"--report {args.report.path}: {error.strerror}")
            return 1
    if isinstance(simulator, ReplayServer) and simulator.error is not None:
        print_error(NAME, f"--replay: {simulator.error}")
        return 1
    return 1 if recording is not None and recording.error is not None else 0


def check_none(parser: ArgumentParser, options: Mapping[str, object], where: str) -> None:
    """End with a usage error if an option is given where it means nothing."""
    for option, value in options.items():
        if value is not None:
            parser.error(f"argument {option}: expected none {where}")


def main(argv: Sequence[str] | None = None, relay: SignalRelay | None = None) -> int:
    """Run the program with these arguments, or those of the command line; see `run_until_signal`.

    Return the exit status: 0 at the end of the streams and after SIGTERM or SIGINT; 1 if it could
    not listen, or ``--record`` or ``--report`` could not be written.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.wait is not None and args.duration is None and args.replay is None:
        parser.error("expected --duration or --replay beside --wait")
    if args.replay is None:
        given = {"--shift-time": args.shift_time or None, "--from": args.first, "--to": args.stop}
        check_none(parser, given, "without --replay")
    else:
        check_none(parser, {"--duration": args.duration, "--seed": args.seed}, "beside --replay")
        check_extra(parser, "zstandard", "record", "--replay")
    check_distinct(parser, {"--report": args.report, "--record": args.record})
    return run_until_signal(amain(args, parser), relay)


if __name__ == "__main__":
    import mtmount_telemetry_launcher

    sys.exit(mtmount_telemetry_launcher.run_mock_tma())
