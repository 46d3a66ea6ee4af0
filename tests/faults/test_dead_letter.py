"""The file of dropped frames, filled by a client."""

import asyncio
import base64
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from lsst.ts.mtmount import DropReason

from ..tma import ScriptedTma
from .client import ClientProgram, run_client, start_client, wait_until
from .frames import AZIMUTH, azimuth_frame
from .outcome import RecordOutcome
from .read_back import read_back

Environment = dict[str, str]

#: Bad frames, and why each is dropped.
BAD_FRAMES = [
    (b"garbage " * 1000, DropReason.NOT_JSON),
    (b'{"topicID": 6, "text": "\xff\xfe"}', DropReason.NOT_UTF8),
    (b"[6]", DropReason.NOT_OBJECT),
    (b"[" * 600, DropReason.NESTING),
    (b"y" * ((1 << 20) + 1), DropReason.TOO_LONG),
    (b'{"topicID": true}', DropReason.TOPIC_ID),
    (b'{"topicID": 6}', DropReason.MISSING_FIELD),
    (azimuth_frame(timestamp="\u2126"), DropReason.BAD_VALUE),
]


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def get_frame(line: dict[str, Any]) -> bytes:
    if "frame_base64" in line:
        return base64.b64decode(line["frame_base64"])
    return str(line["frame"]).encode()


async def test_every_dropped_frame_is_kept(
    embedded_environment: Environment, record_outcome: RecordOutcome, tmp_path: Path, tma: ScriptedTma
) -> None:
    path = tmp_path / "dropped"
    heads: list[bytes] = []
    good = azimuth_frame()
    async with run_client(
        tma.port, dead_letter=path, on_drop=lambda error, head: heads.append(head)
    ) as client:
        for frame, _ in BAD_FRAMES:
            await tma.send(frame, good)
        await tma.send(b"cut off", terminator=b"")
        await wait_until(lambda: client.counters.published == len(BAD_FRAMES))
        tma.close_connection()
        await client.done_task
        num_dropped = client.counters.total_dropped
    # No more is kept of a frame that is too long.
    expected = [
        (frame[:200] if reason is DropReason.TOO_LONG else frame, reason) for frame, reason in BAD_FRAMES
    ]
    expected.append((b"cut off", DropReason.CUT_OFF))
    lines = read_lines(path)
    assert [(get_frame(line), line["reason"]) for line in lines] == expected
    assert num_dropped == len(expected)
    assert lines[-2]["topic_id"] == AZIMUTH
    # Whoever asked for less gets less.
    assert heads == [frame[:200] for frame, _ in expected]
    found = await asyncio.to_thread(read_back, embedded_environment)
    record_outcome(
        "bad frames of each kind, with --dead-letter",
        "each is counted and kept in the file",
        client.counters,
        sent=2 * len(BAD_FRAMES) + 1,
        found=found,
    )


@pytest.mark.slow
async def test_frames_that_were_read_too_late_are_kept(
    embedded_environment: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tma: ScriptedTma
) -> None:
    """At the end, what could not be handed to Kafka: one frame that waits, and those behind it."""
    settings = tmp_path / "producer.yaml"
    settings.write_text("queue.buffering.max.messages: 30\nlinger.ms: 60000\n")
    monkeypatch.setenv("LSST_KAFKA_PRODUCER_CONFIGURATION", str(settings))
    path = tmp_path / "dropped"
    frames = [azimuth_frame(demandPosition=float(i)) for i in range(100)]
    async with run_client(tma.port, dead_letter=path, flush_timeout=2) as client:
        await tma.send(*frames)
        await wait_until(lambda: client.counters.pending == 1)
        num_published = client.counters.published
    assert client.counters.dropped[DropReason.CLOSED] == client.counters.total_dropped
    lines = read_lines(path)
    assert {line["reason"] for line in lines} == {DropReason.CLOSED}
    assert [get_frame(line) for line in lines] == frames[num_published : client.counters.frames]
    found = await asyncio.to_thread(read_back, embedded_environment)
    assert found.num_unique == num_published == client.counters.acknowledged


async def test_option_of_the_program(
    embedded_environment: Environment, tmp_path: Path, tma: ScriptedTma
) -> None:
    path = tmp_path / "dropped"
    options = (f"--dead-letter={path}",)
    async with ClientProgram(embedded_environment, tmp_path, tma.port, *options) as program:
        await tma.send(b"garbage")
        # Soon, not at the end.
        await wait_until(lambda: path.exists() and path.read_bytes().endswith(b"\n"))
        program.send_signal(signal.SIGKILL)
        (line,) = read_lines(path)
        assert line["frame"] == "garbage"


async def test_file_that_cannot_be_opened(embedded_environment: Environment, tmp_path: Path) -> None:
    async with start_client(1, dead_letter=tmp_path / "missing" / "dropped") as client:
        with pytest.raises(FileNotFoundError, match="missing"):
            await client.done_task
