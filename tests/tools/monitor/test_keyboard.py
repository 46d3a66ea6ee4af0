import os
import pty
import select
import termios
from collections.abc import Iterator

import pytest

from lsst.ts.mtmount.tools.monitor.keyboard import Key, Keyboard, parse_keys


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The user's end of a terminal, and the program's."""
    user, program = pty.openpty()
    yield user, program
    os.close(user)
    os.close(program)


def press(user: int, program: int, keys: bytes) -> None:
    os.write(user, keys)
    assert select.select([program], [], [], 10)[0]


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", [Key.QUIT]),
        (b"\x1b[A\x1b[B", [Key.UP, Key.DOWN]),
        (b"\x1bOA\x1bOB", [Key.UP, Key.DOWN]),
        (b"kj b", [Key.UP, Key.DOWN, Key.PAGE_DOWN, Key.PAGE_UP]),
        (b"\x1b[5~\x1b[6~", [Key.PAGE_UP, Key.PAGE_DOWN]),
        (b"\x1b[H\x1b[F\x1b[1~\x1b[4~", [Key.HOME, Key.END, Key.HOME, Key.END]),
        (b"xyz\xff\x1b[99~", []),
        (b"x\x1b[Bq", [Key.DOWN, Key.QUIT]),
        (b"", []),
    ],
)
def test_keys(data: bytes, keys: list[Key]) -> None:
    assert parse_keys(data) == keys


def test_keys_come_without_return_and_unseen(terminal: tuple[int, int]) -> None:
    user, program = terminal
    before = termios.tcgetattr(program)
    with Keyboard(program) as keyboard:
        assert keyboard.read() == []
        press(user, program, b"j")
        assert keyboard.read() == [Key.DOWN]
        # No echo: nothing comes back to the user.
        assert not select.select([user], [], [], 0)[0]
        assert keyboard.read() == []
        # Ctrl-C goes on to be a signal.
        assert termios.tcgetattr(program)[3] & termios.ISIG
    assert termios.tcgetattr(program) == before


def test_the_terminal_is_restored_after_an_error(terminal: tuple[int, int]) -> None:
    before = termios.tcgetattr(terminal[1])
    with pytest.raises(ZeroDivisionError), Keyboard(terminal[1]):
        raise ZeroDivisionError
    assert termios.tcgetattr(terminal[1]) == before


def test_no_terminal_no_keys() -> None:
    reader, writer = os.pipe()
    try:
        with Keyboard(reader) as keyboard:
            os.write(writer, b"q")
            assert keyboard.read() == []
    finally:
        os.close(reader)
        os.close(writer)
