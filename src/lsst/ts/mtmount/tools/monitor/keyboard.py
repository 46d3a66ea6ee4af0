"""Single keys from a terminal, as they are pressed."""

import os
import re
import select
import termios
import tty
from enum import Enum
from typing import Any, Self

__all__ = ["Key", "Keyboard"]

#: Most bytes that are taken at once: a pasted text is no program of keys.
MAX_READ = 64


class Key(Enum):
    """What a key means."""

    QUIT = "quit"
    UP = "up"
    DOWN = "down"
    PAGE_UP = "page up"
    PAGE_DOWN = "page down"
    HOME = "home"
    END = "end"


#: What terminals send (xterm and its relatives).
SEQUENCES = {
    b"\x1b[A": Key.UP,
    b"\x1bOA": Key.UP,
    b"\x1b[B": Key.DOWN,
    b"\x1bOB": Key.DOWN,
    b"\x1b[5~": Key.PAGE_UP,
    b"\x1b[6~": Key.PAGE_DOWN,
    b"\x1b[H": Key.HOME,
    b"\x1bOH": Key.HOME,
    b"\x1b[1~": Key.HOME,
    b"\x1b[F": Key.END,
    b"\x1bOF": Key.END,
    b"\x1b[4~": Key.END,
    b"q": Key.QUIT,
    b"k": Key.UP,
    b"j": Key.DOWN,
    b" ": Key.PAGE_DOWN,
    b"b": Key.PAGE_UP,
}
ANY_SEQUENCE = re.compile(b"|".join(map(re.escape, SEQUENCES)))


class Keyboard:
    """Reads keys without waiting for the end of a line. A context manager.

    Ctrl-C and Ctrl-Z go on to work as signals. If the input is no terminal, there are no keys.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._saved: list[Any] | None = None

    def __enter__(self) -> Self:
        if os.isatty(self._descriptor):
            self._saved = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._saved is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._saved)

    def read(self) -> list[Key]:
        """Read the keys that were pressed since the last time."""
        if self._saved is None or not select.select([self._descriptor], [], [], 0)[0]:
            return []
        return parse_keys(os.read(self._descriptor, MAX_READ))


def parse_keys(data: bytes) -> list[Key]:
    """Parse what a terminal has sent; what means nothing here is left out."""
    return [SEQUENCES[sequence] for sequence in ANY_SEQUENCE.findall(data)]
