"""The program ``run_mtmount_telemetry_client``: what it prints, what it watches, its exit status."""

import argparse
import asyncio
import contextlib
import functools
import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

from .._version import __version__
from ..constants import LOGGER_NAME
from ..core import DropReason
from ..pipeline.counters import Counters
from ..resilience.daemon_thread import run_in_daemon_thread
from ..resilience.escape import describe_error, escape
from ..resilience.guarded_log import guard_logger
from ..resilience.signal_handlers import SharedSignalHandlers
from ..sal import SalobjError, describe_backend
from ..tma_interface import TmaInterfaceError, choose_tma_interface
from .client_arguments import parse_arguments
from .event_loop import END_SIGNALS, SIGNAL_STATUS, ProgramEventLoop, list_end_signals
from .health_check import run_health_check
from .health_check.finding import failed, print_findings
from .metrics_server import MetricsServer, Snapshot
from .other_copies import DISTRIBUTION, LOCATION, find_other_distributions
from .queued_output import QueuedOutput, wait_printed
from .report_file import ReportFile
from .shutdown_watchdog import ShutdownWatchdog, exit_within

__all__ = ["run_program"]

#: What each line that is printed starts with.
PREFIX = "MTMount telemetry client"

#: Its messages reach SAL, as the client's do.
LOG = guard_logger(logging.getLogger(LOGGER_NAME).getChild("program"))

#: How long the end may take besides the client's ``flush_timeout`` [seconds].
#: salobj's part needs 2 s, and 12 s if Kafka does not answer.
SHUTDOWN_MARGIN = 15.0

#: How long the end may take while the arguments are checked [seconds].
ARGUMENTS_LIMIT = 5.0

#: How long the end may take before there is a client [seconds].
EARLY_LIMIT = 25.0

#: How long a client that handles signals by itself may take to begin to end at one [seconds].
SIGNAL_GRACE = 3.0

#: How long the process may take to its end when the client has ended [seconds].
EXIT_TIMEOUT = 3.0

#: How long saying why the program ends by force may take to be printed [seconds].
PRINT_TIMEOUT = 0.5

#: Exit status of ``--fail-on-loss``.
LOSS_STATUS = 3


class RunnableClient(Protocol):
    """What the program needs of a telemetry client; see `TelemetryClient`."""

    log: logging.Logger
    flush_timeout: float
    failure: Exception | None
    on_end: Callable[[], object] | None
    start_task: asyncio.Future[None]
    done_task: asyncio.Future[None]

    @property
    def handles_signals(self) -> bool:
        """Whether the client handles signals by itself."""

    @property
    def counters(self) -> Counters:
        """What became of every frame so far."""

    def take_snapshot(self) -> Snapshot:
        """Return the figures for the metrics."""

    def describe_loss(self) -> str:
        """Tell what has not reached Kafka yet; from any thread."""

    async def close(self) -> None:
        """End the client."""


async def run_program(make_client: Callable[..., RunnableClient]) -> int:
    """Run the program with the arguments in `sys.argv`; return the exit status, see `TelemetryClient.amain`.

    ``make_client`` is `TelemetryClient`, or a subclass.
    """
    loop = asyncio.get_running_loop()
    with ShutdownWatchdog(ARGUMENTS_LIMIT, _report_forced_end) as watchdog:
        if isinstance(loop, ProgramEventLoop):
            loop.relay.subscribe(watchdog.arm_on_signal)
        # Files that options name may be on a file system that hangs.
        args = parse_arguments()
        watchdog.limit = EARLY_LIMIT
        if args.which or args.check:
            if isinstance(loop, ProgramEventLoop):
                loop.relay.subscribe(_leave)
            return await _answer(make_client, args)
        with QueuedOutput():
            if not isinstance(loop, ProgramEventLoop):
                with _take_signals(watchdog) as received:
                    return await _run(make_client, args, watchdog, lambda: bool(received))
            status = await _run(make_client, args, watchdog, lambda: loop.relay.must_end)
    # From here on nothing is lost that the watchdog could tell of.
    exit_within(EXIT_TIMEOUT, status)
    return status


def _leave(number: int) -> None:
    """End the process at a signal: nothing was begun."""
    if number in END_SIGNALS:
        os._exit(SIGNAL_STATUS + number)


async def _answer(make_client: Callable[..., RunnableClient], args: argparse.Namespace) -> int:
    """Do what ``--which`` or ``--check`` asks for; return the exit status."""
    if args.which:
        try:
            backend = describe_backend(args.sal_backend)
        except SalobjError as error:
            print(f"SAL backend: {error}")
            return 1
        print(f"{DISTRIBUTION} {__version__}")
        print(f"package: {LOCATION}")
        print(f"SAL backend: {backend}")
        print(f"Python: {platform.python_version()}")
        for other in find_other_distributions():
            print(f"warning: there is also {other}")
        return 0
    try:
        tma_interface = choose_tma_interface(args.tma_interface)
    except TmaInterfaceError as error:
        return print_findings([failed("TMA interface", str(error))], as_json=args.json)
    preprocessed = [name for name in tma_interface.by_name if hasattr(make_client, f"_preprocess_{name}")]
    return await run_in_daemon_thread(functools.partial(run_health_check, args, tma_interface, preprocessed))


@contextlib.contextmanager
def _take_signals(watchdog: ShutdownWatchdog) -> Iterator[list[int]]:
    """Have signals ask the program to end, in any event loop of the main thread.

    No signal ends the process by itself then, before there is a client and after its end either.
    """
    received: list[int] = []
    if not SharedSignalHandlers.is_possible():
        yield received
        return

    def note(number: int) -> None:
        received.append(number)
        watchdog.arm()
        if number == signal.SIGHUP:
            signals.pass_on(signal.SIGTERM)

    signals = SharedSignalHandlers({number: functools.partial(note, number) for number in list_end_signals()})
    try:
        yield received
    finally:
        signals.remove()


