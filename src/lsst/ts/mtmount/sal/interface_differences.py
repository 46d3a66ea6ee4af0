"""How a SAL interface differs from another one, and from what the TMA sends, and what becomes of it.

The interface wins: what is written always fits its schema.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..tma_interface import Difference, TmaInterface, TmaTopic, list_names, sum_up_changes
from .avro_schema import TopicInfo, make_attr_name
from .fields import FieldInfo
from .interface_fitting import fit_tma_to_sal

__all__ = ["compare_sal", "compare_tma_with_sal", "warn_of_differences"]

#: Telemetry that the client itself makes.
CLIENT_TOPICS = frozenset({"telemetryClientHeartbeat"})

#: The TMA's name of a unit: that of SAL.
SECOND = {"s": "second"}


class Outcome(NamedTuple):
    """What becomes of a field that the TMA sends, and that a SAL interface has otherwise than expected."""

    what: str  #: What SAL has; the place for `` in SAL`` is marked
    effect: str
    is_loss: bool
    kind: str  #: As of `Difference`


SCALARS = Outcome("scalars{} where the TMA sends arrays", "not written", True, "count")
OTHER_COUNTS = Outcome("other counts{}", "the TMA's elements are written", False, "count")
STRINGS = Outcome("strings{} where the TMA sends numbers", "not written", True, "type")
OTHER_TYPES = Outcome("other types{}", "values are converted", True, "type")
OTHER_UNITS = Outcome("other units{}", "values are not converted", False, "unit")


def warn_of_differences(
    found: Mapping[str, TopicInfo],
    expected: Iterable[TopicInfo],
    tma_interface: TmaInterface,
    source: str,
    log: logging.Logger,
) -> None:
    """Warn of the differences between an interface, the packaged tables and what the TMA sends.

    One warning for each topic and kind of difference. ``found`` are the topics of
    the interface, by SAL name; ``expected`` are the packaged ones.
    """
    sent = tma_interface.by_name
    packaged = {topic.sal_name: topic for topic in expected}
    for topic in packaged.values():
        for difference in _describe_differences(found.get(topic.sal_name), topic, sent.get(topic.sal_name)):
            log.warning(f"The SAL interface in {source} differs from what was expected: {difference}")
    for tma_topic in tma_interface.topics:
        name = tma_topic.sal_topic
        if lack := _describe_lack(tma_topic, found.get(name), packaged.get(name)):
            log.warning(f"The SAL interface in {source} lacks what the TMA sends: {lack}")


def _describe_lack(sent: TmaTopic, found: TopicInfo | None, packaged: TopicInfo | None) -> str | None:
    """Describe what the TMA sends and neither this interface nor the packaged tables have."""
    name = make_attr_name(sent.sal_topic)
    if found is None:
        return None if packaged else f"there is no {name}; the frames of topic ID {sent.topic_id} are ignored"
    known = {field.name for topic in (found, packaged) if topic for field in topic.fields}
    missing = [field for field in sent.fields if field not in known]
    return f"{name} has no {list_names(missing)}; not written" if missing else None


def _describe_differences(
    found: TopicInfo | None, expected: TopicInfo, sent: TmaTopic | None
) -> Iterator[str]:
    """Describe how a topic differs from the packaged one.

    Descriptions and units are not compared: they do not change what is written.
    """
    name = make_attr_name(expected.sal_name)
    if found is None:
        yield f"there is no {name}; it is not published"
        return
    wanted = {field.name: field for field in expected.fields}
    actual = {field.name: field for field in found.fields}
    common = [field for field in wanted if field in actual]
    if missing := [field for field in wanted if field not in actual]:
        yield f"{name} lacks {', '.join(missing)}; not written"
    if extra := [field for field in actual if field not in wanted]:
        yield f"{name} also has {', '.join(extra)}; left at zero"
    if common != [field for field in actual if field in wanted]:
        yield f"{name} has its fields in another order; the interface's is used"
    wire = {} if sent is None else sent.fields
    # What becomes of a field: the changes.
    changes: dict[str, list[str]] = {}
    for field in common:
        for outcome, change in _describe_field(wanted[field], actual[field], field in wire):
            changes.setdefault(outcome, []).append(f"{field} {change}")
    for outcome, fields in changes.items():
        yield f"{name} has {outcome.format(', '.join(fields))}"


def _describe_field(wanted: FieldInfo, actual: FieldInfo, is_on_wire: bool) -> Iterator[tuple[str, str]]:
    """Tell what becomes of a field that was changed, and the change."""
    for outcome, change in _find_outcomes(wanted, actual):
        if outcome is OTHER_UNITS:
            continue
        if is_on_wire and outcome is not OTHER_TYPES:
            yield f"{outcome.what.format('')}: {{}}; {outcome.effect}", change
        else:
            yield f"other {outcome.kind}s: {{}}; the interface's are used", change


def _find_outcomes(wanted: FieldInfo, actual: FieldInfo) -> Iterator[tuple[Outcome, str]]:
    """Find what becomes of a field that was changed, if the TMA sends it, and the changes."""
    if actual.count != wanted.count:
        yield _find_count_outcome(actual), f"{actual.count} instead of {wanted.count}"
    if actual.sal_type != wanted.sal_type:
        outcome = STRINGS if actual.sal_type == "string" else OTHER_TYPES
        yield outcome, f"{actual.sal_type} instead of {wanted.sal_type}"
    if actual.units != wanted.units:
        yield OTHER_UNITS, f"{actual.units} instead of {wanted.units}"


def _find_count_outcome(actual: FieldInfo) -> Outcome:
    return SCALARS if actual.count == 1 else OTHER_COUNTS


def compare_tma_with_sal(
    tma_interface: TmaInterface, topics: Mapping[str, TopicInfo]
) -> Iterator[Difference]:
    """Compare what the TMA sends with the telemetry that SAL has, by SAL name."""
    for sent in fit_tma_to_sal(tma_interface, topics.values()).topics:
        info = topics.get(sent.sal_topic)
        if info is None:
            yield Difference(sent.sal_topic, "is not in SAL", "its frames are ignored", True, "topic")
        else:
            # The fitting takes over SAL's types: what was said of them before is compared.
            yield from _compare_topic_with_sal(sent, info, tma_interface.by_name[sent.sal_topic])
    for name in topics:
        if name not in tma_interface.by_name and name not in CLIENT_TOPICS:
            yield Difference(name, "is in SAL and never sent", "it is never written", False, "topic")


def _compare_topic_with_sal(sent: TmaTopic, info: TopicInfo, described: TmaTopic) -> Iterator[Difference]:
    """Compare a topic, its members in SAL's fields, with SAL; ``described`` has its own types."""
    known = {field.name: field for field in info.fields}
    # What is different, what that does, whether it is a loss, its kind: the members or fields, with texts.
    changes: defaultdict[tuple[str, str, bool, str], list[tuple[str, str]]] = defaultdict(list)
    changes["sends what SAL lacks", "these members are ignored", True, "member"] = [
        (member.name, member.name) for member in sent.members if member.field not in known
    ]
    changes["has in SAL, never sent", "these fields stay zero", False, "field"] = [
        (name, name) for name in known if name not in sent.fields
    ]
    for name, members in sent.fields.items():
        if (field := known.get(name)) is None:
            continue
        count, unit = len(members), members[0].unit
        types = {described.by_name[member.name].sal_type for member in members}
        other_types = sorted(types - {None, field.sal_type}, key=str)
        # What is different, and the text.
        found: list[tuple[Outcome, str]] = []
        if field.sal_type == "string":
            found.append((STRINGS, name))
        elif other_types:
            text = f"{name} {field.sal_type} instead of {', '.join(map(str, other_types))}"
            found.append((OTHER_TYPES, text))
        if count != field.count:
            found.append((_find_count_outcome(field), f"{name} {field.count} instead of {count}"))
        if unit and SECOND.get(unit, unit) != SECOND.get(field.units, field.units):
            found.append((OTHER_UNITS, f"{name} {field.units!r} instead of {unit!r}"))
        for outcome, text in found:
            what = f"has {outcome.what.format(' in SAL')}"
            changes[outcome._replace(what=what)].append((name, text))
    for difference, texts in changes.items():
        yield from sum_up_changes(sent.sal_topic, *difference, texts)


