"""Which frame a record came from, and whether it is right."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from .oracle import TopicOracle, find_difference

__all__ = ["RecordMatcher"]

#: The member that tells the frames of a topic apart.
STAMP = "timestamp"


class RecordMatcher:
    """Pairs the records of one topic with its frames, each in its order.

    A frame and its record have the same time stamp. So a frame that was lost
    is told from one that was altered, and both from a record that came twice.
    """

    def __init__(self, topic: TopicOracle) -> None:
        self.num_wrong = 0  #: Records that differ from their frame, or have none
        self.num_repeated = 0  #: Records of a frame that had its record already
        self.num_lost = 0  #: Frames that were passed over: a later one had its record first
        self._topic = topic
        self._expected: deque[dict[str, Any]] = deque()
        self._last: dict[str, Any] | None = None

    @property
    def num_waiting(self) -> int:
        """Number of frames that have no record yet."""
        return len(self._expected)

    def expect(self, frame: Mapping[str, Any]) -> None:
        """Take notice of a frame that was sent."""
        self._expected.append(self._topic.make_record(frame))

    def match(self, record: Mapping[str, Any]) -> str | None:
        """Find the frame of a decoded record, and tell how they differ; None if they do not."""
        candidates = [
            index for index, expected in enumerate(self._expected) if expected.get(STAMP) == record.get(STAMP)
        ]
        # Frames that were sent at once have the same stamp: then all values tell.
        for index in candidates:
            if find_difference(self._expected[index], record) is None:
                return self._take(index, None)
        if self._last is not None and find_difference(self._last, record) is None:
            self.num_repeated += 1
            return "is there twice"
        if not self._expected:
            self.num_wrong += 1
            return "has no frame"
        index = candidates[0] if candidates else 0
        return self._take(index, find_difference(self._expected[index], record))

    def _take(self, index: int, difference: str | None) -> str | None:
        """Pair the record with a frame, passing over those before it."""
        for _ in range(index):
            self._expected.popleft()
        self._last = self._expected.popleft()
        self.num_lost += index
        self.num_wrong += difference is not None
        if index and difference is None:
            return f"comes after {index} frames that have no record"
        return difference
