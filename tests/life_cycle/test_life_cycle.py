"""Samples of what may happen in the life of a telemetry client."""

import asyncio
import contextlib
import copy
import gc
import logging
import pickle
import signal
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lsst.ts.mtmount import (
    TELEMETRY_MAP,
    Client,
    Counters,
    DropReason,
    FrameError,
    TelemetryClient,
    TelemetryTopicHandler,
)

from ..kafka_reader import KafkaReader
from ..test_telemetry_client import frame_of, golden_frame, wait_for
from ..tma import ScriptedTma
from .ends import END_LIMIT, assert_nothing_runs, end_of, prepare_amain, tasks_beside

# 1. Cancellation


@pytest.mark.parametrize("delay", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55])
async def test_amain_that_is_cancelled_leaves_nothing(
    tma: ScriptedTma, sal_environment: str, monkeypatch: pytest.MonkeyPatch, delay: int
) -> None:
    kept, made = prepare_amain(monkeypatch, tma)
    before = tasks_beside()
    program = asyncio.create_task(kept.amain())
    for _ in range(delay):
        await asyncio.sleep(0)
    if delay > 20:
        await wait_for(lambda: bool(made) and made[0].connected)
    program.cancel()
    async with asyncio.timeout(END_LIMIT):
        await asyncio.wait([program])
    assert program.cancelled()
    for client in made:
        assert client.done_task.done()
        assert not client.connected
        assert not client.controller.isopen
    await assert_nothing_runs(before)


@pytest.mark.parametrize("what", ["start_task", "context"])
@pytest.mark.parametrize("turns", [*range(12), 20, 40])
async def test_a_cancelled_start_ends_the_client_or_goes_on_whole(
    tma: ScriptedTma, sal_environment: str, what: str, turns: int
) -> None:
    before = tasks_beside()
    client = TelemetryClient("127.0.0.1", tma.port, flush_timeout=1)

    async def enter() -> None:
        async with client:
            await asyncio.sleep(60)

    async def wait() -> None:
        await client.start_task

    waiter = asyncio.create_task(enter() if what == "context" else wait())
    for _ in range(turns):
        await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait([waiter])
    if not client.done_task.done() and client.start_task.cancelled() is False and client.start_task.done():
        # It goes on whole: it can be used, and closed.
        assert client.connected or client.controller.isopen
    await client.close()
    await end_of(client)
    assert not client.connected
    assert not client.controller.isopen
    await assert_nothing_runs(before)


async def test_a_cancelled_wait_for_done_task_leaves_it_whole(tma: ScriptedTma, sal_environment: str) -> None:
    client = TelemetryClient("127.0.0.1", tma.port)
    await client.start_task
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(client.done_task, 0.05)
    if sys.version_info >= (3, 12):
        # The wait was cancelled, and not what was waited for: the client goes on.
        assert client.connected
        await tma.send(golden_frame("azimuth"))
        await wait_for(lambda: client.counters.published == 1)
        client.done_task.cancel()
    await end_of(client)
    assert not client.done_task.cancelled()
    assert client.done_task.exception() is None
    assert not client.connected
    assert not client.controller.isopen


async def test_a_failing_sibling_leaves_nothing(
    tma: ScriptedTma, sal_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["client", "--host=127.0.0.1", f"--port={tma.port}"])
    before = tasks_beside()

    async def fail() -> None:
        await tma.wait_connected()
        raise ValueError("sibling")

    with pytest.raises(ExceptionGroup) as info:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(TelemetryClient.amain())
            group.create_task(fail())
    assert info.group_contains(ValueError, match="sibling")
    await assert_nothing_runs(before)


# 2. A CancelledError of a user's code


class Cancelling(TelemetryClient):
    def _preprocess_azimuth(self, data: dict[str, Any]) -> None:
        raise asyncio.CancelledError("a user's")


