"""Programs, each in a process of its own."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Self

from ...resilience.escape import escape
from .procfs import ProcessMeter

__all__ = ["ChildProgram", "LoadTestError"]

#: How long a program may take to end after SIGTERM before it is killed [s].
END_TIMEOUT = 15.0

#: So much of what a program wrote is told if it fails [lines].
NUM_TOLD_LINES = 15
MAX_TOLD_LENGTH = 1000

#: Longest line of output [bytes]: results come on one line.
MAX_LINE = 16 << 20


class LoadTestError(RuntimeError):
    """A program did not do what it should."""


@dataclass(eq=False, repr=False)
class ChildProgram:
    """A program that runs. A context manager, which ends it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]  #: All its environment variables
    folder: Path  #: Takes what it writes on the standard error, and what is not read
    _: KW_ONLY
    read_output: bool = False  #: Is the standard output read, line by line?
    process: asyncio.subprocess.Process = field(init=False)  #: Once it was started
    meter: ProcessMeter = field(init=False)  #: Tells what it uses

    def __post_init__(self) -> None:
        self._log_path = self.folder / f"{self.name}.log"

    async def __aenter__(self) -> Self:
        with self._log_path.open("wb") as log:
            try:
                self.process = await asyncio.create_subprocess_exec(
                    *self.command,
                    env=dict(self.environment),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE if self.read_output else log,
                    stderr=log,
                    limit=MAX_LINE,
                    # A Ctrl-C in the terminal is for the load test, which ends its programs in order.
                    start_new_session=True,
                )
            except OSError as error:
                raise LoadTestError(f"{self.name} cannot be started: {escape(str(error))}") from None
        self.meter = ProcessMeter(self.process.pid)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.end()

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return self.process.returncode

    async def read_line(self) -> str | None:
        """Read a line of its standard output; None at its end."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        return line.decode().rstrip("\n") if line else None

    async def expect_line(self, time_limit: float) -> str:
        """Read a line of its standard output that must come within the limit [s].

        `LoadTestError` if the program ends before, or it takes too long.
        """
        try:
            async with asyncio.timeout(time_limit):
                line = await self.read_line()
        except TimeoutError:
            raise LoadTestError(f"{self.name} said nothing for {time_limit:g} s\n{self.describe()}") from None
        if line is None:
            await self.process.wait()
            raise LoadTestError(f"{self.name} ended, status {self.status}\n{self.describe()}")
        return line

    def close_input(self) -> None:
        """Close its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def send_signal(self, signum: int) -> None:
        """Send a signal to it, if it still runs."""
        if self.status is None:
            self.process.send_signal(signum)

    async def wait(self, time_limit: float) -> int | None:
        """Wait until it ends, at most this long [s]; return the exit status, None if it still runs."""
        try:
            async with asyncio.timeout(time_limit):
                return await self.process.wait()
        except TimeoutError:
            return None

    async def end(self) -> int:
        """End it, if it still runs: ask it to, and if that does not help, kill it. Return the exit status."""
        if self.status is None:
            self.send_signal(signal.SIGTERM)
            if await self.wait(END_TIMEOUT) is None:
                # And with it what it may have started.
                os.killpg(self.process.pid, signal.SIGKILL)
        return await self.process.wait()

    def describe(self) -> str:
        """Return the last lines of its output, for people."""
        lines = self._log_path.read_text(errors="replace").splitlines()[-NUM_TOLD_LINES:]
        return "\n".join(f"    {self.name}: {escape(line, MAX_TOLD_LENGTH)}" for line in lines)
