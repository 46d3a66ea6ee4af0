"""Frames of the simulated TMA, and recordings of them."""

import logging
from pathlib import Path

from lsst.ts.mtmount.recording import Message, Recorder, find_files, read_messages
from lsst.ts.mtmount.tools.simulator import render_ring, select_topics

STAMP = b"1732400000.123456"


def make_stream(num_ticks: int = 40) -> bytes:
    """Return frames of all topics, each with its terminator."""
    return render_ring(select_topics(None), min_ticks=num_ticks).data.replace(b"~" * len(STAMP), STAMP)


def record(folder: Path, *chunks: bytes, **options: float) -> Recorder:
    """Record chunks of received bytes, and close."""
    recorder = Recorder(folder, logging.getLogger("test"), source="127.0.0.1:5", **options)  # type: ignore[arg-type]
    recorder.open()
    for chunk in chunks:
        recorder.record(chunk)
    assert recorder.close(timeout=30)
    return recorder


def read_back(path: Path) -> list[Message]:
    """Read all messages; the recording must be whole."""
    problems: list[str] = []
    messages = [message for file in find_files(path) for message in read_messages(file, problems.append)]
    assert problems == []
    return messages
