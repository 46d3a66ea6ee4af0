"""Which topics and fields somebody wants to see."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from ...sal.avro_schema import TopicInfo
from ...sal.interface import Interface

__all__ = ["ALL_TOPICS", "FieldName", "Selection", "SelectionError", "to_sal_name", "to_short_name"]

#: Stands for all telemetry topics and events that the telemetry client publishes.
ALL_TOPICS = "all"

# SAL's prefix of the names of events, and what a controller has instead.
EVENT_PREFIX = "logevent_"
SHORT_EVENT_PREFIX = "evt_"

#: A topic's name: SAL's own, or that of a controller's attribute.
TOPIC_NAME = re.compile(r"[A-Za-z]\w*")

FIELD_NAME = re.compile(r"(?P<topic>\w+)\.(?P<field>\w+)(\[(?P<index>[0-9]{1,9})\])?")


class SelectionError(ValueError):
    """There is no such topic or field."""


@dataclass(frozen=True)
class FieldName:
    """A field of a topic, or one element of an array."""

    topic: str  #: SAL name of the topic
    field: str  #: Name of the field
    index: int | None = None  #: Which element of an array, from 0; None: all, or the field is a scalar

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a name such as ``azimuth.actualPosition`` or ``azimuthDrives.current[3]``."""
        match = FIELD_NAME.fullmatch(text)
        if match is None:
            raise SelectionError(
                f"expected a field such as azimuth.actualPosition or azimuthDrives.current[3], got {text!r}"
            )
        index = match["index"]
        return cls(to_sal_name(match["topic"]), match["field"], None if index is None else int(index))

    @property
    def label(self) -> str:
        """The name without the topic."""
        return self.field if self.index is None else f"{self.field}[{self.index}]"

    def __str__(self) -> str:
        return f"{to_short_name(self.topic)}.{self.label}"

    def find_value(self, record: Mapping[str, Any]) -> Any:
        """Find the field's value in a record of its topic; None if the record does not have it."""
        value = record.get(self.field)
        if self.index is None:
            return value
        return value[self.index] if isinstance(value, list) and self.index < len(value) else None


@dataclass(frozen=True)
class Selection:
    """Topics and fields to be seen."""

    topics: tuple[str, ...]  #: SAL names of the topics, those of the fields among them
    fields: tuple[FieldName, ...]

    @classmethod
    def make(cls, interface: Interface, topics: Iterable[str], fields: Iterable[FieldName]) -> Self:
        """Make a selection from what somebody has written; `SelectionError` if there is no such thing.

        Topics are ``azimuth``, ``tel_azimuth``, ``evt_clockOffset``, ``logevent_clockOffset``,
        or `ALL_TOPICS`. Events may be some that the interface does not know, such as the CSC's own.
        """
        known = {topic.sal_name: topic for topic in interface.topics.values()}
        sent = interface.tma_interface.by_name
        fields = tuple(dict.fromkeys(fields))
        names: dict[str, None] = {}
        for name in [*topics, *(field.topic for field in fields)]:
            if name == ALL_TOPICS:
                names |= dict.fromkeys(known)
            else:
                names[_check_topic(to_sal_name(name), known, sent)] = None
        for field in fields:
            if field.topic in known:
                _check_field(field, known[field.topic])
        return cls(tuple(names), fields)


def to_sal_name(name: str) -> str:
    """Return the SAL name of a topic that may be named as a controller's attribute."""
    if name.startswith(SHORT_EVENT_PREFIX):
        return EVENT_PREFIX + name.removeprefix(SHORT_EVENT_PREFIX)
    return name.removeprefix("tel_")


def to_short_name(sal_name: str) -> str:
    """Return a short name that `to_sal_name` understands."""
    if sal_name.startswith(EVENT_PREFIX):
        return SHORT_EVENT_PREFIX + sal_name.removeprefix(EVENT_PREFIX)
    return sal_name


def _check_topic(name: str, known: Iterable[str], sent: Collection[str]) -> str:
    if name not in known and not (name.startswith(EVENT_PREFIX) and TOPIC_NAME.fullmatch(name)):
        if name in sent:
            raise SelectionError(f"{name}: SAL has no such topic; the TMA sends it, and it is not published")
        name = to_short_name(name)
        raise SelectionError(f"expected a topic, got {name!r}{_suggest(name, map(to_short_name, known))}")
    return name


def _check_field(field: FieldName, topic: TopicInfo) -> None:
    infos = {info.name: info for info in topic.private_fields + topic.fields}
    topic_name = to_short_name(topic.sal_name)
    if field.field not in infos:
        raise SelectionError(
            f"expected a field of {topic_name}, got {field.field!r}{_suggest(field.field, infos)}"
        )
    count = infos[field.field].count
    if field.index is not None and count == 1:
        raise SelectionError(f"expected no index for {topic_name}.{field.field}, which is not an array")
    if field.index is not None and field.index >= count:
        raise SelectionError(
            f"expected an index from 0 to {count - 1} for {topic_name}.{field.field}, got {field.index}"
        )


def _suggest(name: str, known: Iterable[str]) -> str:
    similar = difflib.get_close_matches(name, known, n=3)
    return f"; did you mean {' or '.join(similar)}?" if similar else ""
