"""Telling where frames and the TMA's interface differ: members that are new, and members that are gone."""

import json
import logging
import re
from dataclasses import dataclass, field

from ..core import TopicCodec
from ..resilience.escape import escape
from ..resilience.rate_limited_log import RateLimitedLog

__all__ = ["MemberReport"]

#: The number of an array's element in the name of its member: ``current12``, ``current12Timestamp``.
ELEMENT = re.compile(r"\d+(?=(Timestamp)?$)")


@dataclass
class _Topic:
    name: str
    codec: TopicCodec
    unknown: list[str] = field(default_factory=list)
    # Members of the interface whose absence, or return, was logged.
    told: set[tuple[str, bool]] = field(default_factory=set)


class MemberReport:
    """Logs each member once that no table knows, or that frames lack.

    What frames lack, have again, and lack again is logged once a minute at most; ``limited_log`` is for
    its owner to flush.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self.limited_log = RateLimitedLog(log, max_lines=1, interval=60.0)
        self._topics: dict[int, _Topic] = {}

    def add_topic(self, name: str, codec: TopicCodec) -> None:
        """Add a topic by its SAL name."""
        self._topics[codec.topic_id] = _Topic(name, codec)

    @property
    def incomplete(self) -> dict[str, int]:
        """Frames published although members were missing, by SAL topic, where there are any."""
        return {
            topic.name: topic.codec.incomplete for topic in self._topics.values() if topic.codec.incomplete
        }

    @property
    def unknown_members(self) -> dict[str, list[str]]:
        """Members that came and that the interface lacks, by SAL topic, where there are any."""
        return {topic.name: list(topic.unknown) for topic in self._topics.values() if topic.unknown}

    @property
    def frames_with_unknown(self) -> dict[str, int]:
        """Frames that had such members, by SAL topic, where there are any."""
        counts = {topic.name: topic.codec.num_with_unknown for topic in self._topics.values()}
        return {name: count for name, count in counts.items() if count}

    def note_missing(self, topic_id: int, name: str, is_missing: bool) -> None:
        """Tell that frames have begun to lack a member, or have it again."""
        topic = self._topics[topic_id]
        change = name, is_missing
        if is_missing:
            self._tell(
                topic,
                change,
                logging.WARNING,
                f"{topic.name}: frames lack the member {name!r}; its field keeps its value",
            )
        else:
            self._tell(topic, change, logging.INFO, f"{topic.name}: frames have the member {name!r} again")

    def _tell(self, topic: _Topic, change: tuple[str, bool], level: int, text: str) -> None:
        """Log a change, in any case the first of its kind; what goes back and forth is rate-limited."""
        if change not in topic.told:
            topic.told.add(change)
            self._log.log(level, text)
        else:
            # Both names are the interface's, so their number is bounded.
            self.limited_log.log(f"missing member {change[0]} of {topic.name}", level, text)

    def note_unknown(self, topic_id: int, name: str) -> None:
        """Tell that a member came that the codec does not know."""
        topic = self._topics[topic_id]
        shown = escape(_unescape(name))
        topic.unknown.append(shown)
        known = topic.codec.record.field_names
        taker = next((field for field in (name, ELEMENT.sub("", name)) if field in known), None)
        remedy = (
            f"the SAL field {taker} would take it, by way of --tma-interface"
            if taker
            else "the SAL interface has no field of that name"
        )
        # The codec tells of no more than 100 in each topic.
        self._log.warning(
            f"{topic.name}: the TMA sends the member '{shown}', which its interface lacks; {remedy}"
        )


def _unescape(name: str) -> str:
    """Return a name as it is meant; the frame has it as JSON, and it may be cut within an escape."""
    try:
        return str(json.loads(f'"{name}"'))
    except ValueError:
        return name
