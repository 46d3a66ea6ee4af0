"""Signals that came while the program was loading."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from lsst.ts.mtmount.commands.runner import SignalReceivedError, wait_for_signal
from lsst.ts.mtmount.program.event_loop import ProgramEventLoop, SignalRelay


@pytest.fixture
def held() -> Iterator[int]:
    """The descriptor that brings a SIGTERM which has come before."""
    reader, writer = os.pipe()
    os.write(writer, bytes([signal.SIGTERM]))
    yield reader
    # Ends the thread of a relay, too.
    os.close(writer)


def test_they_are_known_before_the_thread_runs(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    relay = SignalRelay(held)
    received: list[int] = []
    relay.subscribe(received.append)
    assert relay.must_end
    assert received == [signal.SIGTERM]


def test_they_come_before_the_end_of_short_work(held: int) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    relay = SignalRelay(held)
    with (
        asyncio.Runner(loop_factory=lambda: ProgramEventLoop(relay)) as runner,
        pytest.raises(SignalReceivedError),
    ):
        runner.run(wait_for_signal(work()))
