"""The telemetry client in a test of faults: in this process, or as the program."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

from lsst.ts.mtmount import TelemetryClient

from .outcome import check_sums

#: Longest time for a state to come about that does in a moment [s].
TIME_LIMIT = 60.0

#: How often it is looked whether it has [s].
POLL_INTERVAL = 0.01

#: How often the program reports its counters [s].
REPORT_INTERVAL = 0.05


async def wait_until(is_true: Callable[[], bool], time_limit: float = TIME_LIMIT) -> float:
    """Wait for a state that nobody announces; return how long that took [s]."""
    start = time.monotonic()
    async with asyncio.timeout(time_limit):
        while not is_true():
            await asyncio.sleep(POLL_INTERVAL)
    return time.monotonic() - start


async def wait_for_client(client: TelemetryClient, is_true: Callable[[], bool]) -> float:
    """Wait for a state of a client, which must not end before; return how long that took [s]."""

    def look() -> bool:
        if is_true():
            return True
        assert not client.done_task.done(), f"the client has ended: {client.failure!r}"
        return False

    try:
        return await wait_until(look)
    except TimeoutError:
        for task in asyncio.all_tasks():
            task.print_stack()
        raise AssertionError(f"the client got no further than {client.counters}") from None


@asynccontextmanager
async def start_client(port: int, **options: Any) -> AsyncIterator[TelemetryClient]:
    """Start a client in this process; at the end, see that every frame is accounted for."""
    client = TelemetryClient("127.0.0.1", port, **options)
    try:
        yield client
    finally:
        async with asyncio.timeout(TIME_LIMIT):
            await client.close()
        check_sums(client.counters)


@asynccontextmanager
async def run_client(port: int, **options: Any) -> AsyncIterator[TelemetryClient]:
    """Start a client as `start_client` does, and wait until it has started."""
    async with start_client(port, **options) as client:
        async with asyncio.timeout(TIME_LIMIT):
            await client.start_task
        yield client


class ClientProgram:
    """The program ``run_mtmount_telemetry_client``; an async context manager.

    Parameters
    ----------
    environment
        Environment variables.
    folder
        Folder for its report.
    port
        Port of the TMA.
    *options
        Further options.
    reconnect
        Does it outlive 1 s without telemetry, which may pass on a busy computer?
    output
        Where it prints and logs, if not to `ClientProgram.output`.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        port: int,
        *options: str,
        reconnect: bool = True,
        output: BinaryIO | int = asyncio.subprocess.PIPE,
    ) -> None:
        self._environment = dict(environment)
        self._report = folder / "client.json"
        self._command = [
            *(str(Path(sys.executable).with_name("run_mtmount_telemetry_client")), "--host=127.0.0.1"),
            *(f"--port={port}", f"--report={self._report}", f"--report-interval={REPORT_INTERVAL}"),
            *options,
            *(["--reconnect"] if reconnect else []),
        ]
        self._process: asyncio.subprocess.Process | None = None
        self._target = output
        self._output: list[str] = []
        self._has_ended = False
        self._news = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> ClientProgram:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdout=self._target,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read_output())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._reader is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has printed and logged so far."""
        return "".join(self._output)

    @property
    def counters(self) -> dict[str, Any]:
        """Its last report; all 0 if there is none yet."""
        if not self._report.exists():
            return dict.fromkeys(("frames", "published", "acknowledged", "failed"), 0)
        counters: dict[str, Any] = json.loads(self._report.read_text())
        return counters

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def wait_output(self, text: str, time_limit: float = TIME_LIMIT) -> None:
        """Wait until it has printed a text."""
        async with asyncio.timeout(time_limit), self._news:
            await self._news.wait_for(lambda: text in self.output or self._has_ended)
        assert text in self.output, self.output

    async def wait_ended(self, time_limit: float = TIME_LIMIT) -> tuple[int, float]:
        """Wait until it has ended; return exit status and how long that took [s].

        Its counters must account for every frame.
        """
        assert self._process is not None
        assert self._reader is not None
        start = time.monotonic()
        async with asyncio.timeout(time_limit):
            status = await self._process.wait()
            seconds = time.monotonic() - start
            await self._reader
        if self._report.exists():
            check_sums(self.counters)
        return status, seconds

    async def _read_output(self) -> None:
        assert self._process is not None
        if self._process.stdout is not None:
            async for line in self._process.stdout:
                async with self._news:
                    self._output.append(line.decode())
                    self._news.notify_all()
        async with self._news:
            # Who waits for more must not wait for ever.
            self._has_ended = True
            self._news.notify_all()
