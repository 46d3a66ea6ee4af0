"""Program ``record_tma_telemetry``: records the TMA's telemetry, without Kafka."""

import argparse
import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Sequence

from ..constants import LINE_TERMINATOR, TELEMETRY_PORT, TELEMETRY_TIMEOUT
from ..program.arguments import (
    ArgumentParser,
    add_tma_interface_option,
    check_extra,
    find_tma_interface,
    parse_host,
    parse_output_folder,
    parse_port,
    parse_record_limit,
    parse_seconds,
    print_error,
)
from ..program.event_loop import SignalRelay
from ..program.log_format import LogFormatter
from ..recording import DEFAULT_LIMIT, Recorder
from ..resilience.daemon_thread import run_in_daemon_thread
from ..resilience.escape import describe_error, escape
from ..resilience.rate_limited_log import RateLimitedLog
from ..sal.tai import LEAP_SECOND_TABLE
from ..tcp.client import Client
from ..tma_interface import TmaInterface, log_choice
from .runner import SignalReceivedError, run_until_signal, wait_for_signal

__all__ = ["main"]

NAME = "record_tma_telemetry"

#: What is received at once [bytes].
RECEIVE_SIZE = 256 * 1024

#: How long connecting may take [s].
CONNECTION_TIMEOUT = 10.0

#: How often it is told that nothing comes [s].
WARNING_INTERVAL = 60.0


def make_parser() -> ArgumentParser:
    """Make the parser of the command line."""
    parser = ArgumentParser(
        NAME,
        description="Record the telemetry of the TMA in MCAP files, as the client's --record does, "
        "but publish nothing.",
        epilog="SIGTERM, SIGINT and SIGHUP end the program.",
    )
    parser.add_argument(
        "--host", type=parse_host, required=True, help="name or IP address of the TMA's telemetry server"
    )
    parser.add_argument(
        "--port", type=parse_port, default=TELEMETRY_PORT, help="its port (default: %(default)s)"
    )
    parser.add_argument(
        "--output", type=parse_output_folder, required=True, metavar="FOLDER", help="folder for the files"
    )
    parser.add_argument(
        "--duration", type=parse_seconds, metavar="SECONDS", help="end after this time (default: never)"
    )
    parser.add_argument(
        "--record-limit",
        type=parse_record_limit,
        default=DEFAULT_LIMIT,
        metavar="GIB",
        help="limit for all recordings in that folder, in GiB; the oldest are deleted "
        f"(default: {DEFAULT_LIMIT >> 30})",
    )
    add_tma_interface_option(parser)
    return parser


async def record(duration: float | None, host: str, port: int, recorder: Recorder) -> bool:
    """Record for some seconds; return whether the TMA closed the connection before.

    `OSError` if there is no connection, or it breaks.
    """
    client = Client(host, port, logging.getLogger(NAME), name="", terminator=LINE_TERMINATOR)
    log = RateLimitedLog(logging.getLogger(NAME), max_lines=1, interval=WARNING_INTERVAL)
    try:
        async with asyncio.timeout(duration) as limit:
            try:
                async with asyncio.timeout(CONNECTION_TIMEOUT):
                    await client.start_task
            except TimeoutError:
                raise ConnectionError(f"no connection within {CONNECTION_TIMEOUT:g} s") from None
            print(f"{NAME}: recording {host}:{port}")
            with contextlib.suppress(ConnectionError):
                while client.connected:
                    recorder.record(await read_some(client, log))
    except TimeoutError:
        if not limit.expired():
            raise
        return False
    finally:
        await client.close()
        log.flush(force=True)
    return True


async def read_some(client: Client, log: RateLimitedLog) -> bytes:
    """Read what comes; warn while nothing does, and tell when it goes on."""
    start = time.monotonic()
    interval: float = TELEMETRY_TIMEOUT
    is_told = False
    while True:
        try:
            async with asyncio.timeout(interval) as limit:
                data = await client.read(RECEIVE_SIZE)
        except TimeoutError:
            if not limit.expired():
                raise
            text = f"no telemetry from {client.host}:{client.port} for {time.monotonic() - start:.0f} s"
            is_told |= log.log("No telemetry", logging.WARNING, text)
            interval = WARNING_INTERVAL
        else:
            if is_told:
                text = f"{client.host}:{client.port} sends again, after {time.monotonic() - start:.0f} s"
                logging.getLogger(NAME).info(text)
            return data


async def amain(args: argparse.Namespace, interface: TmaInterface) -> int:
    """Run the program; return its exit status."""
    log = logging.getLogger(NAME)
    log_choice(interface, log)
    recorder = Recorder(
        args.output,
        log,
        source=f"{args.host}:{args.port}",
        limit=args.record_limit,
        needed_by="--output",
        tma_interface=interface,
    )
    status = 0
    is_over = False
    try:
        await LEAP_SECOND_TABLE.load_in_thread()
        await run_in_daemon_thread(recorder.open)
        with contextlib.suppress(SignalReceivedError):
            if await wait_for_signal(record(args.duration, args.host, args.port, recorder)):
                print(f"{NAME}: the TMA closed the connection", file=sys.stderr)
                status = 1
            else:
                is_over = True
    except OSError as error:
        where = f"{args.host}:{args.port}" if error.filename is None else "--output"
        print_error(NAME, f"{where}: {describe_error(error)}")
        status = 1
    is_written = await run_in_daemon_thread(recorder.close)
    if is_over and not recorder.num_recorded + recorder.num_dropped:
        print_error(NAME, f"{args.host}:{args.port}: expected telemetry, got none in {args.duration:g} s")
        status = 1
    what = f"recorded {recorder.num_recorded} frames in {args.output}, dropped {recorder.num_dropped}"
    print(f"{NAME}: {escape(what)}")
    return status if is_written and not recorder.num_dropped else 1


def main(argv: Sequence[str] | None = None, relay: SignalRelay | None = None) -> int:
    """Run the program with these arguments, or those of the command line; see `run_until_signal`.

    Return the exit status: 0 after the duration or a signal; 1 if the connection failed or ended, no
    frame came in all the duration, or frames were not recorded.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    check_extra(parser, "mcap.writer", "record", "--output")
    interface = find_tma_interface(parser, args)
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    return run_until_signal(amain(args, interface), relay)


if __name__ == "__main__":
    import mtmount_telemetry_launcher

    sys.exit(mtmount_telemetry_launcher.run_record())
