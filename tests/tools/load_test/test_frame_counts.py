from typing import Any

import pytest

from lsst.ts.mtmount.tools.load_test.frame_counts import FrameCounts
from lsst.ts.mtmount.tools.load_test.verifier_result import TopicVerifierResult, VerifierResult

SENT = {"azimuth": 100, "elevation": 50}


def make_counters(**changes: Any) -> dict[str, Any]:
    return {
        "frames": 150,
        "published": 150,
        "acknowledged": 150,
        "failed": 0,
        "in_flight": 0,
        "dropped": {},
        "total_dropped": 0,
        "unsupported": 0,
        "handled": 0,
        "pending": False,
    } | changes


def make_account(
    *,
    written: dict[str, int] = SENT,
    decoded: dict[str, int] | None = None,
    counters: dict[str, Any] | None = None,
    azimuth: dict[str, int] | None = None,
) -> FrameCounts:
    decoded = written if decoded is None else decoded
    topics = {name: TopicVerifierResult(decoded=count) for name, count in decoded.items()}
    for name, value in (azimuth or {}).items():
        setattr(topics["azimuth"], name, value)
    return FrameCounts(
        SENT, written, VerifierResult(topics), make_counters() if counters is None else counters
    )


def test_closes() -> None:
    account = make_account()
    assert account.find_discrepancies() == []
    assert (account.total_sent, account.total_written, account.lost, account.dropped) == (150, 150, 0, 0)
    assert account.is_read_whole
    assert account.wrong == 0


def test_closes_without_counters() -> None:
    account = FrameCounts(
        SENT,
        SENT,
        VerifierResult({name: TopicVerifierResult(decoded=count) for name, count in SENT.items()}),
        None,
    )
    assert account.find_discrepancies() == []


def test_closes_where_one_topic_was_read() -> None:
    account = make_account(decoded={"azimuth": 100})
    assert account.find_discrepancies() == []
    assert not account.is_read_whole


def test_lost_in_the_client() -> None:
    """The client says that it published what the broker does not have."""
    account = make_account(written={"azimuth": 99, "elevation": 50})
    assert account.lost == 1
    assert (account.topics["azimuth"].lost, account.topics["elevation"].lost) == (1, 0)
    assert account.find_discrepancies() == [
        "the client has 150 acknowledgements, the broker got 149 records",
        "1 frames were lost",
        "azimuth: 100 frames were sent, the broker got 99 records",
    ]


def test_lost_before_the_client() -> None:
    counters = make_counters(frames=149, published=149, acknowledged=149)
    account = make_account(written={"azimuth": 99, "elevation": 50}, counters=counters)
    assert account.lost == 1
    assert account.find_discrepancies()[0] == "150 frames were sent, the client read 149"


def test_lost_without_counters() -> None:
    written = {"azimuth": 98, "elevation": 50}
    read_back = VerifierResult({name: TopicVerifierResult(decoded=count) for name, count in written.items()})
    account = FrameCounts(SENT, written, read_back, None)
    assert account.lost == 2
    assert "2 frames were lost" in account.find_discrepancies()


def test_dropped_is_not_lost_but_told() -> None:
    counters = make_counters(published=148, acknowledged=148, total_dropped=2, dropped={"bad value": 2})
    account = make_account(written={"azimuth": 98, "elevation": 50}, counters=counters)
    assert (account.lost, account.dropped) == (0, 2)
    assert (account.topics["azimuth"].dropped, account.topics["azimuth"].lost) == (2, 0)
    assert (account.topics["elevation"].dropped, account.topics["elevation"].lost) == (0, 0)
    assert "the client dropped 2 frames (bad value: 2)" in account.find_discrepancies()