async def _run(
    make_client: Callable[..., RunnableClient],
    args: argparse.Namespace,
    watchdog: ShutdownWatchdog,
    must_end: Callable[[], bool] = lambda: False,
) -> int:
    print(f"{PREFIX}: host={args.host}; port={args.port}")
    print(f"{PREFIX} starting")
    client: RunnableClient | None = None
    report: ReportFile | None = None
    failure: Exception | None = None
    has_loss = False
    logging.getLogger(LOGGER_NAME).setLevel(args.loglevel)
    with contextlib.ExitStack() as stack:
        try:
            if args.pid_file is not None:
                stack.enter_context(args.pid_file)
            metrics: MetricsServer | None = None
            if args.metrics_port is not None:
                metrics = MetricsServer(args.metrics_host, args.metrics_port)
                stack.callback(metrics.close)
                print(f"{PREFIX} metrics: host={args.metrics_host}; port={metrics.port}")
            if not must_end():
                client = make_client(host=args.host, port=args.port, **_choose_options(args))
                client.log.setLevel(args.loglevel)
                if args.report is not None:
                    report = _make_report(args, client)
                if metrics is not None:
                    metrics.watch(client.take_snapshot)
                await _run_client(client, watchdog)
                failure = client.failure
        except asyncio.CancelledError:
            # Whoever cancels the program leaves no client behind.
            if client is not None:
                await client.close()
            raise
        except Exception as error:
            failure = error
        if client is not None:
            await client.close()
            if report is not None:
                await report.finish()
            if args.fail_on_loss:
                has_loss = _report_loss(client.counters.as_dict())
        if failure is not None:
            print(f"{PREFIX} failed: {describe_error(failure)}")
        else:
            print(f"{PREFIX} done")
    if has_loss:
        return LOSS_STATUS
    return 0 if failure is None else 1


async def _run_client(client: RunnableClient, watchdog: ShutdownWatchdog) -> None:
    """Wait until the client has started, tell so, and wait until it has ended, or has to.

    A signal ends it, even if it does not handle signals, or something else has replaced its handler.
    """
    is_ending = False
    loop = asyncio.get_running_loop()
    has_to_end: asyncio.Future[None] = loop.create_future()

    def note_end() -> None:
        nonlocal is_ending
        is_ending = True
        watchdog.arm()

    def give_grace() -> None:
        loop.call_later(SIGNAL_GRACE if client.handles_signals else 0, end)

    def end() -> None:
        if not is_ending and not has_to_end.done():
            LOG.info("A signal asks for the end, which the client has not begun")
            has_to_end.set_result(None)

    def note_armed() -> None:
        # The loop may have been closed: there is nothing left to end.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(give_grace)

    async def wait_for(future: asyncio.Future[None]) -> bool:
        await asyncio.wait([future, has_to_end], return_when=asyncio.FIRST_COMPLETED)
        # The end of the client may cancel its start, which is no cancellation of the program.
        if future.done() and not future.cancelled():
            future.result()
        return future.done()

    client.on_end = note_end
    watchdog.on_armed = note_armed
    if watchdog.is_armed:
        give_grace()
    watchdog.limit = client.flush_timeout + SHUTDOWN_MARGIN
    watchdog.describe_loss = client.describe_loss
    for other in find_other_distributions():
        LOG.warning(f"There is also {escape(other)}; the two cannot share an environment")
    if await wait_for(client.start_task):
        if not is_ending and not client.start_task.cancelled():
            print(f"{PREFIX} running")
        await wait_for(client.done_task)


def _choose_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options that were asked for; a subclass may know nothing of our additions."""
    options = {
        "strict": args.strict,
        "accept_incomplete": args.accept_incomplete,
        "sal_backend": args.sal_backend if args.sal_backend != "auto" else None,
        "reconnect": args.reconnect,
        "dead_letter": args.dead_letter and args.dead_letter.path,
        "tma_interface": args.tma_interface,
        "wait_for_kafka": args.wait_for_kafka,
        "record": args.record,
        "record_limit": args.record_limit,
    }
    return {name: value for name, value in options.items() if value}


def _make_report(args: argparse.Namespace, client: RunnableClient) -> ReportFile:
    def describe() -> dict[str, Any]:
        snapshot = client.take_snapshot()
        age = time.monotonic() - snapshot.last_frame_time
        return {
            **snapshot.counters.as_dict(),
            "time": datetime.now(UTC).isoformat(),
            "pid": os.getpid(),
            "version": __version__,
            "tma_interface": snapshot.tma_interface,
            "connected": snapshot.connected,
            "last_frame_age": age if snapshot.last_frame_time else None,
        }

    return ReportFile(args.report, describe, LOG, args.report_interval)


def _report_loss(figures: dict[str, Any]) -> bool:
    """Tell what was lost; return whether anything was."""
    # A frame that the TMA did not finish was none.
    num_dropped = figures["total_dropped"] - figures["dropped"].get(DropReason.CUT_OFF, 0)
    num_lost = figures["failed"] + figures["in_flight"]
    if not num_dropped and not num_lost:
        return False
    note = ", as far as is known: acks=0" if figures["acknowledged_means_sent"] else ""
    print(f"{PREFIX} lost {num_dropped} frames (dropped) and {num_lost} messages (not acknowledged{note})")
    return True


def _report_forced_end(message: str) -> None:
    print(message, file=sys.stderr)
    wait_printed(PRINT_TIMEOUT)
    # Last: a log handler may be what is stuck.
    LOG.critical(message)
    wait_printed(PRINT_TIMEOUT)
