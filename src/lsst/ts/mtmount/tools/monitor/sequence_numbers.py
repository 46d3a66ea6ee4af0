"""Sequence numbers of a topic: how many are missing, and whether two publishers count at once."""

from collections import deque
from typing import Any

__all__ = ["SequenceNumbers"]

#: After this sequence number comes 1 again.
MAX_SEQ_NUM = 2**31 - 1

#: Most runs of numbers that are followed.
MAX_RUNS = 4

#: Runs that go on in turn this often are those of several publishers. What one publisher sends
#: again after an error is out of order too, but the turns are fewer.
MIN_TURNS = 6

#: So many numbers in a row are those of one publisher.
SETTLED = 20

#: A record that comes twice is known if so many, or fewer, have come since.
MAX_RECENT = 256


class SequenceNumbers:
    """Follows the sequence numbers of a topic, in the order of its records.

    Each publisher counts on by one. In containers all have the process ID 1: two of them are two
    runs of numbers of one origin that go on in turn. A client that starts anew goes on with one run alone.
    """

    def __init__(self) -> None:
        #: Numbers that were left out; none are counted while publishers of one origin go on in turn.
        self.num_lost = 0
        self._origin: Any = None
        # The last number of each run; the run that the last record belongs to comes first.
        self._runs: list[int] = []
        # Number and stamp of the last records.
        self._recent: deque[tuple[int, Any]] = deque(maxlen=MAX_RECENT)
        # How often a run went on after another one had, and how often the same one since.
        self._num_turns = self._num_in_row = 0
        # What was lost before it became doubtful how many runs there are.
        self._num_surely_lost = 0

    @property
    def is_shared(self) -> bool:
        """Whether the last record is not of the same publisher as the one before, though of its origin."""
        return self._num_turns >= MIN_TURNS and self._num_in_row == 0

    def take(self, origin: Any, seq_num: Any, stamp: Any) -> None:
        """Take origin, number and time stamp of the next record."""
        if not isinstance(seq_num, int):
            return
        if origin != self._origin:
            self._origin = origin
            self._runs.clear()
            self._settle()
        previous = (seq_num - 2) % MAX_SEQ_NUM + 1
        if self._runs and self._runs[0] == previous:
            self._runs[0] = seq_num
            self._num_in_row += 1
            if self._num_in_row >= SETTLED:
                self._settle()
        elif (seq_num, stamp) in self._recent:
            # The same record again.
            return
        elif previous in self._runs:
            self._runs.remove(previous)
            self._runs.insert(0, seq_num)
            self._num_in_row = 0
            self._num_turns += 1
            if self._num_turns >= MIN_TURNS:
                # What was taken for a gap was the way from one run to the other.
                self.num_lost = self._num_surely_lost
        else:
            self._begin_run(seq_num)
        self._recent.append((seq_num, stamp))

    def _begin_run(self, seq_num: int) -> None:
        """Begin a run behind a gap, after a restart, or of another publisher."""
        if self._num_turns < MIN_TURNS:
            self._num_turns = 0
            if self._runs:
                num_skipped = (seq_num - self._runs[0] - 1) % MAX_SEQ_NUM
                # A number that is behind came twice or out of order.
                if num_skipped < MAX_SEQ_NUM // 2:
                    self.num_lost += num_skipped
        self._num_in_row = 0
        self._runs = [seq_num, *self._runs[: MAX_RUNS - 1]]

    def _settle(self) -> None:
        self._num_surely_lost = self.num_lost
        self._num_turns = 0
