"""Options, and values of options, that some programs share."""

import argparse
import math

from ..program.arguments import find_tma_interface, parse_number
from ..sal import InterfaceError
from ..tools.load_test.client_command import OURS, parse_client_command
from ..tools.load_test.tma_stream import RecordedStream, TmaStream

__all__ = ["add_client_option", "choose_stream", "parse_rate", "parse_seed", "parse_topics"]


def parse_rate(text: str) -> float:
    """Parse a multiple of the full rate: a number above 0, or ``max``."""
    if text == "max":
        return math.inf
    return parse_number(text, lambda rate: 0 < rate < math.inf, "a number above 0 or 'max'")


def parse_seed(text: str) -> int:
    """Parse a seed: an integer of at least 0."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise argparse.ArgumentTypeError(f"expected an integer from 0 of up to 20 digits, got {text!r}")
    return int(text)


def parse_topics(text: str) -> list[str]:
    """Parse a comma-separated list of topics."""
    return [topic.strip() for topic in text.split(",")]


def add_client_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the option for the client that is put to the test."""
    parser.add_argument(
        "--client-command",
        type=parse_client_command,
        default=OURS,
        metavar="COMMAND",
        help="the client to test (default: this project's). Without {host} and {port} in it, --host "
        "and --port are appended; {report}: a file to which it writes its counters, {interval}: how often",
    )


def choose_stream(args: argparse.Namespace, parser: argparse.ArgumentParser) -> TmaStream:
    """Choose what is streamed, by the options ``--tma-interface`` and ``--replay``."""
    interface = find_tma_interface(parser, args)
    try:
        if getattr(args, "replay", None) is not None:
            return RecordedStream(args.replay, interface)
        return TmaStream(interface)
    except (ValueError, InterfaceError) as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"argument --replay: {error.filename}: {error.strerror}")
