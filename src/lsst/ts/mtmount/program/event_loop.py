"""The event loop of the program: no signal ends it by itself, and no thread keeps it alive."""

import asyncio
import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Any

from ..resilience.daemon_thread import DaemonExecutor
from .bootstrap import HELD_SIGNALS

__all__ = ["END_SIGNALS", "SIGNAL_STATUS", "ProgramEventLoop", "SignalRelay", "list_end_signals"]

#: Signals that ask the program to end.
END_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

#: How many signals are taken at a time.
READ_SIZE = 4096

#: Exit status of a program that a signal has ended, as shells have it: this plus its number.
SIGNAL_STATUS = 128


def list_end_signals() -> list[signal.Signals]:
    """List the signals that ask this process to end: under nohup, SIGHUP stays ignored."""
    return [number for number in END_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


class SignalRelay:
    """Hands signals on from a thread, also while the main thread is blocked.

    ``descriptor`` is that of `hold_signals`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._received: list[int] = []
        self._subscribers: list[Callable[[int], object]] = []
        self._lock = threading.Lock()
        # What came before is known at once: the thread may begin when the work is done.
        if select.select([descriptor], [], [], 0)[0]:
            self._received += os.read(descriptor, READ_SIZE)
        threading.Thread(target=self._run, name="signal relay", daemon=True).start()

    @property
    def must_end(self) -> bool:
        """Has a signal come that asks the program to end?"""
        return not END_SIGNALS.isdisjoint(self._received)

    def subscribe(self, callback: Callable[[int], object]) -> None:
        """Have a function called with the number of each signal, those before included; in a thread."""
        with self._lock:
            self._subscribers.append(callback)
            for number in self._received:
                callback(number)

    def _run(self) -> None:
        while data := os.read(self._descriptor, READ_SIZE):
            with self._lock:
                self._received += data
                for number in data:
                    for callback in self._subscribers:
                        callback(number)


class ProgramEventLoop(asyncio.SelectorEventLoop):
    """An event loop whose signals come from a relay, from the first instruction to the last.

    asyncio's own lets signals kill the process as soon as a handler is removed. A signal without a
    handler waits for one here. SIGHUP is taken for SIGTERM, unless it has a handler of its own.
    """

    def __init__(self, relay: SignalRelay) -> None:
        super().__init__()
        self.relay = relay
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._waiting: set[int] = set()
        self.set_default_executor(DaemonExecutor())
        relay.subscribe(self._take_signal)

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        """Have a function called when a signal comes, or has come."""
        if sig not in HELD_SIGNALS:
            raise ValueError(f"expected one of {[number.name for number in HELD_SIGNALS]}, got {sig!r}")
        self._callbacks[sig] = lambda: callback(*args)
        waiting, self._waiting = self._waiting, set()
        for number in waiting:
            # To wait again, if it is none of these.
            self.call_soon(self._deliver, number)

    def remove_signal_handler(self, sig: int) -> bool:
        """Forget what `add_signal_handler` was told; return whether there was anything."""
        return self._callbacks.pop(sig, None) is not None

    def _take_signal(self, number: int) -> None:
        # The loop may have been closed: there is nothing left to end.
        with contextlib.suppress(RuntimeError):
            self.call_soon_threadsafe(self._deliver, number)

    def _deliver(self, number: int) -> None:
        callback = self._callbacks.get(number)
        if callback is None and number == signal.SIGHUP:
            callback = self._callbacks.get(signal.SIGTERM)
        if callback is None:
            self._waiting.add(number)
        else:
            callback()