def test_dropped_and_lost() -> None:
    """Which of the missing frames were dropped cannot be told: none passes for dropped."""
    counters = make_counters(frames=149, published=147, acknowledged=147, total_dropped=2, dropped={"x": 2})
    account = make_account(written={"azimuth": 98, "elevation": 49}, counters=counters)
    assert account.lost == 1
    assert [topic.dropped for topic in account.topics.values()] == [0, 0]
    assert [topic.lost for topic in account.topics.values()] == [2, 1]


def test_repeated() -> None:
    counters = make_counters(published=151, acknowledged=151)
    account = make_account(written={"azimuth": 101, "elevation": 50}, counters=counters)
    assert account.lost == 0
    assert account.find_discrepancies() == [
        "the client read 150 frames, but accounts for 151",
        "azimuth: 100 frames were sent, the broker got 101 records",
    ]


def test_one_lost_and_one_repeated_do_not_cancel_out() -> None:
    account = make_account(azimuth={"lost": 1, "repeated": 1})
    assert account.lost == 1
    assert account.wrong == 1
    assert account.find_discrepancies() == [
        "1 frames were lost",
        "1 records came twice",
        "1 frames have no record",
    ]


@pytest.mark.parametrize(
    ("changes", "discrepancy"),
    [
        ({"frames": 151}, "150 frames were sent, the client read 151"),
        ({"published": 149}, "the client read 150 frames, but accounts for 149"),
        (
            {"acknowledged": 149, "in_flight": 1},
            "the client published 150 records; 149 were acknowledged, 0 failed, 1 were left in flight",
        ),
        (
            {"acknowledged": 149, "failed": 1},
            "the client published 150 records; 149 were acknowledged, 1 failed, 0 were left in flight",
        ),
        ({"unsupported": 3}, "3 frames are unsupported"),
        ({"handled": 3}, "3 frames are handled"),
        ({"pending": True}, "1 frames are pending"),
    ],
)
def test_counters_that_do_not_add_up(changes: dict[str, Any], discrepancy: str) -> None:
    assert discrepancy in make_account(counters=make_counters(**changes)).find_discrepancies()


@pytest.mark.parametrize(
    ("azimuth", "discrepancy"),
    [
        ({"decoded": 99}, "azimuth: the broker got 100 records, 99 were decoded"),
        (
            {"decoded": 95, "missed": 5},
            "azimuth: 5 records were gone before they could be read back: "
            "the reader was too slow for what the broker keeps",
        ),
        ({"out_of_sequence": 2}, "2 records are out of sequence"),
        ({"wrong": 2}, "2 records are wrong"),
        ({"repeated": 2}, "2 records came twice"),
    ],
)
def test_what_was_read_back_is_not_right(azimuth: dict[str, int], discrepancy: str) -> None:
    assert make_account(azimuth=azimuth).find_discrepancies() == [discrepancy]


def test_reading_failed() -> None:
    account = make_account()
    account.read_back.failure = "3 records were not to be had"
    assert account.find_discrepancies() == ["not everything was read back: 3 records were not to be had"]


def make_mixed_account(**changes: int) -> FrameCounts:
    counters = make_counters(frames=165, unsupported=10, dropped={"no JSON": 5}, total_dropped=5) | changes
    topics = {name: TopicVerifierResult(decoded=count) for name, count in SENT.items()}
    return FrameCounts(SENT, SENT, VerifierResult(topics), counters, unsupported={"new": 10}, invalid=5)


def test_frames_that_must_not_be_published_are_no_discrepancy() -> None:
    account = make_mixed_account()
    assert account.find_discrepancies() == []
    assert (account.total_sent, account.total_unsupported, account.lost) == (165, 10, 0)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"unsupported": 9}, "9 frames are unsupported, of 10 sent"),
        ({"total_dropped": 6}, "the client dropped 6 frames (no JSON: 5); 5 cannot be published"),
        ({"total_dropped": 0}, "the client dropped 0 frames"),
    ],
)
def test_frames_that_must_not_be_published_must_be_counted(changes: dict[str, int], problem: str) -> None:
    assert any(problem in line for line in make_mixed_account(**changes).find_discrepancies())
