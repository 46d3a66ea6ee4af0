import io
import json
import math
import struct
from typing import Any

import fastavro
import pytest

from lsst.ts.mtmount.sal.interface import load_packaged_interface
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP
from lsst.ts.mtmount.tools.load_test.oracle import TopicOracle, find_difference

from ...core.topics import golden_records
from .topics import make_frame, make_record, make_topic


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
    assert len(vectors) == len(RAW_TELEMETRY_MAP)
    for vector in vectors:
        name, wire_fields = RAW_TELEMETRY_MAP[vector["topic_id"]]
        topic = interface.topics[f"tel_{name}"]
        expected = TopicOracle(topic.fields, wire_fields).make_record(json.loads(vector["line"]))
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
