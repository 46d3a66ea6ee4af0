"""Code of a user's that hangs is told of while it does, and keeps no client from ending."""

import asyncio
import contextlib
import itertools
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lsst.ts.mtmount import TelemetryClient, TelemetryTopicId, telemetry_client
from lsst.ts.mtmount.pipeline import telemetry_pipeline
from lsst.ts.mtmount.pipeline.user_code_time import UserCodeTime
from lsst.ts.mtmount.program import client_program
from lsst.ts.mtmount.recording import recorder
from lsst.ts.mtmount.resilience import dead_letter
from lsst.ts.mtmount.resilience.slow_await_warning import warn_while_slow
from lsst.ts.mtmount.sal import publisher

from ..test_telemetry_client import golden_frame, wait_for
from ..tma import ScriptedTma
from .ends import END_LIMIT, assert_ended

#: What a warning of code that hangs says.
HANGS = "has been working on one frame for"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.pipeline.user_code_time.HUNG_CALL", 0.1)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if HANGS in record.getMessage()]


async def test_a_handler_that_hangs(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang(data: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    client = TelemetryClient("127.0.0.1", tma.port)
    await client.start_task
    client.topic_handlers[TelemetryTopicId.azimuth] = hang
    await tma.send(golden_frame("azimuth"), golden_frame("elevation"))
    await wait_for(lambda: bool(told(caplog)))
    assert "hang of topic azimuth" in told(caplog)[0]
    async with asyncio.timeout(END_LIMIT):
        await client.close()
    assert_ended(client)
    assert client.counters.total_dropped == 2
    assert len(told(caplog)) == 1


async def test_a_handler_that_cannot_be_cancelled(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()

    async def hang(data: dict[str, Any]) -> None:
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    client = TelemetryClient("127.0.0.1", tma.port)
    await client.start_task
    client.topic_handlers[TelemetryTopicId.azimuth] = hang
    await tma.send(golden_frame("elevation"), golden_frame("azimuth"))
    await wait_for(lambda: bool(told(caplog)))
    async with asyncio.timeout(END_LIMIT):
        await client.close()
    assert_ended(client)
    # The flush had its time.
    assert client.counters.acknowledged == 1
    assert "read_loop did not end" in caplog.text
    release.set()


async def test_a_preprocessor_that_hangs(
    tma: ScriptedTma, sal_environment: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It blocks the event loop; a thread tells of it."""
    release = threading.Event()
    seen: list[str] = []

    class Hanging(TelemetryClient):
        def _preprocess_azimuth(self, data: dict[str, Any]) -> None:
            # Not before it is told of.
            assert release.wait(END_LIMIT)

    def watch() -> None:
        deadline = time.monotonic() + END_LIMIT
        while not told(caplog) and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.extend(told(caplog))
        release.set()

    client = Hanging("127.0.0.1", tma.port)
    await client.start_task
    thread = threading.Thread(target=watch)
    thread.start()
    await tma.send(golden_frame("azimuth"))
    await wait_for(lambda: client.counters.published == 1)
    thread.join()
    assert "Hanging._preprocess_azimuth of topic azimuth" in seen[0]
    await client.close()
    assert_ended(client)


async def test_a_drop_callback_that_is_slow_at_the_end(
    tma: ScriptedTma,
    sal_environment: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.pipeline.telemetry_pipeline.DROP_TIMEOUT", 0.05)
    num_calls = 0

    def on_drop(error: BaseException, frame: bytes) -> None:
        nonlocal num_calls
        num_calls += 1
        time.sleep(0.02)

    async def hang(data: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    client = TelemetryClient("127.0.0.1", tma.port, on_drop=on_drop)
    await client.start_task
    client.topic_handlers[TelemetryTopicId.azimuth] = hang
    await tma.send(*[golden_frame("azimuth")] * 200)
    await wait_for(lambda: bool(told(caplog)))
    async with asyncio.timeout(END_LIMIT):
        await client.close()
    assert_ended(client)
    # Each is counted, though not each is told of.
    counters = client.counters
    assert counters.total_dropped == counters.frames > num_calls
    assert "on_drop is not called any more" in caplog.text


def test_a_hang_is_told_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.pipeline.user_code_time.HUNG_INTERVAL", 0.3)
    user_code = UserCodeTime(logging.getLogger("test"))
    user_code.begin(lambda: "outer handler")
    user_code.begin(lambda: "inner callback")
    deadline = time.monotonic() + END_LIMIT
    while len(told(caplog)) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    times = [record.created for record in caplog.records if HANGS in record.getMessage()]
    assert all(later - earlier >= 0.25 for earlier, later in itertools.pairwise(times))
    assert all(text.startswith("The inner callback") for text in told(caplog))
    user_code.end()
    user_code.end()
    user_code.close()
    user_code._thread.join(END_LIMIT)
    assert not user_code._thread.is_alive()


def test_code_is_called_also_without_a_watch(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    user_code = UserCodeTime(logging.getLogger("test"))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(2):
        user_code.begin(lambda: "callback")
        user_code.end()
    assert user_code.calls == []
    assert caplog.messages == ["User code that hangs cannot be told of: can't start new thread"]


async def test_warnings_of_a_slow_await_are_repeated_and_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.resilience.slow_await_warning.INTERVAL", 0.05)
    is_due = True
    with warn_while_slow(logging.getLogger("test"), "it lasts", 0.01, lambda: is_due):
        await wait_for(lambda: caplog.text.count("it lasts for") >= 2)
        is_due = False
    num_told = caplog.text.count("it lasts for")
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    loop.call_later(0.1, done.set_result, None)
    await done
    assert caplog.text.count("it lasts for") == num_told


async def test_a_client_without_user_code_has_no_thread_for_it(
    tma: ScriptedTma, sal_environment: str
) -> None:
    def names() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "watch over user code"]

    client = TelemetryClient("127.0.0.1", tma.port)
    await client.start_task
    await tma.send(golden_frame("azimuth"), b"not JSON")
    await wait_for(lambda: client.counters.frames == 2)
    assert not names()
    await client.close()

    class Tweaking(TelemetryClient):
        def _preprocess_azimuth(self, data: dict[str, Any]) -> None:
            """Change nothing."""

    async with ScriptedTma() as other:
        client = Tweaking("127.0.0.1", other.port)
        await client.start_task
        await other.send(golden_frame("azimuth"))
        await wait_for(lambda: client.counters.published == 1)
        assert len(names()) == 1
        await client.close()
    await wait_for(lambda: not names())


def test_the_documented_bound_of_close_is_the_sum_of_its_parts() -> None:
    parts = [
        2 * telemetry_client.TASK_TIMEOUT,
        2 * telemetry_client.TASK_TIMEOUT,
        telemetry_client.DISCONNECT_TIMEOUT,
        telemetry_pipeline.DROP_TIMEOUT,
        publisher.PURGE_TIMEOUT,
    ]
    files = [dead_letter.CLOSE_TIMEOUT, recorder.CLOSE_TIMEOUT]
    documentation = TelemetryClient.__doc__
    assert documentation is not None
    assert f"``flush_timeout`` and {sum(parts):g} s at most" in documentation
    assert f"``dead_letter`` adds {files[0]:g} s, ``record`` {files[1]:g} s" in documentation
    page = (Path(__file__).parents[2] / "doc" / "explanation" / "reliability.md").read_text(encoding="utf-8")
    assert f"`flush_timeout` + {sum(parts):g}, or + {sum(parts + files):g} with both files" in page
    # The program allows for that much.
    assert sum(parts + files) <= client_program.SHUTDOWN_MARGIN
