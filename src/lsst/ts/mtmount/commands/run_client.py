"""The program ``run_mtmount_telemetry_client``."""

import asyncio
import functools
import logging
import sys
from typing import NoReturn

from ..program.bootstrap import hold_signals, open_standard_descriptors
from ..program.event_loop import ProgramEventLoop, SignalRelay
from ..program.log_format import LogFormatter
from ..telemetry_client import TelemetryClient
from .runner import run_to_end

__all__ = ["main", "run_mtmount_telemetry_client"]


def run_mtmount_telemetry_client(*, client_class: type[TelemetryClient] = TelemetryClient) -> NoReturn:
    """Run the telemetry client with the arguments in `sys.argv`, and end the process.

    Parameters
    ----------
    client_class : `type`
        `TelemetryClient`, or a subclass.
    """
    open_standard_descriptors()
    run_to_end(functools.partial(main, client_class=client_class), hold_signals())


def main(relay: SignalRelay, client_class: type[TelemetryClient] = TelemetryClient) -> int:
    """Run the client, or a subclass, with the arguments in `sys.argv`; return the status of its ``amain``."""
    # Log messages are published as events; here they show on the terminal too.
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter())
    logging.basicConfig(handlers=[handler])
    with asyncio.Runner(loop_factory=lambda: ProgramEventLoop(relay)) as runner:
        return runner.run(client_class.amain())


if __name__ == "__main__":
    import mtmount_telemetry_launcher

    sys.exit(mtmount_telemetry_launcher.run_client())
