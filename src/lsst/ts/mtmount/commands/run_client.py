"""The program ``run_mtmount_telemetry_client``."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import traceback
from typing import NoReturn

from ..program.event_loop import ProgramEventLoop, SignalRelay
from ..program.log_format import LogFormatter
from ..program.output import QueuedOutput
from ..program.startup import hold_signals, open_standard_descriptors
from ..telemetry_client import TelemetryClient

__all__ = ["main", "run_mtmount_telemetry_client"]


def run_mtmount_telemetry_client(*, client_class: type[TelemetryClient] = TelemetryClient) -> None:
    """Run the telemetry client with the arguments in `sys.argv`, and exit.

    Parameters
    ----------
    client_class : `type`
        `TelemetryClient`, or a subclass.
    """
    main(client_class=client_class)


def main(signals: int | None = None, client_class: type[TelemetryClient] = TelemetryClient) -> NoReturn:
    """Run the telemetry client with the arguments in `sys.argv`, and end the process.

    It ends with the status of `TelemetryClient.amain`, whatever a thread is still doing.

    Parameters
    ----------
    signals : `int` or `None`
        What `hold_signals` has returned, if it was called before.
    client_class : `type`
        As of `run_mtmount_telemetry_client`.
    """
    open_standard_descriptors()
    relay = SignalRelay(hold_signals() if signals is None else signals)
    status = 1
    with QueuedOutput() as output:
        # Log messages are published as events; here they show on the terminal too.
        handler = logging.StreamHandler()
        handler.setFormatter(LogFormatter())
        logging.basicConfig(handlers=[handler])
        try:
            with asyncio.Runner(loop_factory=lambda: ProgramEventLoop(relay)) as runner:
                status = runner.run(client_class.amain())
        except SystemExit as error:
            # From the parser of the arguments.
            status = error.code if isinstance(error.code, int) else 1
        except Exception:
            traceback.print_exc()
        atexit._run_exitfuncs()
        output.close()
        # The interpreter would wait for threads, and drop signals' handlers.
        os._exit(status)


if __name__ == "__main__":
    run_mtmount_telemetry_client()
