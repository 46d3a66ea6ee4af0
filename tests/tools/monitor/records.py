"""Records for the tests of the state, as the consumer hands them over."""

from typing import Any

from lsst.ts.mtmount.tools.reader.record_decoder import ReceivedRecord

PREFIX = "lsst.test.MTMount."

#: When records arrive [UTC unix s], and TAI then.
ARRIVAL = 1_700_000_000.0
ARRIVAL_TAI = ARRIVAL + 37

UNITS = {"actualPosition": "deg"}


def make_record(topic: str, *, origin: int = 1, seq_num: int = 1, **fields: Any) -> ReceivedRecord:
    """Make a record that was written 0.25 s, and by the TMA 0.5 s before it arrives."""
    record = {
        "private_sndStamp": ARRIVAL_TAI - 0.25,
        "timestamp": ARRIVAL_TAI - 0.5,
        "private_origin": origin,
        "private_seqNum": seq_num,
    } | fields
    return ReceivedRecord(PREFIX + topic, record, ARRIVAL, ARRIVAL, 0, b"", 1, UNITS)
