"""What the options of the command line need."""

import argparse
import errno
import http.client
from collections.abc import Iterator
from pathlib import Path

from ...recording.recorder import MIN_FREE_SHARE
from ...recording.recording_folder import free_share
from ...resilience.escape import describe_error
from ...resilience.output_file import OutputFile, find_existing_folder
from ...sal import SalobjError, describe_backend
from ..metrics_server import check_address
from ..pid_file import PidFile
from .finding import Finding, failed, ok, warning

__all__ = ["check_options"]

#: How long what listens on the port of the metrics may take to answer [s].
ANSWER_TIMEOUT = 2.0

#: The beginning of a client's metrics, with the name of the first one [bytes].
MAX_BEGINNING = 4096


def check_options(args: argparse.Namespace) -> Iterator[Finding]:
    """Check the files, the port and the SAL backend that options name."""
    yield from _check_files(args)
    if args.metrics_port is not None:
        yield _check_metrics(args.metrics_host, args.metrics_port)
    yield _check_sal_backend(args.sal_backend)


def _check_files(args: argparse.Namespace) -> Iterator[Finding]:
    """Check the files that options name, beyond what parsing the command line has tried."""
    for option, output in (("--dead-letter", args.dead_letter), ("--report", args.report)):
        if output is not None:
            yield _check_room(option, output)
    if args.pid_file is not None:
        yield _check_pid_file(args.pid_file)
    if args.record is not None:
        yield _check_recording(args.record)


def _check_room(option: str, output: OutputFile) -> Finding:
    try:
        output.check_room()
    except OSError as error:
        return failed(option, describe_error(error), "make room, or name a file elsewhere")
    return ok(option, f"{output.path} can be written")


def _check_pid_file(pid_file: PidFile) -> Finding:
    try:
        pid_file.check_free()
    except BlockingIOError as error:
        return warning("--pid-file", f"{pid_file.output.path}: {error.strerror}", "end that client first")
    except OSError as error:
        return failed("--pid-file", f"{pid_file.output.path}: {error.strerror}", "name a file elsewhere")
    return _check_room("--pid-file", pid_file.output)


def _check_recording(folder: Path) -> Finding:
    try:
        share = free_share(find_existing_folder(folder))
    except OSError as error:
        return failed("--record", f"{folder}: {error.strerror}", "name a folder elsewhere")
    if share < MIN_FREE_SHARE:
        return failed(
            "--record",
            f"{folder}: expected {MIN_FREE_SHARE:.0%} of the disk to be free, got {share:.1%}",
            "nothing is recorded until there is: make room, or record elsewhere",
        )
    return ok("--record", f"{folder} can be written, {share:.0%} of the disk is free")


def _check_metrics(host: str, port: int) -> Finding:
    subject = f"--metrics-port {port}"
    try:
        check_address(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _is_client(host, port):
            return warning(subject, f"{host}: a client serves its metrics there", "end that client first")
        return failed(
            subject,
            f"{host}: {error.strerror}",
            "end what listens there, or correct --metrics-host or the port",
        )
    return ok(subject, f"{host} can be listened on")


def _check_sal_backend(name: str) -> Finding:
    subject = "SAL backend"
    try:
        return ok(subject, describe_backend(name))
    except SalobjError as error:
        return failed(subject, str(error), "install it here, or use --sal-backend builtin")


def _is_client(host: str, port: int) -> bool:
    """Return whether what listens there answers with a client's metrics."""
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_TIMEOUT)
    try:
        connection.request("GET", "/metrics")
        return b"mtmount_build_info" in connection.getresponse().read(MAX_BEGINNING)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
