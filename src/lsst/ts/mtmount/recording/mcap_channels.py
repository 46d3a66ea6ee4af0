"""The channels of a recording: one for each topic of the TMA, others for what belongs to none."""

import json
from functools import cache
from typing import Any

from ..sal.interface import Interface, load_packaged_interface
from ..sal.interface_fitting import fit_tma_to_sal
from ..tma_interface import TmaInterface, TmaTopic

__all__ = [
    "OVER_LONG",
    "TOPIC_PREFIX",
    "UNDECODABLE",
    "UNFINISHED",
    "UNKNOWN_TOPIC",
    "fit_to_packaged_sal",
    "make_topic_schema",
]

#: In front of a SAL topic's name.
TOPIC_PREFIX = "tma/"

#: Frames with a topic ID that is not one of the TMA's, as received.
UNKNOWN_TOPIC = "tma_other/unknown_topic"
#: Frames that are not a JSON object with a topic ID, as received.
UNDECODABLE = "tma_other/undecodable"
#: Frames over the limit: a JSON object with their length and, in base64, their first bytes.
OVER_LONG = "tma_other/over_long"
#: Beginnings of frames that the TMA did not complete, as received.
UNFINISHED = "tma_other/unfinished"

#: SAL type: type of a member in JSON schema, if it is not "number".
JSON_TYPES = {"boolean": "boolean"} | dict.fromkeys(
    ("byte", "short", "int", "long", "long long", "unsigned short", "unsigned int"), "integer"
)


def fit_to_packaged_sal(tma_interface: TmaInterface) -> TmaInterface:
    """Return a TMA's interface, its members in the fields, and of the types, that the packaged SAL has."""
    return fit_tma_to_sal(tma_interface, _load_sal().topics.values())


def make_topic_schema(topic: TmaTopic) -> bytes:
    """Make the JSON schema of a topic's frames, with the units of all members."""
    info = _load_sal().topics.get(f"tel_{topic.sal_topic}")
    fields = {} if info is None else {field.name: field for field in info.fields}
    properties: dict[str, dict[str, Any]] = {"topicID": {"type": "integer", "const": topic.topic_id}}
    for member in topic.members:
        field = fields.get(member.field)
        unit = (field.units if field else member.unit) or "unitless"
        properties[member.name] = {
            "type": JSON_TYPES.get(member.sal_type or "double", "number"),
            "description": f"{field.description if field else ''} [{unit}]".strip(),
            "unit": unit,
        }
    schema = {
        "title": topic.sal_topic,
        "description": "" if info is None else info.description,
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }
    return json.dumps(schema).encode()


@cache
def _load_sal() -> Interface:
    return load_packaged_interface()
