from typing import Any

import pytest

from lsst.ts.mtmount.tools.load_test.record_matcher import RecordMatcher

from .topics import make_frame, make_record, make_topic


def match_all(frames: list[dict[str, Any]], records: list[dict[str, Any]]) -> tuple[RecordMatcher, list[str]]:
    """Match records with frames; return the problems with the numbers of their records."""
    matcher = RecordMatcher(make_topic())
    for frame in frames:
        matcher.expect(frame)
    problems = []
    for number, record in enumerate(records):
        if (problem := matcher.match(record)) is not None:
            problems.append(f"{number}: {problem}")
    return matcher, problems


FRAMES = [make_frame(number) for number in range(10)]
RECORDS = [make_record(number) for number in range(10)]


def count(matcher: RecordMatcher) -> dict[str, int]:
    return {
        "wrong": matcher.num_wrong,
        "repeated": matcher.num_repeated,
        "lost": matcher.num_lost,
        "waiting": matcher.num_waiting,
    }


def test_all_right() -> None:
    matcher, problems = match_all(FRAMES, RECORDS)
    assert problems == []
    assert count(matcher) == {"wrong": 0, "repeated": 0, "lost": 0, "waiting": 0}


def test_lost_records() -> None:
    matcher, problems = match_all(FRAMES, RECORDS[:3] + RECORDS[5:])
    assert problems == ["3: comes after 2 frames that have no record"]
    assert count(matcher) == {"wrong": 0, "repeated": 0, "lost": 2, "waiting": 0}


def test_lost_at_the_end() -> None:
    matcher, problems = match_all(FRAMES, RECORDS[:8])
    assert problems == []
    assert count(matcher) == {"wrong": 0, "repeated": 0, "lost": 0, "waiting": 2}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"angle": 0.125}, "4: angle is 0.125 instead of 0.571428"),
        ({"isOpen": True}, "4: isOpen is True instead of False"),
        ({"timestamp": 1.5}, "4: timestamp is 1.5 instead of 1800000004.25"),
        ({"timestamp": 1_800_000_004.250001}, "4: timestamp is 1800000004.250001 instead of 1800000004.25"),
    ],
)
def test_altered_record(change: dict[str, Any], problem: str) -> None:
    records = [*RECORDS[:4], RECORDS[4] | change, *RECORDS[5:]]
    matcher, problems = match_all(FRAMES, records)
    (found,) = problems
    assert found.startswith(problem)
    assert count(matcher) == {"wrong": 1, "repeated": 0, "lost": 0, "waiting": 0}


def test_altered_record_after_a_lost_one() -> None:
    records = [*RECORDS[:4], RECORDS[5] | {"angle": 0.125}, *RECORDS[6:]]
    matcher, problems = match_all(FRAMES, records)
    assert len(problems) == 1
    assert count(matcher) == {"wrong": 1, "repeated": 0, "lost": 1, "waiting": 0}


@pytest.mark.parametrize("place", [4, 9])
def test_repeated_record(place: int) -> None:
    records = [*RECORDS[: place + 1], RECORDS[place], *RECORDS[place + 1 :]]
    matcher, problems = match_all(FRAMES, records)
    assert problems == [f"{place + 1}: is there twice"]
    assert count(matcher) == {"wrong": 0, "repeated": 1, "lost": 0, "waiting": 0}


def test_invented_record() -> None:
    matcher, problems = match_all(FRAMES, [*RECORDS, make_record(99)])
    assert problems == ["10: has no frame"]
    assert count(matcher) == {"wrong": 1, "repeated": 0, "lost": 0, "waiting": 0}


def test_swapped_records() -> None:
    records = [*RECORDS[:4], RECORDS[5], RECORDS[4], *RECORDS[6:]]
    matcher, problems = match_all(FRAMES, records)
    assert len(problems) >= 2
    assert matcher.num_lost + matcher.num_wrong >= 2


def test_frames_that_were_sent_at_once() -> None:
    """Their time stamps are equal; then the other values tell which is which."""
    frames = [frame | {"timestamp": 1_800_000_000.5} for frame in FRAMES]
    records = [record | {"timestamp": 1_800_000_000.5} for record in RECORDS]
    matcher, problems = match_all(frames, records)
    assert (problems, matcher.num_waiting) == ([], 0)
    matcher, problems = match_all(frames, records[:3] + records[4:])
    assert problems == ["3: comes after 1 frames that have no record"]
    assert count(matcher) == {"wrong": 0, "repeated": 0, "lost": 1, "waiting": 0}
