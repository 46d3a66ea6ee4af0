"""How a client has to have ended."""

import asyncio
import contextlib
import sys
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

import pytest

from lsst.ts.mtmount import Client, TelemetryClient

from ..test_telemetry_client import wait_for
from ..tma import ScriptedTma

#: What the end of a client may take in these tests [s]; its own bounds sum up to less.
END_LIMIT = 20

T = TypeVar("T")


def prepare_amain(
    monkeypatch: pytest.MonkeyPatch, tma: ScriptedTma
) -> tuple[type[TelemetryClient], list[TelemetryClient]]:
    """Set the arguments of ``amain``; return a class that has it, and a list that its clients come to."""
    monkeypatch.setattr(sys, "argv", ["client", "--host=127.0.0.1", f"--port={tma.port}"])
    made: list[TelemetryClient] = []

    class Kept(TelemetryClient):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    return Kept, made


async def end_of(client: Client) -> None:
    """Wait for a client's end, whatever it ends with."""
    async with asyncio.timeout(END_LIMIT):
        await asyncio.wait([client.done_task])


def tasks_beside() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {task for task in [asyncio.current_task()] if task}


async def assert_nothing_runs(before: set[asyncio.Task[Any]]) -> None:
    """Wait until all tasks that were made since have ended."""
    with contextlib.suppress(TimeoutError):
        await wait_for(lambda: not tasks_beside() - before)
    assert not tasks_beside() - before


def assert_ended(client: TelemetryClient) -> None:
    assert client.done_task.done()
    assert not client.done_task.cancelled()
    assert not client.connected
    assert not client.controller.isopen
    assert client.counters.is_closed()


class CancelledAt:
    """Awaits a coroutine, and cancels the task that does when it waits for the nth time.

    Attributes
    ----------
    num_waits : `int`
        How often it has waited so far.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], at: int) -> None:
        self.num_waits = 0
        self._coroutine = coroutine
        self._at = at

    def __await__(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        while True:
            try:
                waited = self._coroutine.throw(error) if error else self._coroutine.send(None)
            except StopIteration as end:
                return end.value
            self.num_waits += 1
            if self.num_waits == self._at + 1:
                task = asyncio.current_task()
                assert task is not None
                # It gets the cancellation where it is about to wait.
                task.cancel()
            error = None
            try:
                yield waited
            except BaseException as raised:
                error = raised
