"""The last log messages, for a view that has the terminal for itself."""

import logging
from collections import deque

from ...resilience.escape import escape

__all__ = ["LogTail"]

#: How many are kept.
LENGTH = 50


class LogTail(logging.Handler):
    """Keeps the last log messages as lines of text; the newest comes last."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("{asctime} {message}", "%H:%M:%S", style="{"))
        self.lines: deque[str] = deque(maxlen=LENGTH)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.lines.append(escape(self.format(record)))
