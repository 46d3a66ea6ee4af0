"""The TMA's schedule: which topic is due in which tick, and its members."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...sal.interface import TopicInfo, load_packaged_interface
from ...tma_interface import TICK_MS, TmaInterface, TmaMember, TmaTopic, load_packaged_tma_interface

__all__ = ["TICK_INTERVAL", "SimulatedTopic", "count_cycle_ticks", "select_topics"]

#: Time between two ticks of the TMA at the full rate [s].
TICK_INTERVAL = TICK_MS / 1000


@dataclass(frozen=True)
class SimulatedTopic:
    """One topic of the TMA."""

    topic_id: int  #: The frames' ``topicID``
    name: str  #: SAL name, such as ``azimuth``
    period: int  #: A frame is due in every tick whose number is a multiple of this [ticks]
    #: Members of a frame besides ``topicID``, in the order of the wire; types and units are known.
    members: tuple[TmaMember, ...]

    @cached_property
    def values(self) -> tuple[TmaMember, ...]:
        """The members that are no time stamps."""
        return tuple(member for member in self.members if not member.is_stamp)


def _make_topic(topic: TmaTopic, sal_topics: Mapping[str, TopicInfo]) -> SimulatedTopic:
    info = sal_topics.get(f"tel_{topic.sal_topic}")
    units = {} if info is None else {field.name: field.units for field in info.fields}
    members = tuple(
        replace(
            member,
            sal_type=member.sal_type or "double",
            unit=member.unit or units.get(member.field, "unitless"),
        )
        for member in topic.members
    )
    return SimulatedTopic(topic.topic_id, topic.sal_topic, topic.period_ms // TICK_MS, members)


def select_topics(
    wanted: Iterable[int | str] | None = None, interface: TmaInterface | None = None
) -> list[SimulatedTopic]:
    """Select topics of the TMA, in the order in which it sends those of one tick.

    Wanted are topic IDs, as numbers or digits, or SAL names; by default all topics
    of the interface. `ValueError` if a topic is unknown, or none is wanted.
    """
    if interface is None:
        interface = load_packaged_tma_interface()
    sal_topics = load_packaged_interface().topics
    topics = [_make_topic(topic, sal_topics) for topic in interface.topics]
    if wanted is None:
        return topics
    by_key = {key: topic for topic in topics for key in (str(topic.topic_id), topic.name)}
    keys = {str(key) for key in wanted}
    if unknown := sorted(keys - by_key.keys()):
        raise ValueError(f"expected topics of {', '.join(by_key)}, got {', '.join(unknown)}")
    if not keys:
        raise ValueError("expected topics to simulate, got none")
    selected = {by_key[key].topic_id for key in keys}
    return [topic for topic in topics if topic.topic_id in selected]


def count_cycle_ticks(topics: Sequence[SimulatedTopic]) -> int:
    """Return the number of ticks after which the schedule repeats."""
    return math.lcm(*(topic.period for topic in topics))
