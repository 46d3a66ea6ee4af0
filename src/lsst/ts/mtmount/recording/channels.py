"""The channels of a recording: one for each topic of the TMA, others for what belongs to none."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from ..core import member_names
from ..sal.interface import Interface, load_packaged_interface
from ..telemetry_map import RAW_TELEMETRY_MAP

__all__ = [
    "OVER_LONG",
    "TOPIC_PREFIX",
    "UNDECODABLE",
    "UNFINISHED",
    "UNKNOWN_TOPIC",
    "make_topic_schema",
]

#: In front of a SAL topic's name.
TOPIC_PREFIX = "tma/"

#: Frames with a topic ID that is none of the TMA's, as received.
UNKNOWN_TOPIC = "tma_other/unknown_topic"
#: Frames that are no JSON object with a topic ID, as received.
UNDECODABLE = "tma_other/undecodable"
#: Frames over the limit: a JSON object with their length and, in base64, their first bytes.
OVER_LONG = "tma_other/over_long"
#: Beginnings of frames that the TMA did not complete, as received.
UNFINISHED = "tma_other/unfinished"

#: SAL type: type of a member in JSON schema.
JSON_TYPES = {"boolean": "boolean", "long long": "integer", "long": "integer", "int": "integer"}


def make_topic_schema(topic_id: int) -> bytes:
    """Make the JSON schema of a topic's frames, with the units of all members."""
    sal_topic, counts = RAW_TELEMETRY_MAP[topic_id]
    info = _load_interface().topics[f"tel_{sal_topic}"]
    fields = {field.name: field for field in info.fields}
    properties: dict[str, dict[str, Any]] = {"topicID": {"type": "integer", "const": topic_id}}
    for name, count in counts.items():
        field = fields[name]
        for member in member_names(name, count):
            properties[member] = {
                "type": JSON_TYPES.get(field.sal_type, "number"),
                "description": f"{field.description} [{field.units}]".strip(),
                "unit": field.units,
            }
    schema = {
        "title": sal_topic,
        "description": info.description,
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }
    return json.dumps(schema).encode()


@cache
def _load_interface() -> Interface:
    return load_packaged_interface()
