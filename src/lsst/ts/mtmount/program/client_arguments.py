"""The command line of ``run_mtmount_telemetry_client``."""

import argparse
import logging
import math
import os
from collections.abc import Iterable, Iterator

from ..constants import TELEMETRY_PORT
from ..recording import DEFAULT_LIMIT
from ..resilience import DeadLetterFile
from ..resilience.output_file import OutputFile
from ..sal import BACKENDS
from ..sal.interface import FOLDER_VARIABLE
from ..sal.kafka_settings import CLIENT_FILE_VARIABLE, PRODUCER_FILE_VARIABLE
from ..tma_interface import TMA_INTERFACE_VARIABLE
from .arguments import (
    LOOPBACK,
    ArgumentParser,
    add_tma_interface_option,
    check_distinct,
    check_extra,
    describe_path_error,
    parse_host,
    parse_log_level,
    parse_number,
    parse_output_file,
    parse_output_folder,
    parse_path,
    parse_port,
    parse_record_limit,
    parse_seconds,
    parse_server_port,
)
from .pid_file import PidFile

__all__ = ["FILE_OPTIONS", "FILE_VARIABLES", "make_parser", "make_paths_absolute", "parse_arguments"]

#: Options whose values are files or folders.
FILE_OPTIONS = ("--dead-letter", "--pid-file", "--record", "--report", "--tma-interface")

#: Environment variables whose values are files or folders.
FILE_VARIABLES = (CLIENT_FILE_VARIABLE, PRODUCER_FILE_VARIABLE, FOLDER_VARIABLE, TMA_INTERFACE_VARIABLE)


def make_parser() -> ArgumentParser:
    """Make the parser of the program's command line."""
    parser = ArgumentParser(
        "run_mtmount_telemetry_client",
        description="Read telemetry from the TMA and publish it as SAL messages.",
    )
    parser.add_argument(
        "--host", type=parse_host, help="name or IP address of the TMA's telemetry server (required)"
    )
    parser.add_argument(
        "--port", type=parse_port, default=TELEMETRY_PORT, help="its port (default: %(default)s)"
    )
    parser.add_argument(
        "--loglevel",
        type=parse_log_level,
        default=logging.INFO,
        help="log level, as a name or a number (DEBUG=10, INFO=20, WARNING=30; 0: that of the parent; "
        "default: %(default)s)",
    )
    parser.add_argument(
        "--sal-backend",
        choices=BACKENDS,
        default="auto",
        help="what publishes events and log messages (default: auto: salobj if it can be used, else builtin)",
    )
    parser.add_argument("--strict", action="store_true", help="end at the first frame that cannot be decoded")
    parser.add_argument(
        "--accept-incomplete",
        action="store_true",
        help="publish frames that lack members, whose fields then keep their values (default: drop them)",
    )
    parser.add_argument(
        "--reconnect",
        action="store_true",
        help="connect again, with a back-off, if the TMA cannot be reached or the telemetry ends",
    )
    parser.add_argument(
        "--dead-letter",
        type=parse_path(DeadLetterFile.check),
        metavar="FILE",
        help="keep each dropped frame in this file, as JSON lines; it and three older ones take up to 64 MiB",
    )
    parser.add_argument(
        "--record",
        type=parse_output_folder,
        metavar="FOLDER",
        help="record everything that is received, as MCAP files in this folder",
    )
    parser.add_argument(
        "--record-limit",
        type=parse_record_limit,
        metavar="GIB",
        help="limit for all recordings in that folder, in GiB; the oldest are deleted "
        f"(default: {DEFAULT_LIMIT >> 30})",
    )
    parser.add_argument(
        "--wait-for-kafka",
        type=_parse_wait,
        nargs="?",
        const=math.inf,
        default=0.0,
        metavar="SECONDS",
        help="at the start, wait this long for Kafka and the schema registry; no number: until a signal. An "
        "attempt that has begun may take 30 s more",
    )
    add_tma_interface_option(parser)
    parser.add_argument(
        "--report",
        type=parse_output_file,
        metavar="FILE",
        help="at the end, write the counters as JSON to this file",
    )
    parser.add_argument(
        "--report-interval",
        type=parse_seconds,
        metavar="SECONDS",
        help="with --report: write them also at this interval",
    )
    parser.add_argument(
        "--pid-file",
        type=parse_output_file,
        metavar="FILE",
        help="keep the process ID in this file while the program runs",
    )
    parser.add_argument(
        "--fail-on-loss",
        action="store_true",
        help="end with status 3 if any frame was dropped, or any message not acknowledged",
    )
    parser.add_argument(
        "--metrics-port",
        type=parse_server_port,
        metavar="PORT",
        help="serve metrics for Prometheus, /healthz and /readyz on this port; 0: any free one",
    )
    parser.add_argument(
        "--metrics-host",
        type=parse_host,
        metavar="HOST",
        help=f"address to serve them on (default: {LOOPBACK})",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="check all that a run with these options needs, publish nothing, and exit",
    )
    parser.add_argument("--json", action="store_true", help="with --check: print the findings as JSON")
    parser.add_argument(
        "--which", action="store_true", help="show which package this program runs, and exit; needs no --host"
    )
    return parser


