"""The verifier in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .child_program import ChildProgram, LoadTestError
from .latency_histogram import LatencyHistogram
from .verifier_result import VerifierResult

__all__ = ["BUSY_FETCH_WAIT", "FETCH_WAIT", "VerifierProcess", "VerifierProgress"]

#: How long the reader lets the broker wait for records before it asks anew [s], up to the full
#: rate and above it. For each answer the embedded broker runs through all that it keeps of a
#: topic: asked every millisecond at 20x, it does hardly anything else after some minutes.
FETCH_WAIT = 0.001
BUSY_FETCH_WAIT = 0.02

#: How long the reader may take to be there, and for what is left at the end [s].
START_TIMEOUT = 30.0
FINISH_TIMEOUT = 120.0


@dataclass(frozen=True)
class VerifierProgress:
    """How far the reader is."""

    decoded: Mapping[str, int]  #: Records decoded so far, by SAL name
    problems: int  #: Problems found so far
    #: When the first record was given to the client's producer [UTC unix s]; 0 if there was none.
    first_published: float
    latency: LatencyHistogram  #: Latencies since the last progress

    @property
    def total_decoded(self) -> int:
        """Records decoded so far."""
        return sum(self.decoded.values())

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> VerifierProgress:
        """Return what the reader describes."""
        return cls(**(content | {"latency": LatencyHistogram.from_dict(content["latency"])}))


class VerifierProcess:
    """Reads back in a process of its own, and compares with the ``recording`` of the frames.

    A context manager. There is a progress every ``interval`` [s]; ``fetch_wait`` is as of `RecordReader` [s].
    ``is_simulated`` is as of `Verifier`.
    """

    _task: asyncio.Task[VerifierResult]  # Once it was started.

    def __init__(
        self,
        topics: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        interval: float,
        fetch_wait: float = FETCH_WAIT,
        recording: Path | None = None,
        is_simulated: bool = False,
    ) -> None:
        command = [sys.executable, "-m", "lsst.ts.mtmount.tools.load_test.verifier"]
        command += ["--topics", ",".join(topics), "--interval", str(interval)]
        command += ["--fetch-wait", str(fetch_wait)]
        if recording is not None:
            command += ["--frames", str(recording)]
        if is_simulated:
            command.append("--simulated")
        self.program = ChildProgram("reader", command, environment, folder, read_output=True)
        self.progress: VerifierProgress | None = None  #: The last one
        self._latencies: list[LatencyHistogram] = []
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.program.__aenter__()
        try:
            line = await self.program.expect_line(START_TIMEOUT)
            if "ready" not in json.loads(line):
                raise LoadTestError(f"the reader said {line!r}")
        except BaseException:
            await self.program.end()
            raise
        self._task = asyncio.create_task(self._follow())
        self._task.add_done_callback(lambda _: self._news.set())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        await self.program.end()

    def take_latency(self) -> LatencyHistogram:
        """Return the latencies since this was called last."""
        total = LatencyHistogram.sum_up(self._latencies)
        self._latencies.clear()
        return total

    async def wait_for(self, predicate: Callable[[VerifierProgress], bool]) -> None:
        """Wait until a progress is as wanted; for one waiter at a time.

        `LoadTestError` if the reader ends before.
        """
        while self.progress is None or not predicate(self.progress):
            if self._task.done():
                read_back = await self._task
                raise LoadTestError(f"the reader has ended: {read_back.failure}")
            self._news.clear()
            await self._news.wait()

    async def finish(self) -> VerifierResult:
        """Let it read what is left; `LoadTestError` if it fails, or takes too long."""
        self.program.close_input()
        try:
            async with asyncio.timeout(FINISH_TIMEOUT):
                return await asyncio.shield(self._task)
        except TimeoutError:
            raise LoadTestError(f"the reader took over {FINISH_TIMEOUT:g} s for the rest") from None

    async def _follow(self) -> VerifierResult:
        """Take what it says, until the result."""
        while (line := await self.program.read_line()) is not None:
            content = json.loads(line)
            if "result" in content:
                return VerifierResult.from_dict(content["result"])
            self.progress = VerifierProgress.from_dict(content["progress"])
            self._latencies.append(self.progress.latency)
            self._news.set()
        await self.program.process.wait()
        raise LoadTestError(f"the reader ended, status {self.program.status}\n{self.program.describe()}")
