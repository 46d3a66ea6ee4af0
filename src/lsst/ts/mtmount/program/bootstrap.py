"""What a program does before all else; the launcher loads this file before the package.

Nothing but light modules of the standard library is imported here.
"""

import os
import signal
import sys
from types import FrameType

__all__ = ["hold_signals", "let_signals_end", "open_standard_descriptors"]

#: What programs that run until they are told to end handle. SIGUSR1 asks the client for its counters; SIGHUP
#: comes when the terminal or the ssh connection is gone.
HELD_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def open_standard_descriptors() -> None:
    """Open those of the descriptors 0 to 2 that are closed on ``/dev/null``.

    Otherwise the next file or socket would get such a number, and what is printed. Writing to a
    standard output that was closed fails, so that a program that is there to print can tell.
    """
    for descriptor, name, mode in [(0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")]:
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDONLY if descriptor == 1 else os.O_RDWR)
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def hold_signals() -> int:
    """Keep signals until somebody reads them; SIGHUP only where it is not ignored (``nohup``).

    Return the end of a pipe that brings the number of each signal as a byte, whatever the main thread does.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in HELD_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _hold)
    os.register_at_fork(after_in_child=_forget_signals)
    return reader


def _forget_signals() -> None:
    """Give a forked process its own signals: it shares the pipe."""
    signal.set_wakeup_fd(-1)
    for number in HELD_SIGNALS:
        if signal.getsignal(number) is _hold:
            signal.signal(number, signal.SIG_DFL)


def let_signals_end() -> None:
    """Have Ctrl-C end a program without a traceback, also while it loads."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _hold(number: int, frame: FrameType | None) -> None:
    """Do nothing: Python has written the number to the pipe."""
