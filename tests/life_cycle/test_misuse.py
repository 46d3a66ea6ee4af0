"""What users do to a client, from inside and outside, and what their code raises."""

import asyncio
import contextlib
import copy
import gc
import logging
import math
import multiprocessing
import pickle
import re
import signal
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Protocol

import pytest

from lsst.ts.mtmount import (
    Client,
    DropReason,
    FrameError,
    TelemetryClient,
    TelemetryTopicHandler,
    TelemetryTopicId,
)
from lsst.ts.mtmount.resilience.signal_handlers import SharedSignalHandlers

from ..test_telemetry_client import golden_frame, wait_for
from ..tma import ScriptedTma
from .ends import END_LIMIT, assert_ended, assert_nothing_runs, end_of, tasks_beside

AZIMUTH = TelemetryTopicId.azimuth


class Unusual(BaseException):
    """As pytest's, or another framework's, which is no `Exception`."""


#: What user code may raise, and costs one frame, one callback or one heartbeat.
ERRORS: dict[str, Callable[[], BaseException]] = {
    "group": lambda: ExceptionGroup("of a TaskGroup", [ValueError("one"), OSError("two")]),
    "base group": lambda: BaseExceptionGroup("of a TaskGroup", [Unusual()]),
    "unusual": Unusual,
    "generator": GeneratorExit,
    "stop": StopAsyncIteration,
    "cancelled": asyncio.CancelledError,
}

#: What asks the process to end.
EXITS: list[type[BaseException]] = [KeyboardInterrupt, SystemExit]


# What code of users raises


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
async def test_an_error_of_a_preprocessor_costs_a_frame(
    tma: ScriptedTma,
    sal_environment: str,
    caplog: pytest.LogCaptureFixture,
    error: Callable[[], BaseException],
) -> None:
    class Raising(TelemetryClient):
        def _preprocess_azimuth(self, data: dict[str, Any]) -> None:
            raise error()

    async with Raising("127.0.0.1", tma.port) as client:
        await tma.send(golden_frame("azimuth"), golden_frame("elevation"))
        await wait_for(lambda: client.counters.published == 1)
        assert client.counters.dropped[DropReason.HANDLER] == 1
        assert "_preprocess_azimuth of topic azimuth" in caplog.text
    assert_ended(client)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
async def test_an_error_of_a_handler_costs_a_frame(
    tma: ScriptedTma,
    sal_environment: str,
    caplog: pytest.LogCaptureFixture,
    error: Callable[[], BaseException],
) -> None:
    async def fail(data: dict[str, Any]) -> None:
        raise error()

    async with TelemetryClient("127.0.0.1", tma.port) as client:
        client.topic_handlers[AZIMUTH] = fail
        await tma.send(golden_frame("azimuth"), golden_frame("elevation"))
        await wait_for(lambda: client.counters.published == 1)
        assert client.counters.dropped[DropReason.HANDLER] == 1
        assert "fail of topic azimuth" in caplog.text
    assert_ended(client)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
async def test_an_error_of_other_code_is_told(
    tma: ScriptedTma,
    sal_environment: str,
    caplog: pytest.LogCaptureFixture,
    error: Callable[[], BaseException],
) -> None:
    class Raising(TelemetryClient):
        async def connect_callback(self, client: Client) -> None:
            raise error()

        async def heartbeat_loop(self) -> None:
            raise error()

    def on_drop(error: BaseException, frame: bytes) -> None:
        raise ERRORS["unusual"]()

    async with Raising("127.0.0.1", tma.port, on_drop=on_drop) as client:
        await tma.send(b"not JSON", golden_frame("azimuth"))
        await wait_for(lambda: client.counters.published == 1)
        await wait_for(lambda: "heartbeat_" in caplog.text)
        assert "connect_callback failed" in caplog.text
        assert "on_drop failed" in caplog.text
    assert_ended(client)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("where", ["start", "disconnect", "signal_handler", "on_end"])
