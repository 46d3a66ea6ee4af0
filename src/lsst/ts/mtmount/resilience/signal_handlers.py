"""Signal handlers of an event loop that several clients share."""

import asyncio
import os
import signal
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SharedSignalHandlers"]

Handlers = Mapping[int, Callable[[], object]]

#: For each event loop, those who want signals.
_owners: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[SharedSignalHandlers]]" = (
    weakref.WeakKeyDictionary()
)


#: How a signal that is handled here was handled before, and the handler that the event loop has installed.
_installed: dict[int, tuple[Any, Any]] = {}

#: Signals that were blocked in this thread before it began to fork.
_forking = threading.local()


class SharedSignalHandlers:
    """Has signals handled until `remove`; others in the same loop may handle them, too.

    Handlers are called without arguments, in the running event loop.
    """

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = dict(handlers)
        self._loop = asyncio.get_running_loop()
        owners = _owners.setdefault(self._loop, [])
        for number in self._handlers:
            if not any(number in owner._handlers for owner in owners):
                # The loop's own one is replaced; without it nothing would answer a signal.
                self._loop.remove_signal_handler(number)
                before = signal.getsignal(number)
                self._loop.add_signal_handler(number, _dispatch, self._loop, number)
                _installed[number] = (before, signal.getsignal(number))
        owners.append(self)

    @staticmethod
    def is_possible() -> bool:
        """Tell whether an event loop of this thread gets signals: that of the main thread does."""
        return threading.current_thread() is threading.main_thread()

    def pass_on(self, number: int) -> None:
        """Have all in this event loop handle a signal, as if it had come."""
        _dispatch(self._loop, number)

    def remove(self) -> None:
        """Handle signals no longer; those that nobody else here handles are handled as before.

        One for which a user has installed a handler since then keeps that.
        """
        owners = _owners.get(self._loop, [])
        if self not in owners:
            return
        owners.remove(self)
        for number in self._handlers:
            if not any(number in owner._handlers for owner in owners):
                before, installed = _installed.pop(number)
                if (current := signal.getsignal(number)) is not installed:
                    before = current
                self._loop.remove_signal_handler(number)
                # None: not installed by Python.
                if before is not None:
                    signal.signal(number, before)


def _dispatch(loop: asyncio.AbstractEventLoop, number: int) -> None:
    for owner in list(_owners.get(loop, [])):
        handler = owner._handlers.get(number)
        if handler is not None:
            try:
                handler()
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                # The others want to know of the signal, too.
                loop.call_exception_handler({"message": f"Handler of signal {number}", "exception": error})


def _list_handled() -> set[int]:
    return {number for owners in list(_owners.values()) for owner in owners for number in owner._handlers}


def _hold_signals() -> None:
    """Have signals wait while a process is forked: the new one shares what wakes up the event loop here."""
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _list_handled())


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _forget_signals() -> None:
    """Give a forked process its own signals."""
    if numbers := _list_handled():
        _owners.clear()
        _installed.clear()
        signal.set_wakeup_fd(-1)
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
    _release_signals()


os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_forget_signals)
