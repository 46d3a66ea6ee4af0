"""Options that the commands share."""

from __future__ import annotations

import argparse

from ...program.arguments import find_tma_interface
from ...sal import InterfaceError
from ...sal.settings import SettingsError
from .client_command import OURS, parse_client_command
from .kafka_target import EMBEDDED, TargetChoice
from .tma_stream import RecordedStream, TmaStream

__all__ = ["add_client_option", "add_kafka_options", "choose_stream", "choose_target"]


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


def add_kafka_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the Kafka that is published to."""
    kafka = parser.add_argument_group("Kafka (default: an embedded one, new for each run)")
    kafka.add_argument("--broker", metavar="ADDRESS", help="bootstrap servers of a given Kafka")
    kafka.add_argument("--registry", metavar="URL", help="its schema registry")
    kafka.add_argument(
        "--external", action="store_true", help="the Kafka that the LSST_... environment variables name"
    )


def choose_target(args: argparse.Namespace, parser: argparse.ArgumentParser) -> TargetChoice:
    """Choose the Kafka that the options of `add_kafka_options` ask for."""
    if (args.broker is None) != (args.registry is None):
        parser.error("expected --broker and --registry together, got one of them")
    if args.broker is not None:
        target = TargetChoice(
            {"LSST_KAFKA_BROKER_ADDR": args.broker, "LSST_SCHEMA_REGISTRY_URL": args.registry}
        )
    else:
        target = TargetChoice({}) if args.external else EMBEDDED
    try:
        target.describe()
    except SettingsError as error:
        parser.error(str(error))
    return target


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