def compare_sal(old: Mapping[str, TopicInfo], new: Mapping[str, TopicInfo]) -> Iterator[Difference]:
    """Compare two SAL interfaces: what changes when the second takes the place of the first."""
    for name, topic in old.items():
        if name not in new:
            yield Difference(name, "is gone", "it is not published", True, "topic")
            continue
        before = {field.name: field for field in topic.fields}
        after = {field.name: field for field in new[name].fields}
        gone = [(field, field) for field in before if field not in after]
        yield from sum_up_changes(name, "lacks", "not written", True, "field", gone)
        added = [(field, field) for field in after if field not in before]
        yield from sum_up_changes(name, "also has", "zero, unless the TMA sends it", False, "field", added)
        changes: defaultdict[Outcome, list[tuple[str, str]]] = defaultdict(list)
        for field in before:
            for outcome, change in _find_outcomes(before[field], after.get(field, before[field])):
                changes[outcome].append((field, f"{field} {change}"))
        for outcome, texts in changes.items():
            # Whether the TMA sends these fields is not known.
            what = f"has other {outcome.kind}s"
            yield from sum_up_changes(name, what, outcome.effect, outcome.is_loss, outcome.kind, texts)
    for name in new:
        if name not in old:
            yield Difference(name, "is new", "published if the TMA sends it", False, "topic")
