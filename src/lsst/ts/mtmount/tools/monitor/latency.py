"""How old a record is when it is read."""

import math

from ...sal.tai import tai_from_utc
from ..reader.record_decoder import ReceivedRecord

__all__ = ["SAL_STAMP", "TMA_STAMP", "measure_latency"]

#: When a record was written, and when the TMA sent its values, by the TMA's clock [TAI unix s].
SAL_STAMP, TMA_STAMP = "private_sndStamp", "timestamp"


def measure_latency(received: ReceivedRecord, stamp: str) -> float:
    """Measure how old a record was when it was read, by one of its stamps [s]; NaN if it has none."""
    value = received.record.get(stamp)
    return tai_from_utc(received.arrival_time) - value if isinstance(value, int | float) else math.nan