async def test_an_error_at_the_end_is_told(
    tma: ScriptedTma,
    sal_environment: str,
    caplog: pytest.LogCaptureFixture,
    where: str,
    error: Callable[[], BaseException],
) -> None:
    """The end comes all the same, and is whole."""

    def fail() -> None:
        raise error()

    async def fail_later(self: Client) -> None:
        raise error()

    methods: dict[str, dict[str, Any]] = {
        "start": {"start": fail_later},
        "disconnect": {"disconnect": fail_later},
        "signal_handler": {"signal_handler": lambda self: fail()},
        "on_end": {},
    }
    before = tasks_beside()
    handlers = SharedSignalHandlers({signal.SIGTERM: lambda: None})
    client = type("Raising", (TelemetryClient,), methods[where])("127.0.0.1", tma.port)
    assert isinstance(client, TelemetryClient)
    client.on_end = fail if where == "on_end" else None
    await asyncio.wait([client.start_task])
    if where == "signal_handler":
        signal.raise_signal(signal.SIGTERM)
    else:
        await client.close()
    await end_of(client)
    handlers.remove()
    assert_ended(client)
    await assert_nothing_runs(before)
    expected = {"start": "Could not start", "disconnect": "Could not disconnect"}
    assert expected.get(where, f"{where} failed") in caplog.text
    assert (client.done_task.exception() is None) == (where != "start")


@pytest.mark.parametrize("kind", EXITS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "where", ["preprocessor", "handler", "connect_callback", "heartbeat_loop", "on_drop"]
)
def test_who_leaves_the_process_leaves_no_client(
    sal_environment: str, caplog: pytest.LogCaptureFixture, where: str, kind: type[BaseException]
) -> None:
    """What asked for the end arrives; the client has ended before, all frames counted."""
    made: list[TelemetryClient] = []

    class Leaving(TelemetryClient):
        async def connect_callback(self, client: Client) -> None:
            leave("connect_callback")

        async def heartbeat_loop(self) -> None:
            leave("heartbeat_loop")

    def leave(place: str) -> None:
        if place == where:
            raise kind

    async def run() -> None:
        async with ScriptedTma() as tma:
            client = Leaving("127.0.0.1", tma.port, on_drop=lambda error, frame: leave("on_drop"))
            made.append(client)
            handler = client.topic_handlers[AZIMUTH]
            assert isinstance(handler, TelemetryTopicHandler)
            if where == "preprocessor":
                handler.preprocessor = lambda data: leave(where)
            elif where == "handler":
                client.topic_handlers[AZIMUTH] = leave_by_handler
            async with client:
                await tma.send(golden_frame("elevation"), b"not JSON", golden_frame("azimuth"))
                await client.done_task

    async def leave_by_handler(data: dict[str, Any]) -> None:
        leave(where)

    with pytest.raises(kind):
        asyncio.run(asyncio.wait_for(run(), END_LIMIT))
    (client,) = made
    assert client.done_task.done()
    assert not client.connected
    assert not client.controller.isopen
    assert client._pipeline.counters.is_closed()
    assert kind.__name__ in caplog.text


# What it does to its own client


async def test_a_handler_that_closes_its_client(tma: ScriptedTma, sal_environment: str) -> None:
    client = TelemetryClient("127.0.0.1", tma.port)

    async def close(data: dict[str, Any]) -> None:
        await client.close()

    await client.start_task
    client.topic_handlers[AZIMUTH] = close
    await tma.send(golden_frame("elevation"), golden_frame("azimuth"), golden_frame("elevation"))
    await end_of(client)
    assert_ended(client)
    assert client.counters.acknowledged == 1
    assert client.counters.dropped[DropReason.CLOSED] == 2


async def test_a_heartbeat_loop_that_closes_its_client(tma: ScriptedTma, sal_environment: str) -> None:
    class Closing(TelemetryClient):
        async def heartbeat_loop(self) -> None:
            await self.close()

    client = Closing("127.0.0.1", tma.port)
    await end_of(client)
    assert_ended(client)


@pytest.mark.parametrize("when", [True, False], ids=["connected", "disconnected"])
async def test_a_connect_callback_that_closes_its_client(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture, when: bool
) -> None:
    """Neither waits for the other; the bounds would be seconds."""

    class Closing(TelemetryClient):
        async def connect_callback(self, client: Client) -> None:
            await super().connect_callback(client)
            if client.connected == when:
                await client.close()
                await client.close()

    before = tasks_beside()
    client = Closing("127.0.0.1", tma.port)
    await client.start_task
    if not when:
        await client.close()
    await end_of(client)
    assert_ended(client)
    await assert_nothing_runs(before)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("when", [True, False], ids=["connected", "disconnected"])
