"""Frames of the simulated TMA, and recordings of them."""

import asyncio
import logging
from pathlib import Path
from typing import Any

from lsst.ts.mtmount.constants import LINE_TERMINATOR
from lsst.ts.mtmount.recording import Message, Recorder, find_files, read_messages
from lsst.ts.mtmount.tma_interface import TmaInterface
from lsst.ts.mtmount.tools.simulator import TmaSimulator, render_ring, select_topics

STAMP = b"1732400000.123456"


def make_stream(num_ticks: int = 40, interface: TmaInterface | None = None) -> bytes:
    """Return frames of all topics, each with its terminator."""
    ring = render_ring(select_topics(None, interface), min_ticks=num_ticks)
    return ring.data.replace(b"~" * len(STAMP), STAMP)


def record(folder: Path, *chunks: bytes, **options: Any) -> Recorder:
    """Record chunks of received bytes, and close."""
    recorder = Recorder(folder, logging.getLogger("test"), source="127.0.0.1:5", **options)
    recorder.open()
    for chunk in chunks:
        recorder.record(chunk)
    assert recorder.close(timeout=30)
    return recorder


async def record_seconds(folder: Path, *last: bytes, rate: float = 1.0, duration: float = 1.0) -> int:
    """Record the simulator as time goes, then frames of one's own; return how many were simulated."""
    sent = []
    async with (
        asyncio.timeout(duration + 30),
        TmaSimulator(rate=rate, duration=duration) as simulator,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
        recorder = Recorder(folder, logging.getLogger("test"))
        recorder.open()
        while chunk := await reader.read(65536):
            recorder.record(chunk)
            sent.append(chunk)
        writer.close()
    for frame in last:
        recorder.record(frame + LINE_TERMINATOR)
    assert await asyncio.to_thread(recorder.close, 30)
    return b"".join(sent).count(LINE_TERMINATOR)


def read_back(path: Path) -> list[Message]:
    """Read all messages; the recording must be whole."""
    problems: list[str] = []
    messages = [message for file in find_files(path) for message in read_messages(file, problems.append)]
    assert problems == []
    return messages
