"""Server processes that end with the test session, however that ends."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from ...suspended import resume_process, suspend_process

#: Longest time a server may take until it answers [s].
START_TIMEOUT: Final = 180.0

#: Longest time for an orderly end [s].
STOP_TIMEOUT: Final = 45.0

#: Time between two looks at a state that nobody announces [s].
POLL_INTERVAL: Final = 0.05

#: Characters of a server's log in an error.
LOG_TAIL: Final = 3000

# The kernel's parent-death signal is sent when the *thread* that started the process ends, so the
# servers are started by a thread that lives as long as the interpreter: a test may restart one from
# a short-lived thread.
_LAUNCHER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-launcher")


class ServerError(RuntimeError):
    """A server did not start, or did not do what it was told."""


class ServerProcess:
    """One server program in a session of its own, its output in a log file.

    Parameters
    ----------
    name : `str`
        Name in error messages.
    command : `Sequence` [`str`]
        Program and arguments.
    log_path : `pathlib.Path`
        File that standard output and error are appended to.
    """

    def __init__(self, name: str, command: Sequence[str], log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self._command = ["setpriv", "--pdeathsig", "KILL", *command]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Has the process been started, and not ended?"""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id; `ServerError` if it was not started."""
        return self._started().pid

    def start(self) -> None:
        """Start the process; `ServerError` if it runs already."""
        if self.running:
            raise ServerError(f"{self.name} runs already")
        self._process = _LAUNCHER.submit(self._launch).result()

    def wait_ready(self, is_ready: Callable[[], bool], timeout: float = START_TIMEOUT) -> None:
        """Poll until the server answers; the question may block for a second or so.

        `ServerError`, with the end of the log, if the process ends or the time-out [s] is over.
        """
        deadline = time.monotonic() + timeout
        while not is_ready():
            if not self.running:
                raise ServerError(f"{self.name} ended: {self._started().returncode}\n{self.read_log_tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} is not ready after {timeout} s\n{self.read_log_tail()}")
            time.sleep(POLL_INTERVAL)

    def terminate(self, timeout: float = STOP_TIMEOUT) -> None:
        """End the process in an orderly way (SIGTERM); do nothing if it does not run.

        After the time-out [s] it is killed, and `ServerError` raised.
        """
        if not self.running:
            return
        self._started().terminate()
        try:
            self.wait_ended(timeout)
        except ServerError:
            self.kill()
            raise

    def wait_ended(self, timeout: float = STOP_TIMEOUT) -> None:
        """Wait until the process has ended; `ServerError` if it takes longer than the time-out [s]."""
        try:
            self._started().wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise ServerError(
                f"{self.name} did not end within {timeout} s\n{self.read_log_tail()}"
            ) from error

    def kill(self) -> None:
        """End the process at once (SIGKILL) and wait until it is gone; do nothing if it does not run."""
        if self.running:
            self._started().kill()
            self._started().wait()

    def suspend(self) -> None:
        """Freeze the process (SIGSTOP): its sockets stay open, but nothing answers when this returns."""
        suspend_process(self.pid)

    def resume(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        resume_process(self.pid)

    def read_log_tail(self) -> str:
        """Return the end of the log."""
        with contextlib.suppress(FileNotFoundError):
            return self.log_path.read_text(errors="replace")[-LOG_TAIL:]
        return "(no log)"

    def _started(self) -> subprocess.Popen[bytes]:
        """Return the process, which must have been started."""
        if self._process is None:
            raise ServerError(f"{self.name} was not started")
        return self._process

    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the process in the calling thread."""
        with self.log_path.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for the tests, which then end the servers.
            return subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
