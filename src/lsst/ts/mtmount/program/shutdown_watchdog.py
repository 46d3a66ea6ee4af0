"""Ends a program that does not manage to end by itself."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["ShutdownWatchdog"]

#: How long saying why may take [s]: whoever holds a lock may be stuck as well.
REPORT_TIMEOUT = 2.0

#: Exit status of a program that was ended by force.
FORCED_STATUS = 1


class ShutdownWatchdog:
    """Bounds how long a program takes to end, also if its event loop is blocked.

    A context manager, to be entered in the main thread after the event loop
    got its signal handlers, and left before the loop is closed. A blocked
    event loop handles no signals: these are watched in a thread.

    Parameters
    ----------
    limit
        How long the program may take from the signal to its end [s].
    describe_loss
        Says what is lost if it is ended by force. Called in a thread.
    log
        Logger.
    signals
        The signals that ask the program to end.
    """

    def __init__(
        self,
        limit: float,
        describe_loss: Callable[[], str],
        log: logging.Logger,
        *,
        signals: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM),
    ) -> None:
        self._limit = limit
        self._describe_loss = describe_loss
        self._log = log
        self._signals = signals
        self._armed = threading.Event()
        self._ended = threading.Event()
        self._reader, self._writer = socket.socketpair()
        self._loop_fd = -1
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in [
                (self._relay_signals, "signal relay"),
                (self._watch, "shutdown watchdog"),
            ]
        ]

    def __enter__(self) -> Self:
        self._writer.setblocking(False)
        self._reader.settimeout(None)
        # Python writes each signal's number there at once, whatever the main thread does.
        self._loop_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._armed.set()
        current = signal.set_wakeup_fd(-1)
        if current not in (self._writer.fileno(), -1):
            signal.set_wakeup_fd(current)
        elif current != -1 and self._loop_fd != -1:
            signal.set_wakeup_fd(self._loop_fd)
        self._writer.close()
        for thread in self._threads:
            thread.join()
        self._reader.close()

    def arm(self) -> None:
        """Begin to count the time: the program has begun to end."""
        self._armed.set()

    def _relay_signals(self) -> None:
        """Hand all signals on to the event loop, and notice those that end the program."""
        while data := self._reader.recv(4096):
            if any(number in self._signals for number in data):
                self.arm()
            if self._loop_fd != -1:
                try:
                    os.write(self._loop_fd, data)
                except BlockingIOError:
                    # So many signals wait there that the loop will look anyway.
                    continue

    def _watch(self) -> None:
        self._armed.wait()
        if self._ended.wait(self._limit):
            return
        report = threading.Thread(target=self._report, daemon=True)
        report.start()
        report.join(REPORT_TIMEOUT)
        os._exit(FORCED_STATUS)

    def _report(self) -> None:
        message = f"Ended by force, {self._limit:g} s after the end began; lost: {self._describe_loss()}"
        # The terminal first: a log handler may be what is stuck.
        print(message, file=sys.stderr, flush=True)
        self._log.critical(message)
