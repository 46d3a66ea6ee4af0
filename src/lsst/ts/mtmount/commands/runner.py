"""How every program begins and ends, and how one runs until a signal."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..program.arguments import print_error
from ..program.event_loop import SIGNAL_STATUS, ProgramEventLoop, SignalRelay, list_end_signals
from ..program.queued_output import OutputError, QueuedOutput, wait_printed
from ..program.shutdown_watchdog import ShutdownWatchdog

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["SignalReceivedError", "run_to_end", "run_until_signal", "wait_for_signal"]

T = TypeVar("T")

#: How long saying why a program ends by force may take to be printed [seconds].
PRINT_TIMEOUT = 1.0


class _Stdout(io.FileIO):
    """The standard output, which remembers why it could not be written: others may catch the error."""

    failure: OSError | None = None

    @classmethod
    def take(cls) -> _Stdout:
        """Put it beneath `sys.stdout`, which then escapes what its encoding does not know."""
        old = sys.stdout
        raw = cls(old.fileno(), "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(raw), old.encoding, "backslashreplace", line_buffering=old.isatty()
        )
        return raw

    def write(self, data: ReadableBuffer, /) -> int:
        """Write some data."""
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


class SignalReceivedError(Exception):
    """A signal, of this number, has asked the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_to_end(
    main: Callable[..., int],
    signals: int | None = None,
    *,
    end_limit: float | None = None,
    failure: int = 1,
) -> NoReturn:
    """Run a program, and end the process with its status, whatever a thread is still doing.

    ``main`` returns the exit status. It takes ``relay``, which brings its signals, where there are any:
    ``signals`` is what `hold_signals` has returned; None: a signal ends the program at once. ``end_limit`` is
    how long it may take to end after a signal [s]; None: it has a bound of its own. ``failure`` is the exit
    status if what the program is there to print could not be written; where the reader of a pipe has gone,
    it is that of SIGPIPE.
    """
    status = 1
    stdout = _Stdout.take()
    try:
        status = _run_interruptible(main) if signals is None else _run_held(main, signals, end_limit)
    except SystemExit as end:
        # From the parser of the arguments, or a signal.
        status = end.code if isinstance(end.code, int) else 1
    except OutputError as error:
        stdout.failure = error.reason
    except Exception as error:
        if error is not stdout.failure:
            traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    if stdout.failure is not None:
        status = failure
        if isinstance(stdout.failure, BrokenPipeError):
            # Who read this has seen enough.
            status = SIGNAL_STATUS + signal.SIGPIPE
        else:
            print_error(_get_name(), f"cannot write the output: {stdout.failure.strerror}")
    atexit._run_exitfuncs()
    # The interpreter would wait for threads, and drop signals' handlers.
    os._exit(status)


def run_until_signal(
    program: Coroutine[Any, Any, int], relay: SignalRelay | None, *, is_output_needed: bool = False
) -> int:
    """Run a coroutine that returns the exit status; what it prints is queued, and does not halt it.

    ``relay`` brings the signals for `wait_for_signal`; None: they come as in any event loop. `OutputError`
    if something could not be printed, and ``is_output_needed``.
    """
    factory = None if relay is None else lambda: ProgramEventLoop(relay)
    with QueuedOutput() as output, asyncio.Runner(loop_factory=factory) as runner:
        status = runner.run(program)
    if is_output_needed:
        output.check()
    return status


async def wait_for_signal(work: Coroutine[Any, Any, T]) -> T:
    """Wait for some work, which SIGINT, SIGTERM and SIGHUP cancel; return its result.

    `SignalReceivedError` if a signal has cancelled it.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(work)
    received: list[int] = []

    def interrupt(number: int) -> None:
        # Once: what ends in order must not be cut off by an impatient second one.
        if not received:
            task.cancel()
        received.append(number)

    numbers = list_end_signals()
    for number in numbers:
        loop.add_signal_handler(number, interrupt, number)
    try:
        await asyncio.wait([task])
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
    if received and task.cancelled():
        raise SignalReceivedError(received[0])
    return task.result()


def _run_held(main: Callable[..., int], signals: int, end_limit: float | None) -> int:
    relay = SignalRelay(signals)
    if end_limit is None:
        return main(relay=relay)
    with ShutdownWatchdog(end_limit, _tell_forced_end) as watchdog:
        relay.subscribe(watchdog.arm_on_signal)
        return main(relay=relay)


def _run_interruptible(main: Callable[..., int]) -> int:
    def end(number: int, frame: FrameType | None) -> NoReturn:
        # What was begun is undone on the way.
        sys.exit(SIGNAL_STATUS + number)

    for number in list_end_signals():
        signal.signal(number, end)
    return main()


def _tell_forced_end(message: str) -> None:
    print_error(_get_name(), message)
    wait_printed(PRINT_TIMEOUT)


def _get_name() -> str:
    return os.path.basename(sys.argv[0])  # noqa: PTH119
