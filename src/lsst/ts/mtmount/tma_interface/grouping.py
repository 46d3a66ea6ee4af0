"""Which members form a SAL field of several elements: ``current1`` .. ``current16`` form ``current``.

By the TMA's own rule, unless a SAL interface has these fields: then that decides.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .description import FRAME_STAMP, STAMP_SUFFIX, TmaInterface, TmaMember, TmaTopic

__all__ = ["KnownTopics", "fit_to_sal", "group_members", "group_numbered"]

NUMBERED = re.compile(r"(?P<stem>.*[^0-9])(?P<number>[0-9]+)", re.ASCII)

#: Numbers with more digits belong to the name: ``glycolPressureAzimuth0001``.
MAX_DIGITS = 2


#: SAL topic name: {field name: (SAL type, number of elements; over 1: an array)}
KnownTopics = Mapping[str, Mapping[str, tuple[str, int]]]


@dataclass(frozen=True)
class Series:
    """Members whose names differ only in a final number, in the order of the numbers."""

    stem: str
    members: tuple[TmaMember, ...]

    def is_array(self) -> bool:
        """Do these form one field by the TMA's rule?"""
        types = {member.sal_type for member in self.members}
        num_digits = max(len(member.name) for member in self.members) - len(self.stem)
        return len(self.members) > 1 and num_digits <= MAX_DIGITS and len(types) == 1


def group_members(values: Iterable[TmaMember]) -> tuple[TmaMember, ...]:
    """Make a topic's members of its variables, by the TMA's rule.

    Of each variable that is sent, only name, type and unit matter. They get their
    fields, a time stamp for each, and the frame's.
    """
    values = list(values)
    stamps = [_make_stamp(member.name + STAMP_SUFFIX) for member in values]
    return group_numbered([*values, *stamps, _make_stamp(FRAME_STAMP)])


def group_numbered(members: Iterable[TmaMember]) -> tuple[TmaMember, ...]:
    """Put the members that were seen on the wire into fields, by the TMA's rule."""
    members = [replace(member, field=member.name, index=0) for member in members]
    return _regroup(members, [series for series in _find_series(members) if series.is_array()], ())


def fit_to_sal(interface: TmaInterface, known: KnownTopics) -> TmaInterface:
    """Group members as a SAL interface has them, and take over its types. What SAL lacks stays as it is."""
    topics = tuple(_fit_topic(topic, known.get(topic.sal_topic, {})) for topic in interface.topics)
    return replace(interface, topics=topics)


def _fit_topic(topic: TmaTopic, known: Mapping[str, tuple[str, int]]) -> TmaTopic:
    arrays, scalars = [], []
    for series in _find_series(topic.members):
        if known.get(series.stem, ("", 1))[1] > 1:
            arrays.append(series)
        elif any(member.name in known for member in series.members):
            scalars.append(series)
    types = {field: sal_type for field, (sal_type, _) in known.items() if sal_type != "string"}
    members = tuple(
        _change(member, sal_type=types.get(member.field, member.sal_type))
        for member in _regroup(topic.members, arrays, scalars)
    )
    return topic if members == topic.members else replace(topic, members=members)


def _change(member: TmaMember, **values: Any) -> TmaMember:
    """Do `dataclasses.replace`, which takes long, where something differs: hardly ever."""
    if all(getattr(member, name) == value for name, value in values.items()):
        return member
    return replace(member, **values)


def _make_stamp(name: str) -> TmaMember:
    return TmaMember(name, name, 0, "double", "s")


def _find_series(members: Iterable[TmaMember]) -> Iterator[Series]:
    """Find the numbered members that may form one field: their numbers are 1 to n.

    A time stamp is numbered before ``Timestamp``, so it follows its member.
    """
    names = {member.name for member in members}
    numbered: dict[str, list[tuple[int, TmaMember]]] = {}
    for member in members:
        if (match := NUMBERED.fullmatch(member.name)) is not None:
            numbered.setdefault(match["stem"], []).append((int(match["number"]), member))
    for stem, entries in numbered.items():
        # The field's name, or that of its time stamps, would be another's.
        is_taken = stem in names or stem + STAMP_SUFFIX in names or stem.endswith(STAMP_SUFFIX)
        entries.sort(key=lambda entry: entry[0])
        if not is_taken and [number for number, _ in entries] == list(range(1, len(entries) + 1)):
            yield Series(stem, tuple(member for _, member in entries))


def _regroup(
    members: Iterable[TmaMember], arrays: Iterable[Series], scalars: Iterable[Series]
) -> tuple[TmaMember, ...]:
    """Return the members, some of them in other fields.

    Each of ``arrays`` becomes one field, with another one of the time stamps. Of
    ``scalars``, each member becomes a field of its own name, as does its time stamp.
    """
    names = {member.name for member in members}
    places: dict[str, tuple[str, int]] = {}
    for series in arrays:
        stamps = [member.name + STAMP_SUFFIX for member in series.members]
        for index, member in enumerate(series.members):
            places[member.name] = (series.stem, index)
        if names.issuperset(stamps):
            places.update((stamp, (series.stem + STAMP_SUFFIX, index)) for index, stamp in enumerate(stamps))
    for series in scalars:
        for member in series.members:
            for name in (member.name, member.name + STAMP_SUFFIX):
                places[name] = (name, 0)
    return tuple(
        _change(member, field=field, index=index)
        for member in members
        for field, index in [places.get(member.name, (member.field, member.index))]
    )
