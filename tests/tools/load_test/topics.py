"""A small topic, its frames, and its records."""

from typing import Any

from lsst.ts.mtmount.sal.fields import FieldInfo
from lsst.ts.mtmount.tools.load_test.oracle import TopicOracle

#: Fields of the interface; the TMA does not send the last two.
FIELDS = (
    FieldInfo("angle", "double", 1, "deg"),
    FieldInfo("current", "float", 3, "A"),
    FieldInfo("currentTimestamp", "double", 3, "second"),
    FieldInfo("isOpen", "boolean", 1, "unitless"),
    FieldInfo("marks", "long long", 1, "unitless"),
    FieldInfo("timestamp", "double", 1, "second"),
    FieldInfo("unsent", "int", 2, "unitless"),
    FieldInfo("note", "string", 1, "unitless"),
)
SENT_FIELDS = {
    "angle": ["angle"],
    "current": ["current1", "current2", "current3"],
    "currentTimestamp": ["current1Timestamp", "current2Timestamp", "current3Timestamp"],
    "isOpen": ["isOpen"],
    "marks": ["marks"],
    "timestamp": ["timestamp"],
}


def make_topic() -> TopicOracle:
    return TopicOracle(FIELDS, SENT_FIELDS)


def make_frame(number: int) -> dict[str, Any]:
    stamp = 1_800_000_000.25 + number
    return {
        "topicID": 1,
        "angle": number / 7,
        **{f"current{index}": number + index / 10 for index in (1, 2, 3)},
        **{f"current{index}Timestamp": stamp - index / 1000 for index in (1, 2, 3)},
        "isOpen": number % 2,
        "marks": 10**12 + number,
        "timestamp": stamp,
        "unknown": {"ignored": [1, 2]},
    }


def make_record(number: int) -> dict[str, Any]:
    """Make the record of a frame, its private fields included, as fastavro decodes it."""
    return make_topic().make_record(make_frame(number)) | {"private_seqNum": number + 1}