def parse_arguments() -> argparse.Namespace:
    """Parse `sys.argv`; a usage error ends the program with status 2."""
    parser = make_parser()
    args = parser.parse_args()
    if args.host is None and not args.which:
        parser.error("the following arguments are required: --host")
    if args.report_interval is not None and args.report is None:
        parser.error("argument --report-interval: expected --report beside it")
    if args.metrics_port is not None:
        check_extra(parser, "prometheus_client", "metrics", "--metrics-port")
    elif args.metrics_host is not None:
        parser.error("argument --metrics-host: expected --metrics-port beside it")
    args.metrics_host = args.metrics_host or LOOPBACK
    if args.json and not args.check:
        parser.error("argument --json: expected --check beside it")
    if args.record_limit is not None and args.record is None:
        parser.error("argument --record-limit: expected --record beside it")
    if args.record is not None:
        check_extra(parser, "mcap.writer", "record", "--record")
    _check_files(parser, args)
    if args.pid_file is not None and not args.which:
        try:
            args.pid_file = PidFile(args.pid_file)
            if not args.check:
                args.pid_file.check_free()
        except OSError as error:
            parser.error(f"argument --pid-file: {describe_path_error(error, str(error.filename))}")
    return args


def make_paths_absolute(options: Iterable[str]) -> Iterator[str]:
    """Yield the options with whole paths, for a program that is started from any folder."""
    is_path = False
    for text in options:
        name, equals, value = text.partition("=")
        if is_path:
            yield _make_absolute(text)
            is_path = False
        # As argparse does it: the start of a name is enough.
        elif len(name) > 2 and any(option.startswith(name) for option in FILE_OPTIONS):
            is_path = not equals
            yield f"{name}={_make_absolute(value)}" if equals else text
        else:
            yield text


def _make_absolute(path: str) -> str:
    # An empty one stays wrong, or unset. A final slash says that a folder is meant.
    return os.path.join(os.getcwd(), path) if path else path  # noqa: PTH109, PTH118


def _check_files(parser: ArgumentParser, args: argparse.Namespace) -> None:
    files: dict[str, OutputFile | None] = {"--report": args.report, "--pid-file": args.pid_file}
    check_distinct(parser, {**files, "--dead-letter": args.dead_letter})
    if args.dead_letter is None:
        return
    kept = DeadLetterFile.list_files(args.dead_letter.target)
    for option, file in files.items():
        if file is not None and file.target in kept:
            parser.error(f"argument {option}: expected none of the files of --dead-letter, got {file.path}")


def _parse_wait(text: str) -> float:
    return parse_number(text, lambda seconds: seconds >= 0, "a number of seconds from 0")
