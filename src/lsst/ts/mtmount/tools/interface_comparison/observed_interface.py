"""The interface that a running TMA shows on the wire."""

import asyncio
import json
import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ...constants import LINE_TERMINATOR, MAX_FRAME_LENGTH
from ...sal.fields import AVRO_TYPES
from ...tma_interface import (
    TICK_MS,
    Difference,
    TmaInterface,
    TmaInterfaceError,
    TmaMember,
    TmaTopic,
    list_names,
)
from ...tma_interface.description import MAX_TOPICS, check_name
from ...tma_interface.differences import NOT_SENT
from ...tma_interface.grouping import group_numbered

__all__ = ["Observation", "observe"]

#: What all members together may take, and one of them beside the characters of its name [bytes]: a bound
#: against a hostile sender.
MAX_SIZE = 50_000_000
MEMBER_SIZE = 1000

#: The part of a name that is told [characters].
MAX_QUOTED = 60

CONNECTION_TIMEOUT = 10.0

#: The first whole number that is too large, by Avro type.
INTEGER_LIMITS = {"int": 2**31, "long": 2**63}

MAX_DOUBLE = int(sys.float_info.max)


@dataclass
class SeenMember:
    """What was seen of one member of a topic."""

    num_frames: int = 0
    num_nulls: int = 0
    num_bad: int = 0  #: Frames with a value that no type takes
    is_boolean: bool = True  #: Were all values booleans?
    #: Frames with a number that a record's number does not hold, by its Avro type.
    num_beyond: Counter[str] = field(default_factory=Counter)
    num_decimals: int = 0  #: Frames with a number that is not whole

    def take(self, value: object) -> None:
        """Take the value of one frame."""
        self.num_frames += 1
        self.num_nulls += value is None
        self.num_bad += isinstance(value, str | list | dict)
        self.is_boolean &= isinstance(value, bool)
        if isinstance(value, int | float):
            for avro_type, limit in INTEGER_LIMITS.items():
                # As the client does it: decimals are cut off, and a not-a-number is beyond both.
                self.num_beyond[avro_type] += not -limit - 1 < value < limit
            self.num_decimals += isinstance(value, float) and math.isfinite(value) and value % 1 != 0
        if isinstance(value, int) and abs(value) > MAX_DOUBLE:
            self.num_beyond.update(("double", "float"))

    def list_faults(self, name: str, sal_type: str | None, is_array: bool) -> Iterator[tuple[str, int, str]]:
        """Yield what a client does not take as it is, in how many frames, and the effect."""
        # Null leaves a scalar as it is.
        if num_bad := self.num_bad + is_array * self.num_nulls:
            yield f"has values of {name} that no type takes", num_bad, f"{num_bad} frames are dropped"
        if sal_type is None:
            return
        avro_type = AVRO_TYPES[sal_type]
        if num_beyond := self.num_beyond[avro_type]:
            what = f"has values of {name} that {sal_type} does not hold"
            yield what, num_beyond, f"{num_beyond} frames are dropped"
        if avro_type in INTEGER_LIMITS and self.num_decimals:
            what = f"has values of {name} that are not whole, as {sal_type} is"
            yield what, self.num_decimals, "the decimals are cut off"


class SeenTopic:
    """What was seen of one topic."""

    def __init__(self) -> None:
        self.num_frames = 0
        self.first = self.last = 0.0
        self.members: defaultdict[str, SeenMember] = defaultdict(SeenMember)
        self.is_cut = False

    def take(self, frame: dict[str, Any], now: float, room: int) -> int:
        """Take a frame that was received at a time of the monotonic clock [s].

        ``room`` is what members may still take [bytes]; return what is left of it.
        """
        if not self.num_frames:
            self.first = now
        self.num_frames += 1
        self.last = now
        for name, value in frame.items():
            if name not in self.members:
                size = MEMBER_SIZE + len(name)
                if size > room:
                    self.is_cut = True
                    continue
                room -= size
            self.members[name].take(value)
        return room

    def find_period_ms(self) -> int | None:
        """Return the time between two frames, None if there was but one."""
        if self.num_frames < 2:
            return None
        period = (self.last - self.first) * 1000 / (self.num_frames - 1)
        return max(1, round(period / TICK_MS)) * TICK_MS


