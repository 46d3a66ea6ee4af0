"""The newest table of leap seconds at hand: the packaged one, or one of the system's."""

import calendar
import functools
import importlib.util
import logging
import re
import time
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..resilience.guarded_log import guard_logger

__all__ = ["LOG", "LeapSecondTable", "load_newest_table", "parse_ntp_list"]

LOG = guard_logger(logging.getLogger("MTMount").getChild("LeapSeconds"))

#: NTP counts seconds from 1900, unix from 1970.
NTP_EPOCH = 2_208_988_800

#: No list is larger [bytes].
MAX_SIZE = 65536

MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}


@dataclass(frozen=True)
class LeapSecondTable:
    """UTC from which on TAI minus UTC has a value [unix s, s], and until when the table holds [unix s].

    `ValueError` if the table does not go on from 1972 in steps of one second.
    """

    rows: tuple[tuple[int, int], ...]
    expires: int
    source: str

    def __post_init__(self) -> None:
        if not self.rows or self.rows[0] != (63072000, 10):
            raise ValueError("expected a table that begins with 10 s in 1972")
        for (start, seconds), (next_start, next_seconds) in zip(self.rows, self.rows[1:], strict=False):
            if next_start <= start or abs(next_seconds - seconds) != 1:
                raise ValueError(f"expected one leap second after {seconds} s, got {next_seconds} s")

    @functools.cached_property
    def tai_starts(self) -> tuple[int, ...]:
        """TAI from which on each value holds [unix s]."""
        return tuple(start + seconds for start, seconds in self.rows)


def parse_ntp_list(text: str, source: str) -> LeapSecondTable:
    """Parse ``leap-seconds.list``, which counts as NTP does."""
    expires = re.search(r"^#@\s*(\d{1,12})\s*$", text, re.MULTILINE)
    if expires is None:
        raise ValueError("expected a line '#@' with the time of expiry")
    rows = re.findall(r"^(\d{1,12})\s+(\d{1,3})\b", text, re.MULTILINE)
    return LeapSecondTable(
        tuple((int(start) - NTP_EPOCH, int(seconds)) for start, seconds in rows),
        int(expires[1]) - NTP_EPOCH,
        source,
    )


def parse_zic_list(text: str, source: str) -> LeapSecondTable:
    """Parse ``leapseconds``, the form of the time zone database."""
    expires = re.search(r"^#?expires\s+(\d{1,12})\b", text, re.MULTILINE)
    if expires is None:
        raise ValueError("expected a line '#expires' with the time of expiry")
    rows = [(63072000, 10)]
    for year, month, day, sign in re.findall(
        r"^Leap\s+(\d{4})\s+([A-Z][a-z]{2})\s+(\d{1,2})\s+23:59:(?:60|59)\s+([+-])", text, re.MULTILINE
    ):
        start = calendar.timegm((int(year), MONTHS.get(month, 0), int(day), 0, 0, 0)) + 86400
        rows.append((start, rows[-1][1] + (1 if sign == "+" else -1)))
    return LeapSecondTable(tuple(rows), int(expires[1]), source)


PARSERS = {"leap-seconds.list": parse_ntp_list, "leapseconds": parse_zic_list}


def list_folders() -> list[Path]:
    """Return the folders that may hold lists: those of the time zones, and that of PyPI's tzdata."""
    folders = [Path(folder) for folder in zoneinfo.TZPATH]
    spec = importlib.util.find_spec("tzdata")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "zoneinfo")
    return folders


def load_newest_table(
    packaged: LeapSecondTable, folders: Iterable[Path] | None = None, now: float | None = None
) -> LeapSecondTable:
    """Return the table that holds longest, of the packaged one and those in `list_folders`.

    Warn of one that lacks what the packaged one has, as if it were cut, and if none holds any more.
    """
    tables = [packaged]
    for folder in list_folders() if folders is None else folders:
        for name, parse in PARSERS.items():
            path = folder / name
            try:
                with path.open(encoding="ascii") as file:
                    table = parse(file.read(MAX_SIZE), str(path))
                if table.rows[: len(packaged.rows)] != packaged.rows:
                    raise ValueError(
                        f"expected the {len(packaged.rows)} values of the packaged table first, got others"
                    )
                tables.append(table)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                LOG.warning(f"{path}: not used as a table of leap seconds: {error}")
    newest = max(tables, key=lambda table: table.expires)
    if newest.expires <= (time.time() if now is None else now):
        date = time.strftime("%Y-%m-%d", time.gmtime(newest.expires))
        LOG.warning(
            f"The newest table of leap seconds ({newest.source}) expired on {date}: update the time zone data"
        )
    return newest
