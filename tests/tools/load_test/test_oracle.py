import io
import json
import math
import struct
from typing import Any

import fastavro
import pytest

from lsst.ts.mtmount.sal.interface import load_packaged_interface
from lsst.ts.mtmount.tma_interface import load_packaged_tma_interface
from lsst.ts.mtmount.tools.load_test.oracle import (
    InvalidFrameError,
    TopicOracle,
    decode_frame,
    find_difference,
)

from ...core.topics import golden_records
from .topics import FIELDS, make_frame, make_record, make_topic


def test_record_of_a_frame() -> None:
    def as_float(value: float) -> float:
        return struct.unpack("f", struct.pack("f", value))[0]  # type: ignore[no-any-return]

    assert make_topic().make_record(make_frame(3)) == {
        "angle": 3 / 7,
        "current": [as_float(3.1), as_float(3.2), as_float(3.3)],
        "currentTimestamp": [1_800_000_003.25 - index / 1000 for index in (1, 2, 3)],
        "isOpen": True,
        "marks": 10**12 + 3,
        "timestamp": 1_800_000_003.25,
        "unsent": [0, 0],
        "note": "",
    }


@pytest.mark.parametrize("case", ["six", "full"])
def test_golden_records(case: str) -> None:
    """What this works out is what the golden vectors print_line, so that it may verifier the client."""
    interface = load_packaged_interface()
    vectors = [vector for vector in golden_records() if vector["case"] == case]
    sent = load_packaged_tma_interface().by_id
    assert len(vectors) == len(sent)
    for vector in vectors:
        tma_topic = sent[vector["topic_id"]]
        topic = interface.topics[f"tel_{tma_topic.sal_topic}"]
        expected = TopicOracle(topic.fields, tma_topic.field_members).make_record(json.loads(vector["line"]))
        golden = io.BytesIO(bytes.fromhex(vector["avro_hex"]))
        record = fastavro.schemaless_reader(golden, fastavro.parse_schema(topic.avro_schema()), None)
        assert isinstance(record, dict)
        assert find_difference(expected, record) is None


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({}, None),
        ({"angle": 0.3}, "angle is 0.3 instead of"),
        ({"current": [3.1, 3.2, 3.3]}, "current is [3.1"),
        ({"isOpen": False}, "isOpen is False instead of True"),
        ({"unsent": [0, 1]}, "unsent is [0, 1] instead of [0, 0]"),
        ({"unsent": [0]}, "unsent is [0] instead of"),
        ({"more": 1}, "also has more"),
        ({"private_seqNum": 77}, None),
    ],
)
def test_differences(changes: dict[str, Any], difference: str | None) -> None:
    found = find_difference(make_topic().make_record(make_frame(3)), make_record(3) | changes)
    if difference is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(difference)


def test_field_that_is_missing() -> None:
    record = make_record(3)
    del record["marks"]
    assert find_difference(make_topic().make_record(make_frame(3)), record) == "lacks marks"


def test_nan_is_nan() -> None:
    frame = make_frame(1) | {"angle": math.nan, "current2": math.nan}
    expected = make_topic().make_record(frame)
    record = make_topic().make_record(frame)
    # As after another decoding: not the very same object.
    record |= {"angle": float("nan"), "current": [record["current"][0], float("nan"), record["current"][2]]}
    assert find_difference(expected, record) is None
    assert find_difference(expected, record | {"angle": 0.0}) == "angle is 0.0 instead of nan"
    assert find_difference(make_topic().make_record(make_frame(1)), record) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"angle": "1.5"},
        {"angle": [1.5]},
        {"angle": 10**400},
        {"current2": None},
        {"current2": 1e300},
        {"marks": math.nan},
        {"marks": 2**63},
        {"timestamp": {}},
    ],
)
def test_frames_that_no_record_can_be_made_of(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidFrameError):
        make_topic().make_record(make_frame(1) | changes)
    frame = make_frame(1)
    del frame["current3"]
    with pytest.raises(InvalidFrameError):
        make_topic().make_record(frame)


def test_a_scalar_null_keeps_the_value_of_the_last_record() -> None:
    topic = make_topic()
    assert topic.make_record(make_frame(3) | {"angle": None})["angle"] == 0.0
    topic.make_record(make_frame(4))
    with pytest.raises(InvalidFrameError):
        topic.make_record(make_frame(5) | {"current1": "x"})
    assert topic.make_record(make_frame(6) | {"angle": None})["angle"] == make_frame(4)["angle"]


def test_fields_that_sal_cannot_take_stay_zero() -> None:
    sent = {"angle": ["angle1", "angle2"], "note": ["note"], "current": ["current"]}
    frame = {"angle1": 1, "angle2": 2, "note": 3, "current": 4}
    record = TopicOracle(FIELDS, sent).make_record(frame)
    assert (record["angle"], record["note"], record["current"]) == (0.0, "", [4.0])


@pytest.mark.parametrize(
    ("frame", "topic_id"),
    [
        (b'{"topicID": 6.0}', 6),
        (b'{"topicID": 1, "topicID": 5}', 5),
        (b"[1]", None),
        (b"", None),
        (b"\xff", None),
        (b"{}", None),
        (b'{"topicID": true}', None),
        (b'{"topicID": 6.5}', None),
        (b'{"topicID": NaN}', None),
        (b'{"topicID": Infinity}', None),
        (b'{"topicID": "6"}', None),
        (b"[" * 100_000, None),
    ],
)
def test_topic_id(frame: bytes, topic_id: int | None) -> None:
    if topic_id is None:
        with pytest.raises(InvalidFrameError):
            decode_frame(frame)
    else:
        assert decode_frame(frame)[0] == topic_id
