"""The embedded Kafka in a process of its own."""

import subprocess
import sys

from lsst.ts.mtmount.sal import KafkaSettings

from .suspended import resume_process, suspend_process

#: Longest time for the end [s].
STOP_TIMEOUT = 60.0


class KafkaProcess:
    """An embedded Kafka that a test can suspend, like a broker that stalls.

    Parameters
    ----------
    subname
        Name space of its topics.

    Attributes
    ----------
    environment
        The environment variables that lead a program there.
    settings
        What they say.
    """

    def __init__(self, subname: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lsst.ts.mtmount.embedded", f"--subname={subname}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        lines = [self._process.stdout.readline() for _ in range(3)]
        self.environment = dict(line.strip().split("=", 1) for line in lines)
        self.settings = KafkaSettings.from_environment(self.environment)

    def suspend(self) -> None:
        """Suspend it; it answers nothing more when this returns."""
        suspend_process(self._process.pid)

    def resume(self) -> None:
        """Let it go on."""
        resume_process(self._process.pid)

    def stop(self) -> None:
        """End it, also if it is suspended."""
        self.resume()
        self._process.terminate()
        self._process.communicate(timeout=STOP_TIMEOUT)
