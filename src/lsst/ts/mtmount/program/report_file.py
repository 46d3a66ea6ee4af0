"""A JSON file with a program's figures, for those who watch the program."""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from ..resilience.daemon_thread import run_in_daemon_thread
from ..resilience.escape import describe_error
from ..resilience.output_file import OutputFile
from ..resilience.writer_thread import WriterThread

__all__ = ["ReportFile"]

#: How long the last report may take to be written [seconds].
CLOSE_TIMEOUT = 1.0


class ReportFile:
    """Keeps a file with a program's figures, from time to time and at the end.

    A thread writes it, as `OutputFile` says. That it cannot be written is logged, once for each reason,
    and ends nothing. ``describe`` returns the figures, ready for JSON; ``interval`` is the time between
    two reports [seconds], None: only one at the end.
    """

    def __init__(
        self,
        output: OutputFile | str | os.PathLike[str],
        describe: Callable[[], Mapping[str, Any]],
        log: logging.Logger,
        interval: float | None = None,
    ) -> None:
        if interval is not None and not interval > 0:
            raise ValueError(f"expected an interval above 0 s between reports, got {interval}")
        self._output = output if isinstance(output, OutputFile) else OutputFile(output)
        self._describe = describe
        self._log = log
        self._last_error = ""
        self._last_failure = ""
        # One report may wait while another one is written.
        self._thread = WriterThread("report", self._write, self._tell_late, 2)
        self._timer: asyncio.TimerHandle | None = None
        if interval is not None:
            self._keep(interval)

    def write(self) -> None:
        """Have the figures written as they are now; that may be late, or fail, and is logged then."""
        self._thread.put(self._make_text(), 1)

    async def finish(self) -> None:
        """Write for the last time."""
        if self._timer is not None:
            self._timer.cancel()
        text = None
        try:
            text = self._make_text()
        except Exception as error:
            self._tell_failure(error)

        def write_last() -> bool:
            # It must not be left out because older ones wait.
            is_free = self._thread.wait_written(CLOSE_TIMEOUT)
            is_put = is_free and (text is None or self._thread.put(text, 1))
            return is_put and self._thread.close(CLOSE_TIMEOUT)

        if not await run_in_daemon_thread(write_last):
            self._log.error(
                f"{self._output.path}: the report could not be written within {CLOSE_TIMEOUT:g} s"
            )

    def _make_text(self) -> str:
        return json.dumps(self._describe(), indent=2) + "\n"

    def _write(self, text: str) -> None:
        try:
            self._output.replace(text.encode())
        except OSError as error:
            # Not its text: the name of a draft is new each time.
            reason = error.strerror or str(error)
            if reason != self._last_error:
                self._log.error(f"{self._output.path}: cannot write the report: {reason}")
            self._last_error = reason
        else:
            self._last_error = ""

    def _tell_failure(self, error: Exception) -> None:
        """Tell what a method of a subclass of the client raised, once."""
        reason = describe_error(error)
        if reason != self._last_failure:
            self._log.error(f"{self._output.path}: cannot make the report: {reason}")
        self._last_failure = reason

    def _tell_late(self, num_reports: int) -> None:
        self._log.warning(
            f"{self._output.path}: {num_reports} reports were left out, as writing was too slow"
        )

    def _keep(self, interval: float) -> None:
        """Write now, and again after the interval: by a timer, as somebody may cancel all tasks."""
        self._timer = asyncio.get_running_loop().call_later(interval, self._keep, interval)
        try:
            self.write()
        except Exception as error:
            self._tell_failure(error)
