"""Which client program is put to the test, and how it is started."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from ...resilience.escape import escape

__all__ = ["OURS", "PLAIN", "ClientCommand", "make_own_command", "parse_client_command"]

CONNECTION_OPTIONS = ("--host", "{host}", "--port", "{port}")
REPORT_OPTIONS = ("--report", "{report}", "--report-interval", "{interval}")


def make_own_command(entry: str) -> list[str]:
    """Return the command of a program of ours, by the name of its entry in the launcher.

    The launcher finds this package whatever else is on the path.
    """
    return [sys.executable, "-c", f"import sys, mtmount_telemetry_launcher as own; sys.exit(own.{entry}())"]


@dataclass(frozen=True)
class ClientCommand:
    """A client program."""

    name: str  #: What to call it
    #: The program and its arguments, with the placeholders ``{host}``, ``{port}``, ``{report}`` and
    #: ``{interval}``.
    template: tuple[str, ...]

    @property
    def has_counters(self) -> bool:
        """Does the program tell its counters, in the report that it is asked for?"""
        return any("{report}" in word for word in self.template)

    def make_command(self, host: str, port: int, report: Path, interval: float) -> list[str]:
        """Return the program and its arguments; it writes its counters every ``interval`` [s]."""
        values = {"host": host, "port": str(port), "report": str(report), "interval": str(interval)}
        command = list(self.template)
        for name, value in values.items():
            command = [word.replace(f"{{{name}}}", value) for word in command]
        return command


def parse_client_command(text: str) -> ClientCommand:
    """Parse the command line of a client program: words as in a shell.

    Where neither ``{host}`` nor ``{port}`` is in it, ``--host`` and ``--port`` are
    appended. `ValueError` if there are no words, or a quotation has no end.
    """
    words = tuple(shlex.split(text))
    if not words:
        raise ValueError("expected the command of a client, got an empty one")
    if not any("{host}" in word or "{port}" in word for word in words):
        words += CONNECTION_OPTIONS
    return ClientCommand(escape(Path(words[0]).name), words)


#: This project's client.
OURS = ClientCommand(
    "telemetry client",
    (*make_own_command("run_client"), *CONNECTION_OPTIONS, *REPORT_OPTIONS),
)

#: The same in pure Python, for comparison.
PLAIN = ClientCommand(
    "plain client",
    (
        sys.executable,
        "-m",
        "lsst.ts.mtmount.tools.load_test.plain_client",
        *CONNECTION_OPTIONS,
        *REPORT_OPTIONS,
    ),
)