@dataclass
class Observation:
    """What was seen while listening, besides the interface."""

    duration: float = 0.0  #: How long it took [s]
    num_bad: int = 0  #: Frames that could not be understood
    num_beyond: int = 0  #: Frames of topics above the bound
    is_closed: bool = False  #: Did the TMA close the connection?
    is_cut: bool = False  #: Were there bytes of a frame that had not ended?
    topics: dict[int, SeenTopic] = field(default_factory=dict)  #: By topic ID
    room: int = MAX_SIZE  #: What members that were not seen yet may take [bytes]

    def take(self, frame: bytes) -> None:
        """Take a frame."""
        try:
            members = json.loads(frame)
        except (ValueError, RecursionError):
            members = None
        topic_id = members.pop("topicID", None) if isinstance(members, dict) else None
        if type(topic_id) is not int or not 0 < topic_id < 2**31:
            self.num_bad += 1
        elif topic_id not in self.topics and len(self.topics) >= MAX_TOPICS:
            self.num_beyond += 1
        else:
            topic = self.topics.setdefault(topic_id, SeenTopic())
            self.room = topic.take(members, time.monotonic(), self.room)

    def list_remarks(self, wanted: float) -> Iterator[str]:
        """Say what went otherwise than it should within the ``wanted`` time [s]."""
        if self.is_closed:
            yield f"the TMA closed the connection after {self.duration:.1f} s of {wanted:g} s"
        if self.num_bad:
            frames = "frame" if self.num_bad == 1 else "frames"
            yield f"{self.num_bad} {frames} could not be understood"
        if self.num_beyond:
            yield f"frames of topics beyond the first {MAX_TOPICS} were left out: {self.num_beyond}"
        if num_cut := sum(topic.is_cut for topic in self.topics.values()):
            topics = "topic" if num_cut == 1 else "topics"
            yield f"members were left out, as they are too many or too long: of {num_cut} {topics}"

    def excuse(self, found: Iterable[Difference], taken: TmaInterface) -> Iterator[Difference]:
        """Return the differences; of topics that may come later than the observation took, they say so."""
        for difference in found:
            topic = taken.by_name.get(difference.topic)
            is_missing = topic is not None and difference.what == NOT_SENT
            if topic is not None and is_missing and self.duration * 1000 < topic.period_ms:
                what = (
                    f"was not seen; {self.duration:.2g} s were too short for its period of "
                    f"{topic.period_ms / 1000:g} s"
                )
                yield replace(difference, what=what, effect="not known: listen for longer, with --duration")
            else:
                yield difference

    def compare(self, sent: TmaInterface, taken: TmaInterface) -> Iterator[Difference]:
        """Tell what a client with the map ``taken`` would lose of the frames that were seen."""
        for topic_id, seen in self.topics.items():
            topic = sent.by_id[topic_id]
            name = topic.sal_topic
            odd = [member for member in seen.members if member not in topic.by_name]
            if odd:
                quoted = [repr(member[:MAX_QUOTED]) for member in odd]
                what = f"also sends names that no map can have: {list_names(quoted)}"
                yield Difference(name, what, "these members are ignored", True, "member")
            if (used := taken.by_name.get(name)) is None:
                continue
            for member_name, member in seen.members.items():
                if (known := used.by_name.get(member_name)) is None:
                    continue
                if lacking := seen.num_frames - member.num_frames:
                    what = f"has {member_name} not in all frames ({member.num_frames} of {seen.num_frames})"
                    effect = f"{lacking} frames are dropped"
                    yield Difference(name, what, effect, True, "member", member_name)
                is_array = len(used.fields[known.field]) > 1
                for fault, count, effect in member.list_faults(member_name, known.sal_type, is_array):
                    what = f"{fault}, in {count} of {seen.num_frames} frames"
                    yield Difference(name, what, effect, True, "type", member_name)


async def observe(
    host: str, port: int, duration: float, known: TmaInterface
) -> tuple[TmaInterface, Observation]:
    """Describe what a TMA sends, as far as that can be seen on the wire in ``duration`` [s].

    ``known`` gives the SAL names of topic IDs, and the periods of topics that came
    once. `OSError` if there is no connection, `TmaInterfaceError` if no frame came.
    """
    async with asyncio.timeout(CONNECTION_TIMEOUT):
        reader, writer = await asyncio.open_connection(host, port, limit=MAX_FRAME_LENGTH)
    source = f"live:{host}:{port}"
    seen = Observation()
    start = time.monotonic()
    try:
        async with asyncio.timeout(duration):
            while True:
                seen.take(await reader.readuntil(LINE_TERMINATOR))
    except TimeoutError:
        seen.is_cut = await _has_bytes(reader)
    except (asyncio.IncompleteReadError, ConnectionError):
        seen.is_closed = True
    except asyncio.LimitOverrunError:
        raise TmaInterfaceError(f"{source}: expected frames of up to {MAX_FRAME_LENGTH} bytes") from None
    finally:
        writer.close()
    seen.duration = time.monotonic() - start
    remarks = tuple(seen.list_remarks(duration))
    if not seen.topics:
        came = "bytes without the end of a frame came" if seen.is_cut else "none came"
        within = () if seen.is_closed else (f"{came} within {duration:g} s",)
        reasons = "; ".join((*remarks, *(() if remarks else within)))
        raise TmaInterfaceError(f"{source}: expected frames of topics, got none: {reasons}")
    topics = tuple(_make_topic(topic_id, topic, known) for topic_id, topic in seen.topics.items())
    return TmaInterface(topics, source, remarks), seen


async def _has_bytes(reader: asyncio.StreamReader) -> bool:
    """Return whether there are bytes that can be read without waiting."""
    try:
        async with asyncio.timeout(0):
            return bool(await reader.read(1))
    except (TimeoutError, ConnectionError):
        return False


def _make_topic(topic_id: int, seen: SeenTopic, interface: TmaInterface) -> TmaTopic:
    known = interface.by_id.get(topic_id)
    members = []
    for name, member in seen.members.items():
        try:
            check_name("member", name)
        except TmaInterfaceError:
            # No map can have it: `Observation.compare` tells of it.
            continue
        members.append(TmaMember(name, name, 0, "boolean" if member.is_boolean else None))
    return TmaTopic(
        topic_id,
        known.sal_topic if known else f"topicID{topic_id}",
        seen.find_period_ms() or (known.period_ms if known else TICK_MS),
        group_numbered(members),
    )