async def test_a_cancelled_error_of_a_preprocessor_costs_one_frame(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = Cancelling("127.0.0.1", tma.port)
    await client.start_task
    await tma.send(golden_frame("azimuth"), golden_frame("elevation"))
    await wait_for(lambda: client.counters.published == 1)
    assert client.counters.dropped == {**client.counters.dropped, DropReason.HANDLER: 1}
    assert "azimuth" in caplog.text
    await client.close()


async def test_a_cancelled_error_of_a_handler_costs_one_frame(tma: ScriptedTma, sal_environment: str) -> None:
    async def handle(data: dict[str, Any]) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    client = TelemetryClient("127.0.0.1", tma.port)
    await client.start_task
    topic_id = next(id_ for id_, (name, _) in TELEMETRY_MAP.items() if name == "azimuth")
    client.topic_handlers[topic_id] = handle
    await tma.send(golden_frame("azimuth"), golden_frame("elevation"))
    await wait_for(lambda: client.counters.published == 1)
    assert client.counters.dropped[DropReason.HANDLER] == 1
    assert client.connected
    await client.close()


async def test_a_cancelled_error_of_the_connect_callback_costs_the_event(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Callback(TelemetryClient):
        async def connect_callback(self, client: Client) -> None:
            raise asyncio.CancelledError("a user's")

    client = Callback("127.0.0.1", tma.port)
    await client.start_task
    await tma.send(golden_frame("azimuth"))
    await wait_for(lambda: client.counters.published == 1)
    assert "connect_callback failed" in caplog.text
    await client.close()


# 3. Nobody dies unseen


@pytest.mark.parametrize("how", ["raise", "return", "cancel"])
async def test_an_overridden_read_loop_that_ends_ends_the_client(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    class Broken(TelemetryClient):
        async def read_loop(self) -> None:
            if how == "raise":
                raise ValueError("broken")
            if how == "cancel":
                raise asyncio.CancelledError

    client = Broken("127.0.0.1", tma.port)
    await client.start_task
    await end_of(client)
    assert client.done_task.exception() is not None
    assert "read_loop" in caplog.text or "read loop" in caplog.text
    assert not client.connected


@pytest.mark.parametrize("how", ["raise", "return"])
async def test_a_heartbeat_loop_that_ends_costs_no_telemetry(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    class Broken(TelemetryClient):
        async def heartbeat_loop(self) -> None:
            if how == "raise":
                raise ValueError("broken")

    client = Broken("127.0.0.1", tma.port)
    await client.start_task
    await wait_for(lambda: "heartbeat_loop" in caplog.text)
    await tma.send(golden_frame("azimuth"))
    await wait_for(lambda: client.counters.published == 1)
    assert client.connected
    await client.close()


async def test_no_frame_is_noticed_without_the_read_loop(
    tma: ScriptedTma, sal_environment: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.telemetry_client.TELEMETRY_TIMEOUT", 0.2)

    class Waiting(TelemetryClient):
        async def read_loop(self) -> None:
            await asyncio.sleep(60)

    client = Waiting("127.0.0.1", tma.port)
    await client.start_task
    await end_of(client)
    assert "no telemetry" in caplog.text


# 4. One connection


async def test_start_while_starting_awaits_that_start(tma: ScriptedTma, sal_environment: str) -> None:
    client = TelemetryClient("127.0.0.1", tma.port)
    await client.start()
    assert client.connected
    await tma.send(golden_frame("azimuth"))
    await wait_for(lambda: client.counters.frames == 1)
    assert client.counters.published == 1
    with pytest.raises(RuntimeError):
        await client.start()
    await client.close()
    assert not client.connected


async def test_the_base_class_connects_once() -> None:
    num_connections = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal num_connections
        num_connections += 1
        writer.write(b"abc")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = Client("127.0.0.1", port, logging.getLogger("test"))
    await client.start()
    assert await client.readexactly(3) == b"abc"
    assert num_connections == 1
    await client.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
async def test_nothing_connects_after_basic_close(tma: ScriptedTma, sal_environment: str, turns: int) -> None:
    client = TelemetryClient("127.0.0.1", tma.port)
    for _ in range(turns):
        await asyncio.sleep(0)
    await client.basic_close()
    assert client.done_task.done()
    assert not client.connected
    assert not client.controller.isopen
    with pytest.raises(RuntimeError):
        await client.start()
    assert not client.connected


# 5. A constructor that raises


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("dead_letter", 5),
        ("reconnect", "yes"),
        ("tma_interface", "/nowhere/x.ini"),
        ("flush_timeout", "long"),
    ],
)
async def test_a_constructor_that_raises_leaves_nothing(
    sal_environment: str, keyword: str, value: Any
) -> None:
    before = tasks_beside()
    handlers = list(logging.getLogger("MTMount").handlers)
    with pytest.raises((TypeError, ValueError, OSError, RuntimeError)):
        TelemetryClient("127.0.0.1", 1, **{keyword: value})
    await assert_nothing_runs(before)
    assert logging.getLogger("MTMount").handlers == handlers


async def test_a_connect_callback_that_is_no_coroutine_function_leaves_nothing(sal_environment: str) -> None:
    class Wrong(TelemetryClient):
        def connect_callback(self, client: Client) -> None:  # type: ignore[override]
            """Be no coroutine function."""

    before = tasks_beside()
    with pytest.raises(TypeError, match="connect_callback"):
        Wrong("127.0.0.1", 1)
    await assert_nothing_runs(before)


def test_a_client_in_another_thread(embedded_kafka: Any, sal_environment: str) -> None:
    """It works there, without signal handlers."""
    results: list[Any] = []

    async def live() -> None:
        async with ScriptedTma() as tma:
            client = TelemetryClient("127.0.0.1", tma.port)
            await client.start_task
            await tma.send(golden_frame("azimuth"))
            await wait_for(lambda: client.counters.published == 1)
            await client.close()
            results.append(client.counters)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    thread.join(60)
    assert results
    assert results[0].acknowledged == 1


async def test_two_clients_publish_a_log_record_once(
    tma: ScriptedTma, sal_environment: str, kafka_reader: KafkaReader
) -> None:
    async with ScriptedTma() as other:
        first = TelemetryClient("127.0.0.1", tma.port)
        second = TelemetryClient("127.0.0.1", other.port)
        await asyncio.gather(first.start_task, second.start_task)
        logging.getLogger("MTMount").warning("said once")
        await first.close()
        # The first one's end took the second one's signal handlers, once.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(second.done_task), 0.05)
        signal.raise_signal(signal.SIGTERM)
        await end_of(second)
    records = await kafka_reader.read_until(
        lambda records: any(r["message"] == "said once" for r in records["logevent_logMessage"])
    )
    said = [record for record in records["logevent_logMessage"] if record["message"] == "said once"]
    assert len(said) == 1


# 6. Slow user code


async def test_slow_preprocessor_does_not_stall_the_loop(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Slow(TelemetryClient):
        def _preprocess_azimuth(self, data: dict[str, Any]) -> None:
            time.sleep(0.05)

    client = Slow("127.0.0.1", tma.port)
    await client.start_task
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    await tma.send(*[golden_frame("azimuth")] * 20)
    await wait_for(lambda: client.counters.published == 20)
    counter.cancel()
    # Between two frames the loop has its turn.
    assert turns >= 20
    assert [text for text in caplog.messages if "preprocessor" in text and "azimuth" in text]
    await client.close()


# 7. close is bounded


async def test_a_heartbeat_loop_that_cannot_be_cancelled_does_not_keep_the_client(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()

    class Stubborn(TelemetryClient):
        async def heartbeat_loop(self) -> None:
            while not release.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await release.wait()

    client = Stubborn("127.0.0.1", tma.port)
    await client.start_task
    await tma.send(golden_frame("azimuth"))
    await wait_for(lambda: client.counters.published == 1)
    async with asyncio.timeout(END_LIMIT):
        await client.close()
    assert client.counters.acknowledged == 1
    assert "heartbeat_loop did not end" in caplog.text
    release.set()


# 9. Changes are all or nothing


async def test_a_refused_handler_changes_nothing(tma: ScriptedTma, sal_environment: str) -> None:
    async def handle(data: dict[str, Any]) -> None:
        """Do nothing."""

    client = TelemetryClient("127.0.0.1", tma.port)
    await client.start_task
    before = dict(client.topic_handlers)
    with pytest.raises(KeyError):
        client.topic_handlers = {999: handle, **client.topic_handlers}
    assert client.topic_handlers == before
    with pytest.raises(KeyError):
        client.topic_handlers[999] = handle
    assert client.topic_handlers == before
    removed = client.topic_handlers.pop(6)
    assert isinstance(removed, TelemetryTopicHandler)
    # It is no longer in use: to change it changes nothing.
    removed.preprocessor = lambda data: None
    assert 6 not in client.topic_handlers
    with pytest.raises(KeyError):
        client.topic_handlers.pop(6)
    assert client.topic_handlers.pop(6, None) is None
    await client.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_eager_tasks(sal_environment: str, tma: ScriptedTma) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    try:
        client = TelemetryClient("127.0.0.1", tma.port)
        await client.start_task
        await client.close()
        assert not client.controller.isopen
        refused = TelemetryClient("127.0.0.1", 1)
        await end_of(refused)
        assert not refused.controller.isopen
        # Its connect callback closes it, which ends no start.
        plain = Client("127.0.0.1", tma.port, logging.getLogger("test"), Client.close)
        await plain.start_task
        await end_of(plain)
    finally:
        loop.set_task_factory(None)


# 10. What is accepted works


async def test_a_coroutine_preprocessor_is_refused(sal_environment: str) -> None:
    class Wrong(TelemetryClient):
        async def _preprocess_azimuth(self, data: dict[str, Any]) -> None:
            """Be a coroutine function, which nobody would await."""

    before = tasks_beside()
    with pytest.raises(TypeError, match="azimuth"):
        Wrong("127.0.0.1", 1)
    await assert_nothing_runs(before)


async def test_a_preprocessor_without_a_topic_is_told(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Misspelt(TelemetryClient):
        def _preprocess_azimut(self, data: dict[str, Any]) -> None:
            """Be for no topic."""

    client = Misspelt("127.0.0.1", tma.port)
    assert "_preprocess_azimut is never called" in caplog.text
    await client.close()


def test_errors_and_maps_can_be_copied() -> None:
    error = FrameError(DropReason.BAD_VALUE, "a detail")
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert (twin.reason, str(twin)) == (error.reason, str(error))
    assert copy.deepcopy(TELEMETRY_MAP).keys() == TELEMETRY_MAP.keys()


@pytest.mark.parametrize(
    "read",
    [lambda client: client.read(2.5), lambda client: client.readexactly(2.5)],
    ids=["read", "readexactly"],
)
async def test_a_number_of_bytes_is_an_integer(read: Callable[[Any], Awaitable[bytes]]) -> None:
    async with ScriptedTma() as tma:
        client = Client("127.0.0.1", tma.port, logging.getLogger("test"))
        await client.start_task
        await tma.send(b"abcdef")
        with pytest.raises(TypeError):
            await read(client)
        assert await client.read(3) == b"abc"
        await client.close()


# 11. It introduces itself


async def test_repr(tma: ScriptedTma, sal_environment: str) -> None:
    client = TelemetryClient("127.0.0.1", tma.port)
    await client.start_task
    for part in ("TelemetryClient", "127.0.0.1", str(tma.port), "connected"):
        assert part in repr(client)
    assert "azimuth" in repr(client.topic_handlers[6])
    assert "dropped" not in repr(client.counters)
    assert isinstance(client.counters, Counters)
    await client.close()
    assert "closed" in repr(client)


# Leaks


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_500_clients_leave_nothing(tma: ScriptedTma, sal_environment: str) -> None:
    before = tasks_beside()
    references: list[weakref.ref[TelemetryClient]] = []
    num_threads = threading.active_count()
    for number in range(500):
        client = TelemetryClient("127.0.0.1", tma.port, sal_backend="builtin", handle_signals=number % 2 == 0)
        if number % 5 == 0:
            await client.start_task
        await client.close()
        references.append(weakref.ref(client))
        del client
    await assert_nothing_runs(before)
    gc.collect()
    assert sum(reference() is not None for reference in references) <= 1
    assert threading.active_count() <= num_threads + 5
    assert frame_of("azimuth")
