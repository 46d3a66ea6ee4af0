"""How an interface differs from the packaged tables, and what becomes of it.

The interface wins: what is written always fits its schema.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ..telemetry_map import RAW_TELEMETRY_MAP
from .fields import FieldInfo
from .schema import TopicInfo, make_attr_name

__all__ = ["fit_to_wire", "warn_of_differences"]

WIRE_COUNTS: Mapping[str, Mapping[str, int]] = dict(RAW_TELEMETRY_MAP.values())


def fit_to_wire(topic: TopicInfo) -> TopicInfo:
    """Return the topic, its arrays with as many elements as the TMA sends."""
    return replace(topic, wire_counts=WIRE_COUNTS.get(topic.sal_name, {}))


def warn_of_differences(
    found: Mapping[str, TopicInfo], expected: Iterable[TopicInfo], source: str, log: logging.Logger
) -> None:
    """Warn of the differences between an interface and the packaged tables.

    Parameters
    ----------
    found
        Topics of the interface, by SAL name.
    expected
        The packaged topics.
    source
        Where the interface is from.
    log
        Logger: one warning for each topic and kind of difference.
    """
    for topic in expected:
        for difference in _describe_differences(found.get(topic.sal_name), topic):
            log.warning(f"The SAL interface in {source} differs from what was expected: {difference}")


def _describe_differences(found: TopicInfo | None, expected: TopicInfo) -> Iterator[str]:
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
    wire = WIRE_COUNTS.get(expected.sal_name, {})
    # What becomes of a field: the changes.
    changes: dict[str, list[str]] = {}
    for field in common:
        for outcome, change in _describe_field(wanted[field], actual[field], field in wire):
            changes.setdefault(outcome, []).append(f"{field} {change}")
    for outcome, fields in changes.items():
        yield f"{name} has {outcome.format(', '.join(fields))}"


def _describe_field(wanted: FieldInfo, actual: FieldInfo, is_on_wire: bool) -> Iterator[tuple[str, str]]:
    """Tell what becomes of a field that was changed, and the change."""
    if actual.count != wanted.count:
        change = f"{actual.count} instead of {wanted.count}"
        if not is_on_wire:
            yield "other counts: {}; the interface's are used", change
        elif actual.count == 1:
            yield "scalars where the TMA sends arrays: {}; not written", change
        else:
            yield "other counts: {}; the TMA's elements are written", change
    if actual.sal_type != wanted.sal_type:
        change = f"{actual.sal_type} instead of {wanted.sal_type}"
        if is_on_wire and actual.sal_type == "string":
            yield "strings where the TMA sends numbers: {}; not written", change
        else:
            yield "other types: {}; the interface's are used", change
