import datetime
import time

import pytest

from lsst.ts.mtmount.sal import TaiClock, tai_from_utc, tai_minus_utc_at
from lsst.ts.mtmount.sal.tai import PACKAGED_TABLE


def unix(year: int, month: int) -> float:
    return datetime.datetime(year, month, 1, tzinfo=datetime.UTC).timestamp()


def test_leap_seconds_are_at_half_years() -> None:
    assert [seconds for _, seconds in PACKAGED_TABLE.rows] == list(range(10, 38))
    for start, _ in PACKAGED_TABLE.rows:
        date = datetime.datetime.fromtimestamp(start, datetime.UTC)
        assert (date.month, date.day, date.hour, date.minute, date.second) in [
            (1, 1, 0, 0, 0),
            (7, 1, 0, 0, 0),
        ]


@pytest.mark.parametrize(
    ("utc", "expected"),
    [
        (unix(1972, 1), 10),
        (unix(1999, 1) - 1, 31),
        (unix(1999, 1), 32),
        (unix(2017, 1) - 0.001, 36),
        (unix(2017, 1), 37),
        (1732400000.5, 37),
    ],
)
def test_tai_from_utc(utc: float, expected: float) -> None:
    assert tai_minus_utc_at(utc) == expected
    assert tai_from_utc(utc) == utc + expected


def test_before_1972_there_is_no_answer() -> None:
    with pytest.raises(ValueError, match="from 1972 on, got UTC"):
        tai_from_utc(unix(1972, 1) - 1)


def set_clock_tai(monkeypatch: pytest.MonkeyPatch, offset: float) -> None:
    """Let the system's TAI clock be ahead of UTC by an offset [s]."""
    monkeypatch.setattr(time, "clock_gettime", lambda clock: time.time() + offset)


@pytest.mark.parametrize("offset", [0.0, 36.0, 38.0])
def test_wrong_clock_tai_is_not_used(monkeypatch: pytest.MonkeyPatch, offset: float) -> None:
    set_clock_tai(monkeypatch, offset)
    clock = TaiClock()
    assert not clock.use_clock_tai
    assert clock.tai_minus_utc == 37
    before = time.time()
    assert before + 37 <= clock.now() <= time.time() + 37


def test_right_clock_tai_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock_tai(monkeypatch, 37.01)
    clock = TaiClock()
    assert clock.use_clock_tai
    assert clock.tai_minus_utc == 37
    before = time.time()
    assert before + 37.01 <= clock.now() <= time.time() + 37.01
