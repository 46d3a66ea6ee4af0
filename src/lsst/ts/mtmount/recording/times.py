"""Times in recordings: integers of nanoseconds, UTC."""

import bisect
import math
from datetime import UTC, datetime

from ..sal.tai import LEAP_SECOND_TABLE

__all__ = ["parse_time", "utc_ns_from_tai"]

#: Unix times beyond this do not fit into 64 bits of nanoseconds [s]; in the year 2262.
MAX_UTC = 2**63 / 1e9


def utc_ns_from_tai(tai: float) -> int | None:
    """Return a TAI unix time [s] as UTC [unix ns]; None if it is not finite, or outside 1970 to 2262."""
    if not math.isfinite(tai):
        return None
    # Before 1972 UTC had no whole leap seconds.
    table = LEAP_SECOND_TABLE.get()
    index = max(bisect.bisect_right(table.tai_starts, tai) - 1, 0)
    utc = tai - table.rows[index][1]
    return int(utc * 1e9) if 0 <= utc < MAX_UTC else None


def parse_time(text: str) -> int:
    """Parse a time of ISO 8601 as UTC [unix ns]; without a zone it is UTC.

    `ValueError` if it is another text, or outside 1970 to 2262.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected a time such as 2026-11-26T03:15:00, got {text!r}") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    since_epoch = time - datetime.fromtimestamp(0, UTC)
    nanoseconds = (since_epoch.days * 86400 + since_epoch.seconds) * 10**9 + since_epoch.microseconds * 1000
    if not 0 <= nanoseconds < 2**63:
        raise ValueError(f"expected a time from 1970 to 2262, got {text!r}")
    return nanoseconds
