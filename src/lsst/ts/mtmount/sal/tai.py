"""International atomic time (TAI), in which SAL counts.

TAI is UTC plus the leap seconds. All times here are unix seconds.
"""

import asyncio
import bisect
import math
import threading
import time
from pathlib import Path

from ..resilience.daemon_thread import run_in_daemon_thread
from .leap_seconds import LOG, LeapSecondTable, load_newest_table, parse_ntp_list

__all__ = [
    "LEAP_SECOND_TABLE",
    "PACKAGED_TABLE",
    "NewestTable",
    "TaiClock",
    "tai_from_utc",
    "tai_minus_utc_at",
]

#: The packaged table.
PACKAGED_TABLE = parse_ntp_list((Path(__file__).parent / "leap-seconds.list").read_text("ascii"), "packaged")

#: How often newer lists are looked for [s].
RELOAD_INTERVAL = 86400.0

#: How long a start waits for that [s].
LOAD_TIMEOUT = 2.0

#: How far CLOCK_TAI may be from the table [s]: far more than the time between
#: two readings of a clock, far less than one leap second.
CLOCK_TOLERANCE = 0.25


class NewestTable:
    """The newest table of leap seconds at hand, looked for once a day."""

    def __init__(self) -> None:
        self.table = PACKAGED_TABLE
        self._due = -math.inf
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def get(self) -> LeapSecondTable:
        """Return the table that is known. Never waits: newer ones are looked for in a thread."""
        if time.monotonic() >= self._due and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self.load, name="leap seconds", daemon=True)
            self._thread.start()
        return self.table

    def load(self) -> LeapSecondTable:
        """Look for newer tables, if that is due, and return the newest. May hang with a file system."""
        with self._lock:
            if time.monotonic() >= self._due:
                self.table = load_newest_table(PACKAGED_TABLE)
                self._due = time.monotonic() + RELOAD_INTERVAL
        return self.table

    async def load_in_thread(self) -> None:
        """Do as `load`, but go on without where that hangs."""
        try:
            async with asyncio.timeout(LOAD_TIMEOUT):
                await run_in_daemon_thread(self.load)
        except TimeoutError:
            LOG.warning(
                f"No list of leap seconds was read within {LOAD_TIMEOUT:g} s; the packaged one counts"
            )


#: That of this process.
LEAP_SECOND_TABLE = NewestTable()


def tai_minus_utc_at(utc: float, table: LeapSecondTable | None = None) -> float:
    """Return TAI minus UTC [s] at a time [UTC unix s], by a table: the newest known if None.

    `ValueError` before 1972, when UTC had no whole leap seconds yet.
    """
    rows = (table or LEAP_SECOND_TABLE.get()).rows
    index = bisect.bisect_right(rows, utc, key=lambda row: row[0]) - 1
    if index < 0:
        raise ValueError(f"expected a time from 1972 on, got UTC {utc}")
    return float(rows[index][1])


def tai_from_utc(utc: float) -> float:
    """Return the TAI unix time [s] of a UTC unix time [s]."""
    return utc + tai_minus_utc_at(utc)


class TaiClock:
    """How this computer tells TAI.

    Linux has a clock of its own for TAI, which is right only where the system
    has set its offset from UTC. It is used only if it agrees with the table
    of leap seconds; otherwise TAI is UTC plus `tai_minus_utc`.

    Attributes
    ----------
    use_clock_tai : `bool`
        Is ``CLOCK_TAI`` right here?
    tai_minus_utc : `float`
        TAI minus UTC now [s].
    """

    def __init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Look again: the system may set its clocks, and learn of leap seconds, while the program runs."""
        utc = time.time()
        self.tai_minus_utc = tai_minus_utc_at(utc)
        offset = time.clock_gettime(time.CLOCK_TAI) - utc
        self.use_clock_tai = abs(offset - self.tai_minus_utc) < CLOCK_TOLERANCE

    def now(self) -> float:
        """Return the current TAI [unix s]."""
        if self.use_clock_tai:
            return time.clock_gettime(time.CLOCK_TAI)
        return time.time() + self.tai_minus_utc
