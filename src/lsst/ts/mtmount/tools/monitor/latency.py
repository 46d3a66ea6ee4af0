"""How old a record is when it is read."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...sal.tai import tai_from_utc
from ..reader.record_decoder import ReceivedRecord

__all__ = ["Latency", "measure_latency"]


class Latency(NamedTuple):
    """How old a record was when it was read; NaN where it does not tell."""

    sal: float  #: Since it was written: ``private_sndStamp`` [s]
    tma: float  #: Since the TMA sent its values: ``timestamp``, by the TMA's clock [s]


def measure_latency(received: ReceivedRecord) -> Latency:
    """Measure how old a record was when it was read."""
    arrival_tai = tai_from_utc(received.arrival_time)
    return Latency(
        arrival_tai - _get_number(received, "private_sndStamp"),
        arrival_tai - _get_number(received, "timestamp"),
    )


def _get_number(received: ReceivedRecord, name: str) -> float:
    value = received.record.get(name)
    return float(value) if isinstance(value, int | float) else math.nan
