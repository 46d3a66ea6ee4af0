"""Signal handlers of an event loop that several clients share."""

import asyncio
import os
import signal
import threading
import weakref
from collections.abc import Callable, Mapping

__all__ = ["SharedSignalHandlers"]

Handlers = Mapping[int, Callable[[], object]]

#: For each event loop, those who want signals.
_owners: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[SharedSignalHandlers]]" = (
    weakref.WeakKeyDictionary()
)


class SharedSignalHandlers:
    """Has signals handled until `remove`; others in the same loop may handle them, too.

    Handlers are called without arguments, in the running event loop.
    """

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = dict(handlers)
        self._loop = asyncio.get_running_loop()
        for number in self._handlers:
            self._loop.add_signal_handler(number, _dispatch, self._loop, number)
        _owners.setdefault(self._loop, []).append(self)

    @staticmethod
    def is_possible() -> bool:
        """Tell whether an event loop of this thread gets signals: that of the main thread does."""
        return threading.current_thread() is threading.main_thread()

    def pass_on(self, number: int) -> None:
        """Have all in this event loop handle a signal, as if it had come."""
        _dispatch(self._loop, number)

    def remove(self) -> None:
        """Handle signals no longer; those that nobody else handles get their default action."""
        owners = _owners.get(self._loop, [])
        if self not in owners:
            return
        owners.remove(self)
        for number in self._handlers:
            if not any(number in owner._handlers for owner in owners):
                self._loop.remove_signal_handler(number)


def _dispatch(loop: asyncio.AbstractEventLoop, number: int) -> None:
    for owner in list(_owners.get(loop, [])):
        handler = owner._handlers.get(number)
        if handler is not None:
            try:
                handler()
            except Exception as error:
                # The others want to know of the signal, too.
                loop.call_exception_handler({"message": f"Handler of signal {number}", "exception": error})


def _forget_signals() -> None:
    """Give a forked process its own signals: it shares the descriptor by which the loop here gets them."""
    numbers = {number for owners in _owners.values() for owner in owners for number in owner._handlers}
    if numbers:
        _owners.clear()
        signal.set_wakeup_fd(-1)
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget_signals)
