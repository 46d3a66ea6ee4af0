"""Are the private fields of the records right?"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from ...sal.tai import tai_minus_utc_at

__all__ = ["PrivateFieldChecks", "compute_rev_code"]

#: Name of the SAL component.
IDENTITY = "MTMount"

#: After this the sequence number is 1 again.
MAX_SEQ_NUM = 2**31 - 1

#: How far the stamps of a record may be from the times that they tell [s]:
#: the clocks of two processes on one computer are the same.
STAMP_TOLERANCE = 1e-3

#: Order of the members of a schema, whose text the revision code is a digest of.
SCHEMA_ORDER = ("type", "name", "namespace", "fields", "description")
FIELD_ORDER = ("name", "type", "default", "description", "units")


class PrivateFieldChecks:
    """Checks the private fields of one topic's records, which come in their order.

    No record was written before ``start`` [UTC unix s].
    """

    def __init__(self, start: float) -> None:
        self.num_out_of_sequence = 0  #: Records whose sequence number does not follow the last one's
        self.num_wrong = 0  #: Records with another wrong private field
        self.origins: set[int] = set()  #: Process IDs that the records name
        self._start = start
        self._last_seq_num = 0

    def check(self, record: Mapping[str, Any], rev_code: str, arrival_time: float) -> str | None:
        """Tell what is wrong with a record that was read at ``arrival_time`` [UTC unix s]; or None."""
        seq_num = record["private_seqNum"]
        self.origins.add(record["private_origin"])
        expected = self._last_seq_num % MAX_SEQ_NUM + 1
        self._last_seq_num = seq_num
        if seq_num != expected:
            self.num_out_of_sequence += 1
            return f"private_seqNum is {seq_num} instead of {expected}"
        problem = self._check_constants(record, rev_code) or self._check_stamps(record, arrival_time)
        self.num_wrong += problem is not None
        return problem

    def _check_constants(self, record: Mapping[str, Any], rev_code: str) -> str | None:
        for name, value in (
            ("private_identity", IDENTITY),
            ("private_revCode", rev_code),
            ("private_rcvStamp", 0.0),
        ):
            if record[name] != value:
                return f"{name} is {record[name]!r} instead of {value!r}"
        return None

    def _check_stamps(self, record: Mapping[str, Any], arrival_time: float) -> str | None:
        tai_stamp, utc_stamp = record["private_sndStamp"], record["private_efdStamp"]
        if not self._start - STAMP_TOLERANCE <= utc_stamp <= arrival_time + STAMP_TOLERANCE:
            return f"private_efdStamp is {utc_stamp}, not from {self._start} to {arrival_time}"
        if abs(tai_stamp - utc_stamp - tai_minus_utc_at(utc_stamp)) > STAMP_TOLERANCE:
            return f"private_sndStamp is {tai_stamp}, not the same instant as private_efdStamp {utc_stamp}"
        if record["private_kafkaStamp"] != tai_stamp:
            return f"private_kafkaStamp is {record['private_kafkaStamp']} instead of {tai_stamp}"
        return None


@cache
def compute_rev_code(schema_text: str) -> str:
    """Compute the revision code of a schema from its text in a registry.

    A registry may put the members of a schema into another order.
    """
    schema = json.loads(schema_text)
    ordered = {name: schema[name] for name in SCHEMA_ORDER}
    ordered["fields"] = [{name: field[name] for name in FIELD_ORDER} for field in schema["fields"]]
    text = json.dumps(ordered, indent=4)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8]
