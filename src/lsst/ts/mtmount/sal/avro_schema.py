"""SAL topics and their Avro schemas."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .fields import PRIVATE_FIELDS, FieldInfo

__all__ = ["COMPONENT", "TopicInfo", "compute_rev_code", "have_same_substance", "make_attr_name"]

#: Name of the SAL component that all topics belong to.
COMPONENT = "MTMount"

# SAL's prefix of the names of events, and what a controller has instead.
EVENT_PREFIX = "logevent_"
ATTR_EVENT_PREFIX = "evt_"
ATTR_TELEMETRY_PREFIX = "tel_"

# Order of the members in the schema of a topic and of a field. The revision
# code is a digest of the text, so the order matters.
SCHEMA_MEMBERS = ("type", "name", "namespace", "fields", "description")
FIELD_MEMBERS = ("name", "type", "default", "description", "units")


def make_attr_name(sal_name: str) -> str:
    """Return the name that a topic has in a controller, such as ``tel_azimuth``."""
    if sal_name.startswith(EVENT_PREFIX):
        return ATTR_EVENT_PREFIX + sal_name.removeprefix(EVENT_PREFIX)
    return ATTR_TELEMETRY_PREFIX + sal_name


@dataclass(frozen=True)
class TopicInfo:
    """One SAL topic of the component: a telemetry topic or an event; no two fields of the same name."""

    sal_name: str  #: SAL name: ``azimuth``, ``logevent_clockOffset``
    fields: tuple[FieldInfo, ...]  #: The topic's own fields in the order of the record
    description: str = ""  #: What the topic tells
    private_fields: tuple[FieldInfo, ...] = PRIVATE_FIELDS  #: The fields in front of the topic's own ones
    #: Element counts of the fields as the TMA sends them, by field name. An array is written with as many
    #: elements, whatever its own count.
    wire_counts: Mapping[str, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for info in self.private_fields + self.fields:
            if info.name in seen:
                raise ValueError(f"expected different fields in {self.sal_name!r}, got {info.name!r} twice")
            seen.add(info.name)

    @cached_property
    def attr_name(self) -> str:
        """Name of the topic's attribute of a controller: ``tel_azimuth``, ``evt_clockOffset``."""
        return make_attr_name(self.sal_name)

    @property
    def is_event(self) -> bool:
        """Whether this is an event, not telemetry."""
        return self.sal_name.startswith(EVENT_PREFIX)

    def kafka_topic(self, subname: str) -> str:
        """Return the name of the Kafka topic in a name space (``LSST_TOPIC_SUBNAME``)."""
        return f"lsst.{subname}.{COMPONENT}.{self.sal_name}"

    def subject(self, subname: str) -> str:
        """Return the schema registry subject in a name space (``LSST_TOPIC_SUBNAME``)."""
        return f"{self.kafka_topic(subname)}-value"

    def message_key(self) -> bytes:
        """Return the key of the topic's Kafka messages."""
        if self.is_event:
            return f'{{ "name": "{COMPONENT}", "topic": "{self.sal_name}" }}'.encode()
        return b""

    def avro_schema(self) -> dict[str, Any]:
        """Return the Avro schema, its members in the order that the revision code needs."""
        return {
            "type": "record",
            "name": self.sal_name,
            "namespace": f"lsst.sal.{COMPONENT}",
            "fields": [info.avro_schema() for info in self.private_fields + self.fields],
            "description": self.description,
        }

    @cached_property
    def rev_code(self) -> str:
        """Revision code of the schema, the value of ``private_revCode``."""
        return compute_rev_code(self.avro_schema())

    def record_fields(self) -> list[tuple[str, str, int, bool]]:
        """Return name, Avro type and element count of the topic's own fields, and whether it is an array.

        The counts are those of the values that are written; see ``wire_counts``.
        """
        return [
            (
                info.name,
                info.avro_type,
                self.wire_counts.get(info.name, info.count) if info.count > 1 else 1,
                info.count > 1,
            )
            for info in self.fields
        ]


def compute_rev_code(schema: Mapping[str, Any]) -> str:
    """Return the revision code of an Avro schema.

    That is the first 8 hexadecimal digits of the MD5 of the schema as JSON
    text with an indent of 4. A registry may return the members of a schema in
    another order than they were registered in, so they are put into SAL's
    order first.
    """
    ordered = _reorder(schema, SCHEMA_MEMBERS)
    ordered["fields"] = [_reorder(field, FIELD_MEMBERS) for field in schema["fields"]]
    text = json.dumps(ordered, indent=4)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8]


def have_same_substance(schema: Any, other: Any) -> bool:
    """Tell whether two Avro records are written alike, whatever their descriptions.

    That is: the same fields of the same types in the same order. What is no
    record is like nothing.
    """
    substance = _substance(schema)
    return substance is not None and substance == _substance(other)


def _reorder(members: Mapping[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    """Return the members in the given order; unknown ones follow as they come."""
    return {
        **{name: members[name] for name in order if name in members},
        **{name: value for name, value in members.items() if name not in order},
    }


def _substance(schema: Any) -> list[tuple[Any, Any]] | None:
    """Return the names and types of a record's fields, None if it is not a record."""
    try:
        return [(field["name"], _plain_type(field["type"])) for field in schema["fields"]]
    except (KeyError, TypeError, RecursionError):
        return None


def _plain_type(avro_type: Any) -> Any:
    """Reduce a type to what matters for the encoding: ``{"type": "int"}`` is ``"int"``."""
    if isinstance(avro_type, Mapping):
        if avro_type.get("type") == "array":
            return "array", _plain_type(avro_type.get("items"))
        return avro_type.get("type") if avro_type.keys() == {"type"} else dict(avro_type)
    return avro_type
