"""The interface that a running TMA shows on the wire."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from ...constants import LINE_TERMINATOR, MAX_FRAME_LENGTH
from ...tma_interface import TICK_MS, TmaInterface, TmaInterfaceError, TmaMember, TmaTopic
from ...tma_interface.description import check_name
from ...tma_interface.grouping import group_numbered

__all__ = ["listen"]

#: Bounds against a hostile sender.
MAX_TOPICS = 1000
MAX_MEMBERS = 10_000

CONNECTION_TIMEOUT = 10.0


class SeenTopic:
    """What was seen of one topic."""

    def __init__(self) -> None:
        self.num_frames = 0
        self.first = self.last = 0.0
        # Name: whether all values were booleans.
        self.members: dict[str, bool] = {}

    def take(self, frame: dict[str, Any], now: float) -> None:
        """Take a frame that was received at a time of the monotonic clock [s]."""
        if not self.num_frames:
            self.first = now
        self.num_frames += 1
        self.last = now
        for name, value in frame.items():
            is_boolean = isinstance(value, bool)
            if name in self.members:
                self.members[name] &= is_boolean
            elif len(self.members) < MAX_MEMBERS:
                self.members[name] = is_boolean

    def find_period_ms(self) -> int | None:
        """Return the time between two frames, None if there was but one."""
        if self.num_frames < 2:
            return None
        period = (self.last - self.first) * 1000 / (self.num_frames - 1)
        return max(1, round(period / TICK_MS)) * TICK_MS


async def listen(host: str, port: int, duration: float, known: TmaInterface) -> TmaInterface:
    """Describe what a TMA sends, as far as that can be seen on the wire in ``duration`` [s].

    ``known`` gives the SAL names of topic IDs, and the periods of topics that came
    once. `OSError` if there is no connection, `TmaInterfaceError` if no frame came.
    """
    async with asyncio.timeout(CONNECTION_TIMEOUT):
        reader, writer = await asyncio.open_connection(host, port, limit=MAX_FRAME_LENGTH)
    source = f"live:{host}:{port}"
    topics: dict[int, SeenTopic] = {}
    num_bad = 0
    try:
        async with asyncio.timeout(duration):
            while True:
                frame = await reader.readuntil(LINE_TERMINATOR)
                num_bad += not _take(frame, topics)
    except (TimeoutError, asyncio.IncompleteReadError):
        pass
    except asyncio.LimitOverrunError:
        raise TmaInterfaceError(f"{source}: expected frames of up to {MAX_FRAME_LENGTH} bytes") from None
    finally:
        writer.close()
    if not topics:
        raise TmaInterfaceError(f"{source}: expected frames of topics, got none within {duration:g} s")
    remarks = (f"{num_bad} frames could not be understood",) if num_bad else ()
    return TmaInterface(
        tuple(_make_topic(topic_id, topic, known) for topic_id, topic in topics.items()), source, remarks
    )


def _take(frame: bytes, topics: dict[int, SeenTopic]) -> bool:
    """Take a frame; return whether it could be understood."""
    try:
        members = json.loads(frame)
    except (ValueError, RecursionError):
        return False
    if not isinstance(members, dict):
        return False
    topic_id = members.pop("topicID", None)
    if type(topic_id) is not int or not 0 < topic_id < 2**31:
        return False
    if topic_id not in topics and len(topics) >= MAX_TOPICS:
        return False
    topics.setdefault(topic_id, SeenTopic()).take(members, time.monotonic())
    return True


def _make_topic(topic_id: int, seen: SeenTopic, interface: TmaInterface) -> TmaTopic:
    known = interface.by_id.get(topic_id)
    members = []
    for name, is_boolean in seen.members.items():
        try:
            check_name("member", name)
        except TmaInterfaceError:
            # No map can have it.
            continue
        members.append(TmaMember(name, name, 0, "boolean" if is_boolean else None))
    return TmaTopic(
        topic_id,
        known.sal_topic if known else f"topicID{topic_id}",
        seen.find_period_ms() or (known.period_ms if known else TICK_MS),
        group_numbered(members),
    )
