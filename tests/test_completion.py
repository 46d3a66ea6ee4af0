"""The shell completions, in a real shell on a terminal."""

import argparse
import os
import pty
import runpy
import select
import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUOTED = shlex.quote(str(ROOT / "packaging" / "completion"))
TOOL = runpy.run_path(str(ROOT / "tools" / "make_completions"))
PARSERS: list[argparse.ArgumentParser] = TOOL["make_parsers"]()
TIMEOUT = 60.0

#: The shell reads its terminal by itself from here on.
PROMPT = "next> "
#: Kills the line that is typed: ^U.
KILL_LINE = "\x15"

SHELLS = {
    "bash": (["bash", "--norc", "-i"], f'for file in {QUOTED}/bash/*; do . "$file"; done'),
    "zsh": (["zsh", "-f", "-i"], f"fpath=({QUOTED}/zsh $fpath); autoload -Uz compinit; compinit -u -D"),
}


class Shell:
    """An interactive shell on a terminal of its own.

    Parameters
    ----------
    command
        The shell.
    folder
        Its current folder.
    """

    def __init__(self, command: list[str], folder: Path) -> None:
        self._num_marks = 0
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            # Enough room that no shell asks before it lists.
            environment = {"TERM": "dumb", "COLUMNS": "2000", "LINES": "500", "PS1": PROMPT}
            os.execvpe(command[0], command, {"PATH": os.environ["PATH"], **environment})

    def run(self, text: str) -> str:
        """Type a text, drop what is then in the line, and return what the shell then shows."""
        self._num_marks += 1
        # What is echoed is not the mark.
        os.write(self._terminal, f"{text}{KILL_LINE}echo mark''-{self._num_marks}-\r".encode())
        shown = ""
        deadline = time.monotonic() + TIMEOUT
        while PROMPT not in shown.partition(f"mark-{self._num_marks}-")[2]:
            assert select.select([self._terminal], [], [], max(0, deadline - time.monotonic()))[0], shown
            shown += os.read(self._terminal, 65536).decode(errors="replace")
        return shown

    def close(self) -> None:
        """End it."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    command, start = SHELLS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    (tmp_path / "nights").mkdir()
    shell = Shell(command, tmp_path)
    try:
        shell.run(f"{start}\r")
        yield shell
    finally:
        shell.close()


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: str(parser.prog))
def test_completion(shell: Shell, parser: argparse.ArgumentParser) -> None:
    options = shell.run(f"{parser.prog} --\t\t")
    for action in parser._actions:
        for option in action.option_strings:
            assert option in options or not option.startswith("--")
        if action.nargs == 0:
            continue
        (*_, name) = ("", *action.option_strings)
        shown = shell.run(f"{parser.prog} {name} \t\t")
        assert "not found" not in shown
        assert all(str(choice) in shown for choice in action.choices or ())
        if action.metavar in TOOL["COMPLETED_BY"]:
            assert "nights" in shown
