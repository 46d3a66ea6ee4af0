"""Each method that may be overridden, by one that raises, one that returns at once and one that hangs."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lsst.ts.mtmount import Client, TelemetryClient
from lsst.ts.mtmount.resilience.signal_handlers import SharedSignalHandlers

from ..test_telemetry_client import golden_frame, wait_for
from ..tma import ScriptedTma
from .ends import END_LIMIT, assert_ended, assert_nothing_runs, end_of, tasks_beside

#: What is logged if a coroutine method of that name raises, returns at once, or hangs; None: nothing.
COROUTINES: dict[str, tuple[str | None, str | None, str | None]] = {
    "start": (
        "Could not start: ValueError",
        "start has returned, and does not connect",
        "start has not ended",
    ),
    "connect_callback": ("connect_callback failed", None, "connect_callback has been running"),
    "call_connect_callback": ("Could not start: ValueError", None, "start has not ended"),
    "heartbeat_loop": (
        "heartbeat_loop failed",
        "heartbeat_loop returned",
        "heartbeat_loop has published nothing",
    ),
    "read_loop": ("read loop failed", "read_loop returned", "no telemetry"),
    "disconnect": ("Could not disconnect", None, "disconnect did not end"),
    # Not called by the client itself.
    "close": (None, None, None),
    "basic_close": (None, None, None),
}

#: What is logged if another method of that name raises, or returns at once.
FUNCTIONS: dict[str, tuple[str | None, str | None]] = {
    # To ignore signals is a subclass's right.
    "signal_handler": ("signal_handler failed", None),
    "set_frame_sink": ("read loop failed", "no telemetry"),
    "resume_frames": (None, None),
    "log_counters": (None, None),
    "take_snapshot": (None, None),
    "describe_loss": (None, None),
    "_on_sink_error": (None, None),
}

CASES = [
    (name, how, text)
    for table in (COROUTINES, FUNCTIONS)
    for name, texts in table.items()
    for how, text in zip(("raises", "returns", "hangs"), texts, strict=False)
]


def make_override(name: str, how: str) -> Callable[..., Any]:
    async def coroutine(*args: Any, **kwargs: Any) -> None:
        if how == "raises":
            raise ValueError(f"of {name}")
        if how == "hangs":
            await asyncio.Event().wait()

    def function(*args: Any, **kwargs: Any) -> None:
        if how == "raises":
            raise ValueError(f"of {name}")

    return function if name in FUNCTIONS else coroutine


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long is told of at once."""
    module = "lsst.ts.mtmount.telemetry_client"
    monkeypatch.setattr(f"{module}.TELEMETRY_TIMEOUT", 0.5)
    monkeypatch.setattr(f"{module}.HEARTBEAT_LOG_INTERVAL", 0.2)
    monkeypatch.setattr(f"{module}.DISCONNECT_TIMEOUT", 0.3)
    monkeypatch.setattr("lsst.ts.mtmount.tcp.client.SLOW", 0.1)


@pytest.fixture
async def kept_signals() -> AsyncIterator[None]:
    """A signal after the end of the client does not end the tests."""
    handlers = SharedSignalHandlers({signal.SIGTERM: lambda: None})
    yield
    handlers.remove()


@pytest.mark.parametrize(("name", "how", "text"), CASES, ids=lambda value: str(value).partition(" ")[0])
@pytest.mark.usefixtures("hasty", "kept_signals")
async def test_an_overridden_method(
    tma: ScriptedTma,
    sal_environment: str,
    caplog: pytest.LogCaptureFixture,
    name: str,
    how: str,
    text: str | None,
) -> None:
    """It is bounded and told of, and the client ends at a signal, or by `TelemetryClient.close`."""
    before = tasks_beside()
    client = type("Overriding", (TelemetryClient,), {name: make_override(name, how)})(
        "127.0.0.1", tma.port, sal_backend="builtin"
    )
    assert isinstance(client, TelemetryClient)
    await asyncio.wait([client.start_task, client.done_task], timeout=1, return_when=asyncio.FIRST_COMPLETED)
    if client.connected:
        await tma.send(golden_frame("azimuth"))
    # What hangs is told of while it does.
    if text is not None and name not in ("disconnect", "signal_handler"):
        await wait_for(lambda: text in caplog.text)
    signal.raise_signal(signal.SIGTERM)
    await asyncio.sleep(0)
    if (name, how) == ("signal_handler", "returns"):
        async with asyncio.timeout(END_LIMIT):
            await TelemetryClient.close(client)
    await end_of(client)
    assert_ended(client)
    await assert_nothing_runs(before)
    assert text is None or text in caplog.text


async def test_a_get_preprocessor_that_raises_leaves_nothing(sal_environment: str) -> None:
    class Overriding(TelemetryClient):
        def get_preprocessor(self, sal_topic_name: str) -> None:
            raise ValueError("of get_preprocessor")

    before = tasks_beside()
    with pytest.raises(ValueError, match="of get_preprocessor"):
        Overriding("127.0.0.1", 1)
    await assert_nothing_runs(before)


#: What is logged of a base class's method.
BASE_COROUTINES: dict[str, tuple[str | None, str | None, str | None]] = {
    # The exception is that of `start_task`.
    "start": (None, "start has returned, and does not connect", "start has not ended"),
    "call_connect_callback": (None, None, "start has not ended"),
    "disconnect": ("Could not close cleanly", None, "Could not close cleanly"),
    "write": ("heartbeat_send_task failed", None, None),
    "close": (None, None, None),
    "basic_close": (None, None, None),
}


@pytest.mark.parametrize(
    ("name", "how", "text"),
    [
        (name, how, text)
        for name, texts in BASE_COROUTINES.items()
        for how, text in zip(("raises", "returns", "hangs"), texts, strict=True)
    ],
    ids=lambda value: str(value).partition(" ")[0],
)
@pytest.mark.usefixtures("hasty")
async def test_an_overridden_method_of_the_base_class(
    tma: ScriptedTma,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    how: str,
    text: str | None,
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.tcp.client.DISCONNECT_LIMIT", 0.3)
    before = tasks_beside()
    client = type("Overriding", (Client,), {name: make_override(name, how)})(
        "127.0.0.1", tma.port, logging.getLogger("test"), run_heartbeat_send_task=True
    )
    assert isinstance(client, Client)
    with contextlib.suppress(TimeoutError, ValueError):
        async with asyncio.timeout(0.2):
            await asyncio.wait([client.start_task])
            await client.start_task
    if text is not None and name != "disconnect":
        await wait_for(lambda: text in caplog.text)
    async with asyncio.timeout(END_LIMIT):
        await Client.close(client)
    await end_of(client)
    assert not client.connected
    await assert_nothing_runs(before)
    assert text is None or text in caplog.text
