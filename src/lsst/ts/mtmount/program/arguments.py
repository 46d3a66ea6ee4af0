"""What the command lines of all programs share: each argument is checked before anything starts."""

import argparse
import contextlib
import logging
import math
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from .._version import __version__
from ..extras import MissingExtraError, import_extra
from ..recording import RecordingError, find_files
from ..resilience.escape import escape
from ..resilience.output_file import OutputFile, check_output_folder
from ..tma_interface import (
    TMA_INTERFACE_VARIABLE,
    TmaInterface,
    TmaInterfaceError,
    choose_tma_interface,
    load_tma_interface,
)

__all__ = [
    "LOOPBACK",
    "ArgumentParser",
    "add_tma_interface_option",
    "check_distinct",
    "check_extra",
    "find_tma_interface",
    "parse_address",
    "parse_host",
    "parse_log_level",
    "parse_number",
    "parse_output_file",
    "parse_output_folder",
    "parse_path",
    "parse_port",
    "parse_record_limit",
    "parse_recording",
    "parse_seconds",
    "parse_server_port",
    "print_error",
]

T = TypeVar("T")

LOG_LEVELS = logging.getLevelNamesMapping()

#: Where a server listens unless it is told.
LOOPBACK = "127.0.0.1"

#: What the C side of `logging` takes.
MAX_LOG_LEVEL = 2**31 - 1


#: An argument may be of any length; what is told of it is cut [characters].
MAX_ERROR_LENGTH = 1000

#: Checking arguments, and the files that they name, takes no time; after this it is told [s].
SLOW_PARSING = 5.0


