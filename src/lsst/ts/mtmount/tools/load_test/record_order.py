"""Whether simulated frames came once and in their order, as far as their records alone tell."""

from collections.abc import Mapping
from typing import Any

from ...tma_interface.description import FRAME_STAMP, STAMP_SUFFIX

__all__ = ["RecordOrder"]


class RecordOrder:
    """Compares each record of one topic with the one before it.

    The simulator's time stamps never go back, but at high rates and where it is late, some frames have the
    same one. Then the decimal numbers tell frames apart, as no two of them in a row are alike: a topic
    without any is not judged by its values.
    """

    def __init__(self) -> None:
        self.num_repeated = 0  #: Records that are as the one before
        self.num_out_of_order = 0  #: Records whose time stamp is earlier than that of the one before
        self._last: Mapping[str, Any] | None = None
        # The fields besides the private ones; none if the topic has no decimal numbers.
        self._names: list[str] = []

    def check(self, record: Mapping[str, Any]) -> str | None:
        """Tell what is wrong with the order of a record; None if nothing is."""
        last, self._last = self._last, record
        if last is None:
            if any(_has_decimals(name, value) for name, value in record.items()):
                self._names = [name for name in record if not name.startswith("private_")]
            return None
        if self._names and all(record[name] == last[name] for name in self._names):
            self.num_repeated += 1
            return "is there twice"
        # A SAL interface may lack it.
        before, now = last.get(FRAME_STAMP, 0.0), record.get(FRAME_STAMP, 0.0)
        if now < before:
            self.num_out_of_order += 1
            return f"{FRAME_STAMP} goes back from {before} to {now}"
        return None


def _has_decimals(name: str, value: Any) -> bool:
    """Return whether a field of the TMA, besides its time stamps, has decimal numbers."""
    if name.startswith("private_") or name == FRAME_STAMP or name.endswith(STAMP_SUFFIX):
        return False
    return isinstance(value[0] if isinstance(value, list) and value else value, float)
