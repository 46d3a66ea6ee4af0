"""How the program's log lines look: beside those of others, and without what controls a terminal."""

import logging
from datetime import UTC, datetime

from ..resilience.escape import escape

__all__ = ["LogFormatter"]

#: Before each line of a traceback: it must not look like a line of the log.
INDENT = "    "


class LogFormatter(logging.Formatter):
    """Formats as ``2026-11-25T23:45:01.123Z LEVEL logger: message``, in UTC; tracebacks are indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        lines = [
            f"{time}.{int(record.msecs):03}Z {record.levelname} {record.name}: {escape(record.getMessage())}"
        ]
        if record.exc_info and record.exc_info[0] is not None:
            text = record.exc_text or self.formatException(record.exc_info)
            lines += [INDENT + escape(line) for line in text.split("\n")]
        return "\n".join(lines)
