"""A JSON file with a program's figures, for those who watch the program."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["ReportFile"]


class ReportFile:
    """Keeps a file with a program's figures, from time to time and at the end.

    The file is replaced as a whole: who reads it never sees half of it. That it
    cannot be written is logged, once for each reason, and ends nothing.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.
    describe : callable
        Returns the figures, ready for JSON.
    log : `logging.Logger`
        Where to log.
    interval : `float` or `None`
        Time between two reports [seconds]; None: only one at the end.

    Raises
    ------
    ValueError
        If the interval is not above 0.
    """

    def __init__(
        self,
        path: Path,
        describe: Callable[[], Mapping[str, Any]],
        log: logging.Logger,
        interval: float | None = None,
    ) -> None:
        if interval is not None and not interval > 0:
            raise ValueError(f"an interval of {interval} s between reports is not above 0")
        self._path = path
        self._describe = describe
        self._log = log
        self._last_error = ""
        self._task = None if interval is None else asyncio.create_task(self._keep(interval))

    def write(self) -> None:
        """Write the figures as they are now."""
        draft = self._path.with_name(f"{self._path.name}.new")
        try:
            draft.write_text(json.dumps(self._describe(), indent=2) + "\n", encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            if str(error) != self._last_error:
                self._log.error(f"Cannot write the report: {error}")
            self._last_error = str(error)

    def finish(self) -> None:
        """Write for the last time."""
        if self._task is not None:
            self._task.cancel()
        self.write()

    async def _keep(self, interval: float) -> None:
        while True:
            self.write()
            await asyncio.sleep(interval)