async def test_a_connect_callback_that_closes_a_plain_client(
    tma: ScriptedTma, caplog: pytest.LogCaptureFixture, when: bool
) -> None:
    states: list[bool] = []

    async def close(client: Client) -> None:
        states.append(client.connected)
        if client.connected == when:
            await client.close()

    before = tasks_beside()
    client = Client("127.0.0.1", tma.port, logging.getLogger("test"), close)
    await client.start_task
    await client.close()
    assert states == [True, False]
    assert client.done_task.done()
    await assert_nothing_runs(before)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_connect_callback_that_starts_its_client(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The start waits for the callback, so the callback must not wait for the start."""

    class Starting(TelemetryClient):
        async def connect_callback(self, client: Client) -> None:
            if client.connected:
                await client.start()

    async with asyncio.timeout(END_LIMIT), Starting("127.0.0.1", tma.port):
        assert "Already connected" in caplog.text


async def test_handlers_that_delete_themselves(tma: ScriptedTma, sal_environment: str) -> None:
    async with TelemetryClient("127.0.0.1", tma.port) as client:

        async def delete(data: dict[str, Any]) -> None:
            del client.topic_handlers[AZIMUTH]

        handler = client.topic_handlers[TelemetryTopicId.elevation]
        assert isinstance(handler, TelemetryTopicHandler)
        handler.preprocessor = lambda data: client.topic_handlers.pop(TelemetryTopicId.elevation)
        client.topic_handlers[AZIMUTH] = delete
        await tma.send(*[golden_frame("azimuth"), golden_frame("elevation")] * 2, golden_frame("encoder"))
        await wait_for(lambda: client.counters.frames == 5)
        # The frame that is being handled is finished; the next ones have no handler.
        assert client.counters.handled == 1
        assert client.counters.published == 2
        assert client.counters.unsupported == 2


@pytest.mark.parametrize("how", ["clear", "return", "replace handlers"])
async def test_a_preprocessor_that_replaces_things(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    class Replacing(TelemetryClient):
        def _preprocess_azimuth(self, data: dict[str, Any]) -> dict[str, Any] | None:
            if how == "clear":
                data.clear()
            elif how == "replace handlers":
                self.topic_handlers = dict(self.topic_handlers)
            else:
                return dict(data)
            return None

    async with Replacing("127.0.0.1", tma.port) as client:
        await tma.send(golden_frame("azimuth"), golden_frame("azimuth"), golden_frame("elevation"))
        await wait_for(lambda: client.counters.frames == 3)
        await wait_for(lambda: client.counters.pending == 0)
        if how == "clear":
            assert client.counters.dropped[DropReason.MISSING_FIELD] == 2
        else:
            assert client.counters.published == 3
        # It has no effect, which is told, once.
        assert caplog.text.count("returned a dict, which is ignored") == (how == "return")


async def test_a_handler_in_two_places_is_followed_in_both(tma: ScriptedTma, sal_environment: str) -> None:
    seen: list[dict[str, Any]] = []
    async with (
        TelemetryClient("127.0.0.1", tma.port) as client,
        ScriptedTma() as other_tma,
        TelemetryClient("127.0.0.1", other_tma.port) as other,
    ):
        handler = client.topic_handlers[AZIMUTH]
        assert isinstance(handler, TelemetryTopicHandler)
        client.topic_handlers[TelemetryTopicId.elevation] = other.topic_handlers[AZIMUTH] = handler
        handler.preprocessor = seen.append
        await tma.send(golden_frame("azimuth"))
        await wait_for(lambda: client.counters.published == 1)
        assert len(seen) == 1


@pytest.mark.parametrize("how", ["preprocess", "field_dict"])
async def test_a_standard_handler_does_what_is_asked_of_it(
    tma: ScriptedTma, sal_environment: str, how: str
) -> None:
    """It is not called on the fast path: what cannot be noticed there is refused."""
    seen: list[dict[str, Any]] = []
    async with TelemetryClient("127.0.0.1", tma.port) as client:
        handler = client.topic_handlers[AZIMUTH]
        assert isinstance(handler, TelemetryTopicHandler)
        if how == "preprocess":
            handler.preprocess = seen.append  # type: ignore[method-assign,assignment]
        else:
            with pytest.raises(TypeError):
                del handler.field_dict["actualPosition"]  # type: ignore[attr-defined]
        await tma.send(golden_frame("azimuth"))
        await wait_for(lambda: client.counters.frames == 1 and not client.counters.pending)
        assert len(seen) == (how == "preprocess")


def generate(data: dict[str, Any]) -> Iterator[None]:
    yield


async def generate_later(data: dict[str, Any]) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("preprocessor", [generate, generate_later])
async def test_a_preprocessor_that_nobody_would_run_is_refused(
    tma: ScriptedTma,
    sal_environment: str,
    caplog: pytest.LogCaptureFixture,
    preprocessor: Callable[[dict[str, Any]], object],
) -> None:
    async with TelemetryClient("127.0.0.1", tma.port) as client:
        handler = client.topic_handlers[AZIMUTH]
        assert isinstance(handler, TelemetryTopicHandler)
        with pytest.raises(TypeError, match="neither a coroutine nor a generator function"):
            handler.preprocessor = preprocessor
        # In disguise it costs its frames.
        handler.preprocessor = lambda data: preprocessor(data)
        await tma.send(golden_frame("azimuth"))
        await wait_for(lambda: client.counters.dropped.get(DropReason.HANDLER) == 1)
        assert "expected a preprocessor that works at once" in caplog.text


def test_what_is_half_made_introduces_itself() -> None:
    for kind in (Client, TelemetryClient, TelemetryTopicHandler):
        assert repr(kind.__new__(kind)) == f"<{kind.__name__} being made>"


async def test_a_cancelled_clock_offset_task_ends_no_events(tma: ScriptedTma, sal_environment: str) -> None:
    async with TelemetryClient("127.0.0.1", tma.port) as client:
        await tma.send(golden_frame("azimuth"))
        await wait_for(lambda: not client.next_clock_offset_task.done())
        first = client.next_clock_offset_task
        first.cancel()
        await asyncio.wait([first])
        await tma.send(golden_frame("azimuth"))
        await wait_for(lambda: client.next_clock_offset_task is not first)


# What is done to a client from outside


async def test_closed_by_several_at_once(tma: ScriptedTma, sal_environment: str) -> None:
    before = tasks_beside()
    client = TelemetryClient("127.0.0.1", tma.port)
    await client.start_task
    async with asyncio.timeout(END_LIMIT):
        await asyncio.gather(client.close(), client.basic_close(), client.close())
    assert_ended(client)
    await client.close()
    with pytest.raises(RuntimeError, match="connects only once"):
        await client.start()
    await assert_nothing_runs(before)


async def test_two_clients_to_one_host(sal_environment: str) -> None:
    num_connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal num_connections
        num_connections += 1
        writer.write(golden_frame("azimuth") + b"\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with TelemetryClient("127.0.0.1", port) as one, TelemetryClient("127.0.0.1", port) as two:
        await wait_for(lambda: one.counters.published == two.counters.published == 1)
        await one.close()
        assert two.connected
        assert two.controller.isopen
    assert_ended(one)
    assert_ended(two)
    assert num_connections == 2
    server.close()
    await server.wait_closed()


async def test_a_context_whose_body_raises(tma: ScriptedTma, sal_environment: str) -> None:
    before = tasks_beside()
    with pytest.raises(ValueError, match="of the body"):
        async with TelemetryClient("127.0.0.1", tma.port) as client:
            raise ValueError("of the body")
    assert_ended(client)
    await assert_nothing_runs(before)


async def test_a_cancelled_heartbeat_task_is_told(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with TelemetryClient("127.0.0.1", tma.port) as client:
        client.heartbeat_task.cancel()
        await wait_for(lambda: "heartbeat_task was cancelled" in caplog.text)
        await tma.send(golden_frame("azimuth"))
        await wait_for(lambda: client.counters.published == 1)


async def test_a_cancelled_watch_ends_the_client(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = TelemetryClient("127.0.0.1", tma.port)
    await client.start_task
    client._watch_task.cancel()
    await end_of(client)
    assert_ended(client)
    assert "watch over the telemetry has ended before its time" in caplog.text


@pytest.mark.parametrize("kind", ["telemetry", "plain"])
async def test_a_subclass_whose_constructor_raises_leaves_nothing(
    tma: ScriptedTma, sal_environment: str, kind: str
) -> None:
    class Telemetry(TelemetryClient):
        def __init__(self) -> None:
            super().__init__("127.0.0.1", tma.port)
            raise ValueError("of the subclass")

    class Plain(Client):
        def __init__(self) -> None:
            super().__init__("127.0.0.1", tma.port, logging.getLogger("test"))
            raise ValueError("of the subclass")

    before = tasks_beside()
    with pytest.raises(ValueError, match="of the subclass"):
        Telemetry() if kind == "telemetry" else Plain()
    await assert_nothing_runs(before)


class RaisingMixin:
    """Is no client, and comes before one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        raise ValueError("of the mixin")


class MixedTelemetry(RaisingMixin, TelemetryClient):
    """Has no constructor of its own."""


class MixedPlain(RaisingMixin, Client):
    """As well."""


class HasName(Protocol):
    """Has a constructor, too, which Python gives it, and which has to find the next one."""

    name: str = "name"


class MixedPlainOfProtocol(HasName, RaisingMixin, Client):
    """As well."""


@pytest.mark.parametrize("kind", ["telemetry", "plain", "plain of a protocol"])
async def test_a_mixin_whose_constructor_raises_leaves_nothing(
    tma: ScriptedTma, sal_environment: str, kind: str
) -> None:
    before = tasks_beside()
    with pytest.raises(ValueError, match="of the mixin"):
        if kind == "telemetry":
            MixedTelemetry("127.0.0.1", tma.port)
        else:
            plain = MixedPlain if kind == "plain" else MixedPlainOfProtocol
            plain("127.0.0.1", tma.port, logging.getLogger("test"))
    await assert_nothing_runs(before)


async def test_a_protocol_may_come_before_the_client(tma: ScriptedTma, sal_environment: str) -> None:
    class Telemetry(HasName, TelemetryClient):
        pass

    class Plain(HasName, Client):
        pass

    class GentleMixin:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.is_mixed = True

    class Mixed(HasName, GentleMixin, Client):
        pass

    class HasPlace(Protocol):
        place: str = "place"

    class MixedAgain(HasPlace, Mixed):
        pass

    log = logging.getLogger("test")
    async with asyncio.timeout(END_LIMIT):
        for number in range(2):
            async with Telemetry("127.0.0.1", tma.port) as client:
                assert client.connected, number
            async with Plain("127.0.0.1", tma.port, log) as plain:
                assert plain.connected, number
            for make in (Mixed, MixedAgain):
                async with make("127.0.0.1", tma.port, log) as mixed:
                    assert mixed.connected and mixed.is_mixed, number


def test_a_constructor_that_raises_in_a_loop_that_ends_leaves_nothing(
    sal_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        TelemetryClient("127.0.0.1", 1)

    monkeypatch.setattr("lsst.ts.mtmount.telemetry_client.TelemetryPipeline", None)
    with pytest.raises(TypeError):
        asyncio.run(run())
    assert not logging.getLogger("MTMount").handlers


# What handlers, filters and the factory of log records raise


class RaisingLog(logging.Handler):
    """Raises what logging's own handlers would print; as a handler, or its method as a filter or factory."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
        self.num_raised = 0

    def fail(self, *args: object, **kwargs: object) -> Any:
        self.num_raised += 1
        raise self.error

    emit = fail


@contextlib.contextmanager
def raising_log(client: Client, where: str, error: BaseException) -> Iterator[RaisingLog]:
    raising = RaisingLog(error)
    log = logging.getLogger("MTMount")
    factory = logging.getLogRecordFactory()
    match where:
        case "handler":
            log.addHandler(raising)
        case "filter":
            client.log.addFilter(raising.fail)
        case "factory":
            logging.setLogRecordFactory(raising.fail)
    try:
        yield raising
    finally:
        log.removeHandler(raising)
        client.log.removeFilter(raising.fail)
        logging.setLogRecordFactory(factory)


@pytest.mark.parametrize("error", [ValueError("of the log"), asyncio.CancelledError(), Unusual()], ids=repr)
@pytest.mark.parametrize("where", ["handler", "filter", "factory"])
async def test_a_log_that_raises_costs_nothing(
    tma: ScriptedTma,
    sal_environment: str,
    capsys: pytest.CaptureFixture[str],
    where: str,
    error: BaseException,
) -> None:
    """Frames and the next connection go on, and the client ends as always; stderr has the error."""

    class Slow(TelemetryClient):
        def _preprocess_azimuth(self, data: dict[str, Any]) -> None:
            time.sleep(0.06)

        async def heartbeat_loop(self) -> None:
            """End at once, which is logged."""

    client = Slow("127.0.0.1", tma.port, sal_backend="builtin", reconnect=True)
    await client.start_task
    with raising_log(client, where, error) as raising:
        await tma.send(
            b"not JSON",
            b'{"topicID": 999}',
            golden_frame("elevation").replace(b"{", b'{"new": 1, ', 1),
            golden_frame("azimuth"),
        )
        await wait_for(lambda: client.counters.published == 2)
        assert raising.num_raised >= 4
        tma.close_connection()
        await tma.wait_disconnected()
        await tma.send(golden_frame("azimuth"))
        await wait_for(lambda: client.counters.published == 3)
        assert not client.done_task.done()
        signal.raise_signal(signal.SIGTERM)
        await end_of(client)
    assert_ended(client)
    assert client.failure is None
    if where != "factory":
        assert repr(error).partition("(")[0] in capsys.readouterr().err


class MuteError(Exception):
    """An error that cannot be told."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class ForeignError(FrameError):
    """As a user might extend it."""

    def __init__(self) -> None:
        """Leave out the base class's."""


class OwnReasonError(ForeignError):
    """With a reason that there is not."""

    reason: Any = "of my own"


@pytest.mark.parametrize(
    "error",
    [
        MuteError,
        ForeignError,
        OwnReasonError,
        lambda: FrameError("of my own", "x"),  # type: ignore[arg-type]
        lambda: FrameError(DropReason.BAD_VALUE, 5, topic_id="x"),  # type: ignore[arg-type]
        lambda: FrameError(DropReason.BAD_VALUE, "x", topic_id=[1]),  # type: ignore[arg-type]
    ],
    ids=["mute", "foreign", "own reason", "reason", "detail", "topic"],
)
@pytest.mark.parametrize("where", ["preprocessor", "handler"])
async def test_an_odd_error_costs_its_frame(
    tma: ScriptedTma,
    sal_environment: str,
    tmp_path: Path,
    where: str,
    error: Callable[[], Exception],
) -> None:
    """Whatever its text and its members are; a line of the dead letters has it, too."""

    class Raising(TelemetryClient):
        def _preprocess_azimuth(self, data: dict[str, Any]) -> None:
            raise error()

    async def fail(data: dict[str, Any]) -> None:
        raise error()

    async with Raising(
        "127.0.0.1", tma.port, sal_backend="builtin", dead_letter=tmp_path / "dropped"
    ) as client:
        if where == "handler":
            client.topic_handlers[AZIMUTH] = fail
        await tma.send(golden_frame("azimuth"), golden_frame("elevation"))
        await wait_for(lambda: client.counters.published == 1)
        assert sum(client.counters.dropped.values()) == 1
        assert set(client.counters.dropped) <= set(DropReason)
    assert len((tmp_path / "dropped").read_bytes().splitlines()) == 1
    assert client.failure is None


async def test_a_drop_callback_that_nobody_would_await_is_refused(sal_environment: str) -> None:
    async def on_drop(error: BaseException, frame: bytes) -> None:
        """Be a coroutine function."""

    class Wrong(TelemetryClient):
        async def signal_handler(self) -> None:  # type: ignore[override]
            """Be a coroutine function."""

    with pytest.raises(TypeError, match="on_drop: expected neither a coroutine"):
        TelemetryClient("127.0.0.1", on_drop=on_drop)
    with pytest.raises(TypeError, match="signal_handler: expected neither a coroutine"):
        Wrong("127.0.0.1")


async def test_a_handler_that_is_no_coroutine_function_is_told(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with TelemetryClient("127.0.0.1", tma.port) as client:
        client.topic_handlers[AZIMUTH] = lambda data: None  # type: ignore[assignment]
        await tma.send(golden_frame("azimuth"))
        await wait_for(lambda: client.counters.dropped.get(DropReason.HANDLER) == 1)
    assert "expected a coroutine function, got one that returns None" in caplog.text


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy, pickle.dumps])
async def test_what_is_live_is_not_copied(
    tma: ScriptedTma, sal_environment: str, copying: Callable[[object], object]
) -> None:
    """A copy would share connection and tasks; a handler can be copied, without where it is."""
    async with TelemetryClient("127.0.0.1", tma.port, sal_backend="builtin") as client:
        handler = client.topic_handlers[AZIMUTH]
        for live in (client, client.controller, client.topic_handlers, handler):
            if copying is copy.copy and live is handler:
                continue
            with pytest.raises(TypeError, match=f"copied or pickled, got a live {type(live).__name__}"):
                copying(live)
        copied = copy.copy(handler)
        assert isinstance(copied, TelemetryTopicHandler)
        copied.preprocessor = lambda data: data.clear()
        copying(client.counters)
        await tma.send(golden_frame("azimuth"))
        await wait_for(lambda: client.counters.published == 1)


@pytest.mark.parametrize("kind", ["telemetry", "plain"])
async def test_a_context_of_a_client_that_has_ended_is_refused(
    tma: ScriptedTma, sal_environment: str, kind: str
) -> None:
    client = (
        TelemetryClient("127.0.0.1", tma.port)
        if kind == "telemetry"
        else Client("127.0.0.1", tma.port, logging.getLogger("test"))
    )
    async with client:
        pass
    with pytest.raises(RuntimeError, match="a client connects only once"):
        async with client:
            pytest.fail("entered")


@pytest.mark.parametrize(
    "make",
    [TelemetryClient, lambda host, port: Client(host, port, logging.getLogger("test"))],
    ids=["telemetry", "plain"],
)
async def test_a_context_whose_start_fails_is_not_entered(
    sal_environment: str, make: Callable[[str, int], Client]
) -> None:
    with pytest.raises(ConnectionError):
        async with make("127.0.0.1", 1):
            pytest.fail("entered")


# Event loops and processes


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_signals_are_handled_as_before_after_the_end(
    tma: ScriptedTma, sal_environment: str, when: str
) -> None:
    received: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    sigint_before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: object) -> None:
        received.append(number)

    try:
        if when == "before":
            signal.signal(signal.SIGTERM, note)
        async with TelemetryClient("127.0.0.1", tma.port):
            if when == "meanwhile":
                signal.signal(signal.SIGTERM, note)
        assert signal.getsignal(signal.SIGTERM) is note
        assert signal.getsignal(signal.SIGINT) is sigint_before
        signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("call", ["start", "close", "basic_close", "readline"])