class ArgumentParser(argparse.ArgumentParser):
    """A parser with the option ``--version``, and errors that control no terminal."""

    def __init__(self, prog: str, *, description: str | None, epilog: str | None = None) -> None:
        super().__init__(prog=prog, description=description, epilog=epilog)
        self.add_argument(
            "--version",
            action="version",
            version=f"{prog} {__version__}",
            help="show the version, and exit",
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments, as the base class; tell if that takes long, as where a file system hangs."""
        text = (
            f"{self.prog}: the arguments are not checked after {SLOW_PARSING:g} s; does a file system hang?"
        )
        notice = threading.Timer(SLOW_PARSING, lambda: print(text, file=sys.stderr, flush=True))
        notice.daemon = True
        notice.start()
        try:
            return super().parse_known_args(args, namespace)
        finally:
            notice.cancel()

    def error(self, message: str) -> NoReturn:
        """Print an error, and end with status 2."""
        super().error(escape(message, MAX_ERROR_LENGTH))


def print_error(prog: str, message: str) -> None:
    """Print why a program fails, as one line on the standard error.

    Where that cannot be written, the exit status alone tells of it.
    """
    with contextlib.suppress(OSError):
        print(f"{prog}: failed: {escape(message)}", file=sys.stderr, flush=True)


def parse_path(make: Callable[[str], T]) -> Callable[[str], T]:
    """Return a parser of file names: ``make`` checks one; an error of it names the path and what is wrong."""

    def parse(text: str) -> T:
        try:
            return make(text)
        except (OSError, ValueError) as error:
            raise argparse.ArgumentTypeError(describe_path_error(error, text)) from None

    return parse


#: Parses the name of a file that is to be written; it is checked as `OutputFile` says.
parse_output_file = parse_path(OutputFile)

#: Parses the name of a folder for files that are to be written.
parse_output_folder = parse_path(check_output_folder)


def parse_recording(text: str) -> Path:
    """Parse the name of a recording, or of a folder of some, that can be read."""
    if not text:
        raise argparse.ArgumentTypeError("expected a recording or a folder of some, got ''")
    try:
        for file in find_files(text):
            file.open("rb").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(describe_path_error(error, text)) from None
    except RecordingError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def add_tma_interface_option(parser: argparse.ArgumentParser) -> None:
    """Add the option for the TMA's interface; an unusable file is a usage error."""
    parser.add_argument(
        "--tma-interface",
        type=_parse_tma_interface,
        metavar="FILE",
        help="what the TMA sends: its own TelemetryTopicsConfiguration.ini, or a table that "
        f"compare_mtmount_interfaces exported (default: {TMA_INTERFACE_VARIABLE}, or the packaged interface)",
    )


def find_tma_interface(parser: argparse.ArgumentParser, args: argparse.Namespace) -> TmaInterface:
    """Return the interface of `add_tma_interface_option`; end with status 1 if the environment's is bad."""
    try:
        return choose_tma_interface(args.tma_interface)
    except TmaInterfaceError as error:
        print_error(parser.prog, str(error))
        raise SystemExit(1) from None


def _parse_tma_interface(text: str) -> TmaInterface | None:
    try:
        return load_tma_interface(text) if text else None
    except TmaInterfaceError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def describe_path_error(error: Exception, path: str) -> str:
    """Return ``path: what is wrong``, and the folder above where that is wrong."""
    if not isinstance(error, OSError) or error.strerror is None:
        return f"{path}: {error}"
    if not path:
        return error.strerror
    where = "" if error.filename in (None, path) else f" ({error.filename})"
    return f"{path}: {error.strerror}{where}"


def parse_port(text: str) -> int:
    """Parse the number of a TCP port to connect to."""
    return _parse_int(text, 1, 65535, "a port from 1 to 65535")


def parse_server_port(text: str) -> int:
    """Parse the number of a TCP port to listen on; 0: any free one."""
    return _parse_int(text, 0, 65535, "a port from 1 to 65535, or 0 for any free one")


def parse_address(text: str) -> tuple[str, int]:
    """Parse ``[HOST:]PORT`` for a page that browsers open; the default host is loopback."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise argparse.ArgumentTypeError(f"expected [HOST:]PORT with a port from 1 to 65535, got {text!r}")
    if ":" in host or host == "0.0.0.0":
        # Pages are refused under any other name.
        raise argparse.ArgumentTypeError(
            f"expected the host as browsers name it, without a colon, got {text!r}"
        )
    return parse_host(host) if host else LOOPBACK, int(port)


def parse_host(text: str) -> str:
    """Parse a host name or IP address."""
    try:
        # As getaddrinfo does, whose error would come later, and be no OSError.
        is_good = bool(text.encode("idna")) and text.isprintable() and " " not in text
    except UnicodeError:
        is_good = False
    if not is_good:
        raise argparse.ArgumentTypeError(f"expected a host name or IP address, got {text!r}")
    return text


def parse_record_limit(text: str) -> int:
    """Parse a size above 0 in GiB; return it in bytes."""
    return int(parse_number(text, lambda size: 1 <= size * 2**30 < 2**63, "a number of GiB above 0") * 2**30)


def parse_seconds(text: str) -> float:
    """Parse a time above 0 [seconds]."""
    return parse_number(text, lambda seconds: 0 < seconds < math.inf, "a number of seconds above 0")


def parse_number(text: str, is_good: Callable[[float], bool], what: str) -> float:
    """Parse a number of a range; ``what`` says what is expected. NaN is in no range."""
    try:
        # Not "1_000", " 1", or the digits of another script, which `float` takes too.
        number = float(text) if re.fullmatch(r"[-+.0-9a-zA-Z]+", text) else math.nan
    except ValueError:
        number = math.nan
    if not is_good(number):
        raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}")
    return number


def parse_log_level(text: str) -> int:
    """Parse a log level: its number, or its name in any case."""
    if (level := LOG_LEVELS.get(text.upper())) is not None:
        return level
    return _parse_int(
        text, 0, MAX_LOG_LEVEL, f"a number from 0 to {MAX_LOG_LEVEL}, or one of {', '.join(LOG_LEVELS)}"
    )


def check_extra(parser: argparse.ArgumentParser, module: str, extra: str, option: str) -> None:
    """End with a usage error if an option needs an extra that is not installed; see `import_extra`."""
    try:
        import_extra(module, extra, option)
    except MissingExtraError as error:
        parser.error(str(error))


def check_distinct(parser: argparse.ArgumentParser, files: Mapping[str, OutputFile | None]) -> None:
    """End with a usage error if two options name the same file: one would harm the other's."""
    given = [(option, file) for option, file in files.items() if file is not None]
    for number, (option, file) in enumerate(given):
        for other_option, other in given[:number]:
            if file.is_same(other):
                parser.error(f"expected two files for {other_option} and {option}, got {file.path} for both")


def _parse_int(text: str, low: int, high: int, what: str) -> int:
    number = int(text) if re.fullmatch(r"[-+]?[0-9]{1,20}", text) else low - 1
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}")
    return number
