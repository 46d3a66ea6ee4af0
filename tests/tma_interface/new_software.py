"""The TMA's software of tomorrow, and a SAL interface that nearly has what it sends."""

import json
from pathlib import Path

from lsst.ts.mtmount.sal import FieldInfo
from lsst.ts.mtmount.tma_interface import TmaInterface, TmaMember, TmaTopic, load_packaged_tma_interface
from lsst.ts.mtmount.tma_interface.description import NUMBER_TYPES

from ..sal.interface_files import packaged_fields
from .configuration import Variable, format_configuration, list_variables

__all__ = [
    "CHANGES",
    "TOPICS",
    "make_frames",
    "make_interface_of_all_types",
    "make_new_sal",
    "write_new_file",
]

#: Name of each topic: topic ID, period [50 ms], and its section.
TOPICS = {
    "azimuth": (6, 1, "Azimuth"),
    "elevation": (15, 1, "Elevation"),
    "azimuthDrives": (5, 1, "AzimuthDrives"),
    "encoderHeads": (28, 2, "Encoder Heads"),
    "unknownToSal": (29, 2, "Unknown To Sal"),
}

#: What is new in each, for people.
CHANGES = {
    "azimuth": "without `actualTorque`",
    "elevation": "also with `windLoad`",
    "azimuthDrives": "18 elements of `current`, not 16",
    "encoderHeads": "new, SAL has it",
    "unknownToSal": "new, SAL lacks it",
}


def write_new_file(path: Path) -> Path:
    """Write a new topic, a field gone, a field added, an array grown; and a topic that SAL does not have."""
    packaged = load_packaged_tma_interface().by_name
    variables = {
        "azimuth": [v for v in list_variables(packaged["azimuth"]) if v.name != "actualTorque"],
        "elevation": [*list_variables(packaged["elevation"]), Variable("windLoad")],
        "azimuthDrives": [Variable(f"current{number}") for number in range(1, 19)],
        "encoderHeads": [Variable("headAZ1", "Int64 Array"), Variable("headAZ2", "Int64 Array")],
        "unknownToSal": [Variable("anything")],
    }
    path.write_bytes(
        format_configuration(
            {
                section: (topic_id, period, variables[name])
                for name, (topic_id, period, section) in TOPICS.items()
            }
        )
    )
    return path


def make_interface_of_all_types() -> TmaInterface:
    """Return three topics with members of every type, by period [ms]."""
    members = tuple(
        TmaMember(name, name, 0, sal_type, unit)
        for sal_type in sorted(NUMBER_TYPES)
        for base in [f"a_{sal_type.replace(' ', '_')}"]
        for name, sal_type, unit in ((base, sal_type, "furlong"), (f"{base}Timestamp", "double", "s"))
    )
    stamp = TmaMember("timestamp", "timestamp", 0, "double", "s")
    return TmaInterface(
        tuple(
            TmaTopic(topic_id, f"topic{topic_id}", period_ms, (*members, stamp))
            for topic_id, period_ms in ((1, 50), (200, 150), (2**31 - 1, 1000))
        )
    )


def make_frames(interface: TmaInterface) -> dict[str, tuple[bytes, dict[str, float]]]:
    """Return a frame of each topic, and its members: whole numbers from 1 on."""
    frames = {}
    for topic in interface.topics:
        members = {
            member.name: index if member.sal_type == "long long" else float(index)
            for index, member in enumerate(topic.members, 1)
        }
        frames[topic.sal_topic] = json.dumps({"topicID": topic.topic_id, **members}).encode(), members
    return frames


def make_new_sal() -> dict[str, list[FieldInfo]]:
    """Return the fields of SAL's topics, which already have what is new, but for one topic."""
    topics = packaged_fields()
    topics["elevation"] += [FieldInfo("windLoad", "double"), FieldInfo("windLoadTimestamp", "double")]
    topics["encoderHeads"] = [
        FieldInfo("headAZ", "long long", 2),
        FieldInfo("headAZTimestamp", "double", 2),
        FieldInfo("timestamp", "double"),
    ]
    return topics
