"""Serve an embedded broker and registry until SIGTERM or SIGINT.

Prints the environment variables that name them, one a line, as a shell takes them.
"""

import argparse
import signal
import sys
from collections.abc import Sequence

from .program.arguments import ArgumentParser
from .program.bootstrap import open_standard_descriptors
from .sal.kafka_settings import KafkaSettings, SettingsError
from .tools.embedded import EmbeddedKafka

__all__ = ["EmbeddedKafka"]


def parse_subname(text: str) -> str:
    """Parse a name space of topics, as the client does."""
    try:
        return KafkaSettings(text).subname
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    parser = ArgumentParser("python -m lsst.ts.mtmount.embedded", description=__doc__)
    parser.add_argument(
        "--subname",
        type=parse_subname,
        default="embedded",
        help="name space of the Kafka topics (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    open_standard_descriptors()
    # Blocked before any thread starts, so that they are kept for sigwait.
    signals = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with EmbeddedKafka() as kafka:
        for name, value in kafka.environment(args.subname).items():
            print(f"{name}={value}", flush=True)
        signal.sigwait(signals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