@pytest.mark.parametrize("kind", ["telemetry", "plain"])
async def test_a_call_in_another_event_loop_is_refused(
    tma: ScriptedTma, sal_environment: str, kind: str, call: str
) -> None:
    client = (
        TelemetryClient("127.0.0.1", tma.port)
        if kind == "telemetry"
        else Client("127.0.0.1", tma.port, logging.getLogger("test"))
    )

    async def misuse() -> None:
        async with asyncio.timeout(END_LIMIT):
            await getattr(client, call)()

    async with client:
        with pytest.raises(RuntimeError, match="expected a call in the event loop of"):
            await asyncio.to_thread(asyncio.run, misuse())
        assert client.connected
    # There is nothing left to do.
    await asyncio.to_thread(asyncio.run, client.close())


async def test_a_plain_client_that_could_not_connect_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    client = Client("127.0.0.1", 1, logging.getLogger("test"))
    with pytest.raises(OSError, match="Connect call failed"):
        await client.start_task
    # A second attempt is possible.
    with pytest.raises(OSError, match="Connect call failed"):
        await client.start()
    reference = weakref.ref(client)
    del client
    # The task that waits for the end goes on for a step or two.
    await wait_for(lambda: bool(gc.collect() or reference() is None))
    assert reference() is None
    assert "destroyed" not in caplog.text


