import json
from typing import Any

import pytest

from lsst.ts.mtmount.sal.interface import load_packaged_interface
from lsst.ts.mtmount.tools.load_test.private_field_checks import PrivateFieldChecks, compute_rev_code

START = 1_800_000_000.0
TAI_MINUS_UTC = 37.0


def make_private(number: int, **changes: Any) -> dict[str, Any]:
    utc = START + number
    return {
        "private_sndStamp": utc + TAI_MINUS_UTC,
        "private_rcvStamp": 0.0,
        "private_efdStamp": utc,
        "private_kafkaStamp": utc + TAI_MINUS_UTC,
        "private_seqNum": number,
        "private_revCode": "0123abcd",
        "private_identity": "MTMount",
        "private_origin": 1234,
    } | {f"private_{name}": value for name, value in changes.items()}


def check(records: list[dict[str, Any]]) -> tuple[PrivateFieldChecks, list[str]]:
    fields = PrivateFieldChecks(START)
    problems = [fields.check(record, "0123abcd", START + 100) for record in records]
    return fields, [problem for problem in problems if problem is not None]


def test_all_right() -> None:
    fields, problems = check([make_private(number) for number in (1, 2, 3)])
    assert problems == []
    assert (fields.num_out_of_sequence, fields.num_wrong, fields.origins) == (0, 0, {1234})


@pytest.mark.parametrize(
    ("numbers", "num_out_of_sequence"),
    [([2, 3], 1), ([1, 3, 4], 1), ([1, 1, 2], 1), ([1, 3, 2, 4], 3), ([0, 1], 1)],
)
def test_sequence(numbers: list[int], num_out_of_sequence: int) -> None:
    fields, problems = check([make_private(number) for number in numbers])
    assert fields.num_out_of_sequence == len(problems) == num_out_of_sequence
    assert all(problem.startswith("private_seqNum is ") for problem in problems)


def test_sequence_begins_anew_after_the_largest_number() -> None:
    fields = PrivateFieldChecks(START)
    fields.check(make_private(1), "0123abcd", START + 100)
    fields._last_seq_num = 2**31 - 2
    assert fields.check(make_private(50, seqNum=2**31 - 1), "0123abcd", START + 100) is None
    assert fields.check(make_private(51, seqNum=1), "0123abcd", START + 100) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"identity": "ATMCS"}, "private_identity is 'ATMCS'"),
        ({"revCode": "ffffffff"}, "private_revCode is 'ffffffff'"),
        ({"rcvStamp": 1.0}, "private_rcvStamp is 1.0"),
        ({"efdStamp": START - 1}, "private_efdStamp is"),
        ({"efdStamp": START + 101}, "private_efdStamp is"),
        ({"sndStamp": START + 1}, "private_sndStamp is"),
        ({"kafkaStamp": START + 1}, "private_kafkaStamp is"),
    ],
)
def test_wrong_fields(changes: dict[str, Any], problem: str) -> None:
    fields, problems = check([make_private(1, **changes), make_private(2)])
    (found,) = problems
    assert found.startswith(problem)
    assert (fields.num_wrong, fields.num_out_of_sequence) == (1, 0)


def test_rev_code_does_not_depend_on_the_registry() -> None:
    """A registry may return the members of a schema in any order, on one line."""
    topic = load_packaged_interface().topics["tel_azimuth"]
    schema = topic.avro_schema()
    for text in (json.dumps(schema), json.dumps(schema, indent=2), json.dumps(schema, sort_keys=True)):
        assert compute_rev_code(text) == topic.rev_code
