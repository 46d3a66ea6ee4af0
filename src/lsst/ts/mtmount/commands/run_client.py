"""The program ``run_mtmount_telemetry_client``."""

import asyncio
import logging
import sys

from ..program.output import flush_output
from ..telemetry_client import TelemetryClient

__all__ = ["main", "run_mtmount_telemetry_client"]


def run_mtmount_telemetry_client() -> None:
    """Run the telemetry client with the arguments in `sys.argv`, and exit."""
    sys.exit(main())


def main() -> int:
    """Run the telemetry client with the arguments in `sys.argv`.

    Returns
    -------
    status : `int`
        Exit status; see `TelemetryClient.amain`.
    """
    # Log messages are published as events; here they show on the terminal too.
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s: %(message)s")
    try:
        return asyncio.run(TelemetryClient.amain())
    finally:
        flush_output()


if __name__ == "__main__":
    run_mtmount_telemetry_client()
