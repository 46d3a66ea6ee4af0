"""Loggers that raise nothing to whoever logs, whatever handlers a user has added."""

import contextlib
import logging
from typing import Any

__all__ = ["guard_logger"]


class GuardedLogger(logging.Logger):
    """A logger whose handlers, filters and record factory may raise.

    That is printed, as logging's own handlers do with theirs, see `logging.Handler.handleError`. The wish to
    leave the process, KeyboardInterrupt and SystemExit, is raised on.
    """

    def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802  # logging's name
        """Make a record; a plain one if the user's factory raises."""
        try:
            return super().makeRecord(*args, **kwargs)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            # Without `extra` and the stack.
            record = logging.LogRecord(*args[:8])
            _report(record)
            return record

    def handle(self, record: logging.LogRecord) -> None:
        """Hand a record to filters and handlers."""
        try:
            super().handle(record)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            _report(record)


def guard_logger(log: logging.Logger) -> logging.Logger:
    """Have a logger be a `GuardedLogger`, and return it."""
    if not isinstance(log, GuardedLogger):
        # Its class, as `logging.setLoggerClass` is for all loggers, and it may be in use already.
        log.__class__ = type("GuardedLogger", (GuardedLogger, type(log)), {})
    return log


def _report(record: logging.LogRecord) -> None:
    # stderr may be closed; then there is nobody left to tell.
    with contextlib.suppress(Exception):
        logging.NullHandler().handleError(record)