@pytest.mark.parametrize(
    "make",
    [lambda: TelemetryClient("127.0.0.1"), lambda: Client("127.0.0.1", 1, logging.getLogger("test"))],
    ids=["telemetry", "plain"],
)
def test_a_client_needs_a_running_loop(sal_environment: str, make: Callable[[], Client]) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        make()
    # A coroutine that was never awaited would be told of now.
    gc.collect()


@pytest.mark.parametrize("is_started", [False, True], ids=["never started", "running"])
def test_a_client_that_is_forgotten(
    sal_environment: str, caplog: pytest.LogCaptureFixture, is_started: bool
) -> None:
    made: list[TelemetryClient] = []

    async def run() -> None:
        async with ScriptedTma() as tma:
            made.append(TelemetryClient("127.0.0.1", tma.port))
            if is_started:
                await made[0].start_task
                await tma.send(golden_frame("azimuth"))
                await wait_for(lambda: made[0].counters.published == 1)

    asyncio.run(run())
    assert made[0].done_task.done()
    assert not made[0].controller.isopen
    assert made[0]._pipeline.counters.acknowledged == is_started
    assert "Closing: " in caplog.text or "Ending: " in caplog.text
    made.clear()
    # A task that was destroyed, or whose exception nobody saw, would be told of now.
    gc.collect()
    assert not [text for name, level, text in caplog.record_tuples if name == "asyncio" and level > 20]


