"""Whoever is cancelled, wherever he waits, leaves nothing running."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from lsst.ts.mtmount import Client, TelemetryClient

from ..test_telemetry_client import golden_frame, wait_for
from ..thread_server import serve
from ..tma import ScriptedTma
from .ends import CancelledAt, assert_ended, assert_nothing_runs, end_of, prepare_amain, tasks_beside

#: Which steps of the event loop are tried in the fast suite: one in so many.
STRIDE = 12


async def start(client: TelemetryClient) -> None:
    await client.start()
    await client.close()


async def wait_for_start(client: TelemetryClient) -> None:
    await client.start_task
    await client.close()


async def use_as_context(client: TelemetryClient) -> None:
    async with client:
        await asyncio.sleep(0)


async def close(client: TelemetryClient) -> None:
    await asyncio.wait([client.start_task])
    await client.close()


async def close_basically(client: TelemetryClient) -> None:
    await asyncio.wait([client.start_task])
    await client.basic_close()


async def close_at_once(client: TelemetryClient) -> None:
    await client.close()


USES = [start, wait_for_start, use_as_context, close, close_basically, close_at_once]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
async def test_cancelled_at_each_wait(
    tma: ScriptedTma, sal_environment: str, use: Callable[[TelemetryClient], Coroutine[Any, Any, None]]
) -> None:
    for at in range(20):
        before = tasks_beside()
        client = TelemetryClient("127.0.0.1", tma.port, sal_backend="builtin")
        task = asyncio.ensure_future(CancelledAt(use(client), at))
        await asyncio.wait([task])
        if use is wait_for_start and at == 0:
            # Who gives up that task gets a client that ends.
            await end_of(client)
        elif use in (close, close_basically) and at == 0:
            # Nothing was asked of the client yet: it goes on whole.
            await client.start_task
            assert client.connected
            await client.close()
        await end_of(client)
        assert_ended(client)
        await assert_nothing_runs(before)
        if not task.cancelled():
            task.result()
            break
    assert at >= 1
    assert not task.cancelled(), "every wait was tried"


async def test_amain_cancelled_at_each_wait(
    tma: ScriptedTma, sal_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, made = prepare_amain(monkeypatch, tma)
    for at in range(20):
        before = tasks_beside()
        task = asyncio.ensure_future(CancelledAt(kept.amain(), at))
        if not await is_cancelled_while_it_runs(task, made):
            break
        for client in made:
            assert_ended(client)
        await assert_nothing_runs(before)
        made.clear()
    assert at >= 2
    assert task.result() == 0


async def is_cancelled_while_it_runs(task: asyncio.Task[int], made: list[TelemetryClient]) -> bool:
    """Wait until the program was cancelled, or runs: then end it as a signal does."""
    while not task.done():
        if made and made[0].connected:
            made[0].signal_handler()
        await asyncio.sleep(0)
    return task.cancelled()


@pytest.mark.parametrize("name", ["start", "close"])
async def test_the_base_class_cancelled_at_each_wait(name: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def report(client: Client) -> None:
        await asyncio.sleep(0)

    async def use(client: Client) -> None:
        await client.start()
        if name == "close":
            await client.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for at in range(20):
        before = tasks_beside()
        client = Client("127.0.0.1", port, logging.getLogger("test"), report, run_heartbeat_send_task=True)
        task = asyncio.ensure_future(CancelledAt(use(client), at))
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
            await client.close()
        await end_of(client)
        assert not client.connected
        await assert_nothing_runs(before)
        if not task.cancelled():
            break
    assert at >= 1
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("kind", ["telemetry", "plain"])
async def test_all_tasks_cancelled_while_it_closes(
    tma: ScriptedTma, sal_environment: str, kind: str, turns: int
) -> None:
    """A task that is cancelled before its first step does nothing at all; the end comes all the same."""
    others = tasks_beside()
    client = (
        TelemetryClient("127.0.0.1", tma.port, sal_backend="builtin")
        if kind == "telemetry"
        else Client("127.0.0.1", tma.port, logging.getLogger("test"))
    )
    await client.start_task
    others |= tma._tasks
    closing = asyncio.create_task(client.close())
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in tasks_beside() - others:
        task.cancel()
    await asyncio.wait([closing])
    await end_of(client)
    assert not client.connected
    if isinstance(client, TelemetryClient):
        assert_ended(client)
    await assert_nothing_runs(others)


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop that cancels a task at its nth step, as Ctrl-C does with `asyncio.run`."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at
        self.step = 0
        self.victim: asyncio.Task[Any] | None = None

    def _run_once(self) -> None:
        if self.victim is not None:
            if self.step == self.at:
                self.victim.cancel()
            self.step += 1
        super()._run_once()  # type: ignore[misc]


def send_frame(connection: socket.socket) -> None:
    """Send a frame, and wait until the client has gone."""
    connection.sendall(golden_frame("azimuth") + b"\r\n")
    while connection.recv(1000):
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """Port of a TMA that no end of an event loop concerns."""
    with serve(send_frame) as port:
        yield port


async def live(port: int, made: list[TelemetryClient], *, is_closed: bool) -> None:
    """Use a client to the full; leave it open, or close it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    loop.victim = asyncio.current_task()
    client = TelemetryClient("127.0.0.1", port, sal_backend="builtin")
    made.append(client)
    async with client if is_closed else contextlib.nullcontext():
        await client.start_task
        await wait_for(lambda: client.counters.published == 1)


def run_interrupted(port: int, at: int, *, is_closed: bool) -> bool:
    """Interrupt a life at a step of its event loop; return whether it came to that step."""
    made: list[TelemetryClient] = []
    loops: list[SteppedLoop] = []

    def make_loop() -> SteppedLoop:
        loops.append(SteppedLoop(at))
        return loops[-1]

    with contextlib.suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(live(port, made, is_closed=is_closed))
    for client in made:
        assert client.done_task.done()
        assert not client.connected
        assert not client.controller.isopen
        # `counters` would need the loop.
        assert client._pipeline.counters.is_closed()
    assert not logging.getLogger("MTMount").handlers
    # What was not awaited or retrieved is told now, and fails the test.
    gc.collect()
    return loops[0].step > at


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "left open"])
@pytest.mark.parametrize(
    "stride", [STRIDE, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(600)])], ids=str
)
def test_interrupted_at_each_step_of_the_loop(
    sal_environment: str, port: int, stride: int, is_closed: bool
) -> None:
    at = 0
    while run_interrupted(port, at, is_closed=is_closed):
        at += stride
    assert at > 2 * STRIDE
