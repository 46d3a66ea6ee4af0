"""The topics and fields that there are."""

from collections.abc import Iterable, Iterator

from ...resilience.escape import escape
from ...sal.interface import Interface
from .selection import FieldName, to_short_name

__all__ = ["list_field_names", "list_fields"]


def list_fields(interface: Interface, sal_names: Iterable[str]) -> Iterator[str]:
    """List the fields of topics, a line each: name, type with element count, units, description."""
    by_name = {topic.sal_name: topic for topic in interface.topics.values()}
    for sal_name in sal_names:
        if sal_name not in by_name:
            yield f"{to_short_name(sal_name)}: its fields are not known before a record comes"
            continue
        for info in by_name[sal_name].fields:
            name = f"{to_short_name(sal_name)}.{info.name}"
            kind = info.avro_type if info.count == 1 else f"{info.avro_type}[{info.count}]"
            yield escape(f"{name:50} {kind:12} {info.units or '-':10} {info.description}".rstrip())


def list_field_names(interface: Interface, sal_names: Iterable[str]) -> list[FieldName]:
    """List the fields of topics, for an array its first element: the numbers that can be plotted."""
    by_name = {topic.sal_name: topic for topic in interface.topics.values()}
    return [
        FieldName(sal_name, info.name, None if info.count == 1 else index)
        for sal_name in sal_names
        if sal_name in by_name
        for info in by_name[sal_name].fields
        if info.avro_type != "string"
        for index in range(info.count)
    ]