def test_ctrl_c_is_no_reason_for_a_warning(sal_environment: str, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with ScriptedTma() as tma:
            client = TelemetryClient("127.0.0.1", tma.port, handle_signals=False)
            await client.start_task
            await tma.send(golden_frame("azimuth"))
            await wait_for(lambda: client.counters.published == 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(run())
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("kind", ["telemetry", "plain"])
def test_done_task_cancelled_while_the_loop_does_not_run(sal_environment: str, kind: str) -> None:
    async def make() -> Client:
        client = (
            TelemetryClient("127.0.0.1", tma.port)
            if kind == "telemetry"
            else Client("127.0.0.1", tma.port, logging.getLogger("test"))
        )
        await client.start_task
        return client

    tma = ScriptedTma()
    with asyncio.Runner() as runner:
        runner.run(tma.__aenter__())
        client = runner.run(make())
        client.done_task.cancel()
        runner.run(end_of(client))
        assert not client.connected
        runner.run(tma.__aexit__())


def note_and_sleep(is_running: Event) -> None:
    is_running.set()
    time.sleep(10 * END_LIMIT)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
async def test_a_signal_to_a_forked_child_is_the_childs(tma: ScriptedTma, sal_environment: str) -> None:
    client = TelemetryClient("127.0.0.1", tma.port)
    await client.start_task
    context = multiprocessing.get_context("fork")
    is_running = context.Event()
    child = context.Process(target=note_and_sleep, args=(is_running,))
    child.start()
    await wait_for(is_running.is_set)
    child.terminate()
    await wait_for(lambda: child.exitcode is not None)
    assert child.exitcode == -signal.SIGTERM
    await tma.send(golden_frame("azimuth"))
    await wait_for(lambda: client.counters.published == 1)
    assert not client.done_task.done()
    signal.raise_signal(signal.SIGTERM)
    await end_of(client)
    assert_ended(client)


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("tma_interface", 7, "a TmaInterface or a path"),
        ("tma_interface", {}, "a TmaInterface or a path"),
        ("tma_interface", False, "a TmaInterface or a path"),
        # As a condition, "no" is true.
        ("accept_incomplete", "no", "a bool"),
        ("strict", "no", "a bool"),
        ("handle_signals", None, "a bool"),
        ("reconnect", 7, "a bool or a Backoff"),
        ("connection_timeout", "soon", "a number of seconds"),
        ("flush_timeout", None, "a number of seconds"),
        ("wait_for_kafka", math.nan, "a number of seconds"),
        ("on_drop", 7, "a callable"),
        ("dead_letter", 7, "a path"),
        ("record", 7, "a path"),
        ("record", "", "a path"),
        ("dead_letter", b"", "a path"),
        ("record_limit", "1 GiB", "a number of bytes"),
        ("host", "", "a host name or an IP address"),
        ("connection_timeout", -1, "0 s or more"),
        ("flush_timeout", -0.1, "0 s or more"),
        ("wait_for_kafka", -math.inf, "0 s or more"),
        ("record_limit", -1, "1 byte or more"),
        ("record_limit", 0, "1 byte or more"),
    ],
)
async def test_the_error_names_the_argument(
    sal_environment: str, argument: str, value: Any, expected: str
) -> None:
    with pytest.raises(
        ValueError if value in ("", b"") or expected.endswith("or more") else TypeError,
        match=re.escape(f"{argument}: expected {expected}, got {value!r}"),
    ):
        TelemetryClient(**{"host": "127.0.0.1", argument: value})
