"""Printing from a program that must go on where nothing can be printed.

The disk of a log may be full, and whoever read a pipe may be gone. Neither is a reason to
end the telemetry, or to change the exit status.
"""

import logging
import os
import sys
from typing import TextIO

__all__ = ["flush_output", "print_line"]


def print_line(text: str, log: logging.Logger) -> None:
    """Print a line at once.

    Parameters
    ----------
    text : `str`
        The line.
    log : `logging.Logger`
        Is told once if it could not be printed; nothing more is printed then.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        _discard(sys.stdout)
        log.warning(f"Cannot print {text!r}, or what follows: {error}")


def flush_output() -> None:
    """Give up what the standard streams hold and cannot write, at the end of a program.

    Python would try again when it ends, and change the exit status to 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Said already, or there is nobody left to say it to.
            _discard(stream)


def _discard(stream: TextIO) -> None:
    """Let a stream write to nowhere, what waits in its buffer included."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
