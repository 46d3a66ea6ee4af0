"""The TMA's schedule: which topic is due in which tick, and its members."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...core import member_names
from ...sal.interface import load_packaged_interface
from ...telemetry_map import RAW_TELEMETRY_MAP, read_table

__all__ = ["TICK_INTERVAL", "Member", "SimulatedTopic", "count_cycle_ticks", "select_topics"]

#: Time between two ticks of the TMA at the full rate [s].
TICK_INTERVAL = 0.05

TICK_INTERVAL_MS = round(TICK_INTERVAL * 1000)


@dataclass(frozen=True)
class Member:
    """One member of a topic's frames.

    Parameters
    ----------
    name : `str`
        Name on the wire, such as ``current3``.
    field : `str`
        Name of the SAL field that it belongs to, such as ``current``.
    sal_type : `str`
        SAL type of the field.
    units : `str`
        Units of the field.
    """

    name: str
    field: str
    sal_type: str
    units: str

    @property
    def is_frame_stamp(self) -> bool:
        """Whether this is the time when the frame is sent."""
        return self.name == "timestamp"

    @property
    def is_stamp(self) -> bool:
        """Whether this is a time stamp: the frame's, or that of another member."""
        return self.is_frame_stamp or self.field.endswith("Timestamp")


@dataclass(frozen=True)
class SimulatedTopic:
    """One topic of the TMA.

    Parameters
    ----------
    topic_id : `int`
        The frames' ``topicID``.
    name : `str`
        SAL name, such as ``azimuth``.
    period : `int`
        A frame is due in every tick whose number is a multiple of this [ticks].
    members : `tuple` [`Member`, ...]
        Members of a frame besides ``topicID``, in the order of the wire.
    """

    topic_id: int
    name: str
    period: int
    members: tuple[Member, ...]

    @cached_property
    def values(self) -> tuple[Member, ...]:
        """The members that are no time stamps."""
        return tuple(member for member in self.members if not member.is_stamp)


def _read_topics() -> list[SimulatedTopic]:
    sal_topics = load_packaged_interface().topics
    topics = []
    for row in read_table("tma_topics.csv"):
        topic_id, name, period_ms = int(row["topic_id"]), row["sal_topic"], int(row["period_ms"])
        sal_fields = {field.name: field for field in sal_topics[f"tel_{name}"].fields}
        members = tuple(
            Member(member, field, sal_fields[field].sal_type, sal_fields[field].units)
            for field, num_elements in RAW_TELEMETRY_MAP[topic_id][1].items()
            for member in member_names(field, num_elements)
        )
        topics.append(SimulatedTopic(topic_id, name, period_ms // TICK_INTERVAL_MS, members))
    return topics


def select_topics(wanted: Iterable[int | str] | None = None) -> list[SimulatedTopic]:
    """Select topics of the TMA, in the order in which it sends those of one tick.

    Parameters
    ----------
    wanted : `Iterable` [`int` or `str`], optional
        Topic IDs, as numbers or digits, or SAL names. All topics if `None`.

    Raises
    ------
    ValueError
        If a topic is unknown, or none is wanted.
    """
    topics = _read_topics()
    if wanted is None:
        return topics
    by_key = {key: topic for topic in topics for key in (str(topic.topic_id), topic.name)}
    keys = {str(key) for key in wanted}
    if unknown := sorted(keys - by_key.keys()):
        raise ValueError(f"unknown topics: {', '.join(unknown)}; there are: {', '.join(by_key)}")
    if not keys:
        raise ValueError("no topics")
    selected = {by_key[key].topic_id for key in keys}
    return [topic for topic in topics if topic.topic_id in selected]


def count_cycle_ticks(topics: Sequence[SimulatedTopic]) -> int:
    """Return the number of ticks after which the schedule repeats."""
    return math.lcm(*(topic.period for topic in topics))
