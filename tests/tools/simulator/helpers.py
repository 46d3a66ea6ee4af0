"""Reads the simulator's stream as a stranger would: sockets, and json."""

import asyncio
import json
from pathlib import Path
from typing import Any

TIMEOUT = 60

#: For the program beside a short ``--duration``, which is also how long it waits for a client.
WAIT = ("--wait", str(TIMEOUT))

GOLDEN_RECORDS = Path(__file__).parents[2] / "data" / "golden_records.jsonl"

#: Topic ID: ticks between two frames. Source: the TMA's table of periods, divided by 50 ms.
PERIODS = {
    **dict.fromkeys((5, 6, 14, 15, 16), 1),
    **dict.fromkeys((3, 7, 8, 11, 19, 22, 23, 24, 27), 2),
    **dict.fromkeys((21, 26), 4),
    **dict.fromkeys((1, 2, 4, 9, 10, 12, 13, 17, 18), 10),
    25: 100,
}


def count_due(num_ticks: int) -> dict[int, int]:
    """Count the frames of each topic that are due in the first ticks."""
    return {topic_id: len(range(0, num_ticks, period)) for topic_id, period in PERIODS.items()}


def read_wire_members() -> dict[int, list[str]]:
    """Return the members of a frame by topic ID, in the order of the TMA's own frames."""
    members = {}
    for line in GOLDEN_RECORDS.read_text().splitlines():
        golden = json.loads(line)
        if golden["case"] == "six":
            members[golden["topic_id"]] = list(json.loads(golden["line"]))
    return members


def parse_frames(data: bytes) -> list[dict[str, Any]]:
    """Parse whole frames."""
    assert data.endswith(b"\r\n") or not data
    return [json.loads(frame) for frame in data.split(b"\r\n")[:-1]]


def count_topics(frames: list[dict[str, Any]]) -> dict[int, int]:
    """Count frames by topic ID."""
    counts: dict[int, int] = {}
    for frame in frames:
        counts[frame["topicID"]] = counts.get(frame["topicID"], 0) + 1
    return counts


async def read_to_end(port: int) -> bytes:
    """Connect, and read until the server closes."""
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
