"""Lists of leap seconds that are newer, negative, expired, damaged, or not there."""

import asyncio
import logging
import threading
import time
from pathlib import Path

import pytest

from lsst.ts.mtmount.recording import times
from lsst.ts.mtmount.sal import tai
from lsst.ts.mtmount.sal.leap_seconds import NTP_EPOCH, LeapSecondTable, load_newest_table
from lsst.ts.mtmount.sal.tai import PACKAGED_TABLE, NewestTable, TaiClock, tai_minus_utc_at

LEAP_SECONDS = PACKAGED_TABLE.rows
PACKAGED = LeapSecondTable(LEAP_SECONDS, 2_000_000_000, "packaged")
NEXT = 2_019_686_400  # 2034-01-01
NOW = 1_900_000_000.0


def write_ntp(folder: Path, rows: tuple[tuple[int, int], ...], expires: int) -> None:
    lines = [f"#@ {expires + NTP_EPOCH}", *(f"{start + NTP_EPOCH} {seconds} # x" for start, seconds in rows)]
    (folder / "leap-seconds.list").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("seconds", [38, 36])
def test_a_newer_list_counts(tmp_path: Path, seconds: int, caplog: pytest.LogCaptureFixture) -> None:
    write_ntp(tmp_path, (*LEAP_SECONDS, (NEXT, seconds)), 2_100_000_000)
    table = load_newest_table(PACKAGED, [tmp_path], NOW)
    assert tai_minus_utc_at(NEXT - 1, table) == 37
    assert tai_minus_utc_at(NEXT, table) == seconds
    assert not caplog.records


@pytest.mark.parametrize(("sign", "seconds"), [("+", 38), ("-", 36)])
def test_the_form_of_the_time_zone_database(tmp_path: Path, sign: str, seconds: int) -> None:
    days = [time.gmtime(start - 86400) for start, _ in (*LEAP_SECONDS[1:], (NEXT, 0))]
    lines = [time.strftime("Leap\t%Y\t%b\t%d\t23:59:60\t+\tS", day) for day in days]
    lines[-1] = lines[-1].replace("+", sign)
    (tmp_path / "leapseconds").write_text("\n".join([*lines, "#expires 2100000000 (a date)"]))
    table = load_newest_table(PACKAGED, [tmp_path], NOW)
    assert table.rows == (*LEAP_SECONDS, (NEXT, seconds))


def test_an_older_list_does_not_count(tmp_path: Path) -> None:
    write_ntp(tmp_path, LEAP_SECONDS[:-1], 1_483_000_000)
    assert load_newest_table(PACKAGED, [tmp_path, tmp_path / "none"], NOW) is PACKAGED


def test_a_list_that_was_cut_does_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_ntp(tmp_path, LEAP_SECONDS[:-3], 2_100_000_000)
    (tmp_path / "leapseconds").write_text("#expires 2100000000 (a date)\n")
    assert load_newest_table(PACKAGED, [tmp_path], NOW) is PACKAGED
    assert caplog.text.count("values of the packaged table first, got others") == 2


@pytest.mark.parametrize(
    "text", ["", "#@ 9999999999\n", "#@ 9999999999\n2272060800 10\n2287785600 12\n", "\xff"]
)
def test_a_damaged_list_is_told(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "leap-seconds.list"
    path.write_bytes(text.encode("latin-1"))
    assert load_newest_table(PACKAGED, [tmp_path], NOW) is PACKAGED
    assert f"{path}: not used as a table of leap seconds" in caplog.text


def test_expired_tables_are_told(caplog: pytest.LogCaptureFixture) -> None:
    load_newest_table(PACKAGED, [], 2_000_000_001.0)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "(packaged) expired on 2033-05-18" in record.getMessage()


def test_the_clock_follows_the_newest_table(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = LeapSecondTable((*LEAP_SECONDS, (1_500_000_000, 38)), 2_100_000_000, "newer")
    monkeypatch.setattr(tai, "load_newest_table", lambda packaged: newer)
    monkeypatch.setattr(tai, "LEAP_SECOND_TABLE", NewestTable())
    assert tai.LEAP_SECOND_TABLE.load() is newer
    clock = TaiClock()
    assert clock.tai_minus_utc == 38
    assert not clock.use_clock_tai or clock.now() - time.time() > 37.5
    # Recordings, too.
    monkeypatch.setattr(times, "LEAP_SECOND_TABLE", tai.LEAP_SECOND_TABLE)
    assert times.utc_ns_from_tai(1_600_000_038.0) == 1_600_000_000 * 10**9


async def test_a_file_system_that_hangs_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    newer = LeapSecondTable((*LEAP_SECONDS, (1_500_000_000, 38)), 2_100_000_000, "newer")
    may_end = threading.Event()
    monkeypatch.setattr(tai, "load_newest_table", lambda packaged: may_end.wait(60) and newer)
    monkeypatch.setattr(tai, "LEAP_SECOND_TABLE", table := NewestTable())
    monkeypatch.setattr(tai, "LOAD_TIMEOUT", 0.05)
    clock = TaiClock()
    await table.load_in_thread()
    assert "No list of leap seconds was read within 0.05 s; the packaged one counts" in caplog.text
    assert clock.tai_minus_utc == 37
    may_end.set()
    await asyncio.to_thread(table.load)
    clock.refresh()
    assert clock.tai_minus_utc == 38


def test_lists_are_looked_for_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    num_looks = 0

    def look(packaged: LeapSecondTable) -> LeapSecondTable:
        nonlocal num_looks
        num_looks += 1
        return packaged

    monkeypatch.setattr(tai, "load_newest_table", look)
    table = NewestTable()
    for _ in range(3):
        assert table.get() is table.load()
    assert num_looks == 1
    table._due -= tai.RELOAD_INTERVAL
    table.load()
    assert num_looks == 2
