"""Any mix of calls on a `FrameBuffer` gives what plain Python gives."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lsst.ts.mtmount.core import FrameBuffer, FrameError

# Few letters, so that terminators and parts of them are frequent.
few_bytes = st.text("ab\r\n", max_size=12).map(str.encode)
separators = st.text("ab\r\n", min_size=1, max_size=4).map(str.encode)
# Now and then more than a block.
chunks = st.one_of(
    few_bytes, st.tuples(few_bytes, st.integers(1, 40_000)).map(lambda pair: pair[0] * pair[1])
)
counts = st.integers(0, 30)


class Twin:
    """The same, plainly."""

    def __init__(self, terminator: bytes, limit: int) -> None:
        self.terminator = terminator
        self.limit = limit
        self.unread = b""
        self.num_discarded = -1

    def next_frame(self) -> bytes | int | None:
        """Return a frame, the length of an over-long one, or None."""
        frame, terminator, rest = self.unread.partition(self.terminator)
        if terminator:
            self.unread = rest
            length = max(self.num_discarded, 0) + len(frame)
            if self.num_discarded < 0 and length <= self.limit:
                return frame
            self.num_discarded = -1
            return length
        num_certain = len(self.unread) - (len(self.terminator) - 1)
        if num_certain > self.limit or (self.num_discarded >= 0 and num_certain > 0):
            self.num_discarded = max(self.num_discarded, 0) + num_certain
            self.unread = self.unread[num_certain:]
        return None

    def take(self, n: int) -> bytes:
        taken, self.unread = self.unread[:n], self.unread[n:]
        return taken


class FrameBufferMachine(RuleBasedStateMachine):
    @initialize(terminator=separators, limit=st.integers(1, 20))
    def start(self, terminator: bytes, limit: int) -> None:
        self.buffer = FrameBuffer(terminator, limit)
        self.twin = Twin(terminator, limit)

    @rule(data=chunks)
    def feed(self, data: bytes) -> None:
        self.buffer.feed(data)
        self.twin.unread += data

    @rule(data=chunks, sizehint=st.integers(-1, 100))
    def receive(self, data: bytes, sizehint: int) -> None:
        tail = self.buffer.get_buffer(sizehint)
        n = min(len(data), len(tail))
        tail[:n] = data[:n]
        self.buffer.buffer_updated(n)
        self.twin.unread += data[:n]

    @rule()
    def next_frame(self) -> None:
        expected = self.twin.next_frame()
        try:
            frame: bytes | int | None = self.buffer.next_frame()
        except FrameError as error:
            frame = int(error.detail.split()[-1])
        assert frame == expected

    @rule(separator=st.none() | separators)
    def find(self, separator: bytes | None) -> None:
        expected = self.twin.unread.find(separator or self.twin.terminator)
        assert self.buffer.find(separator) == expected

    @rule(n=counts)
    def take(self, n: int) -> None:
        n = min(n, len(self.buffer))
        assert self.buffer.take(n) == self.twin.take(n)

    @rule(n=counts)
    def skip(self, n: int) -> None:
        n = min(n, len(self.buffer))
        self.buffer.skip(n)
        self.twin.take(n)

    @rule()
    def take_all(self) -> None:
        assert self.buffer.take(len(self.buffer)) == self.twin.take(len(self.twin.unread))

    @rule(n=counts)
    def readinto(self, n: int) -> None:
        target = bytearray(n)
        num_read = self.buffer.readinto(target)
        assert target[:num_read] == self.twin.take(n)

    @rule(n=counts)
    def peek(self, n: int) -> None:
        n = min(n, len(self.buffer))
        assert self.buffer.peek(n) == self.twin.unread[:n]

    @invariant()
    def same_length(self) -> None:
        if hasattr(self, "twin"):
            assert len(self.buffer) == len(self.twin.unread)


TestFrameBufferMachine = FrameBufferMachine.TestCase
TestFrameBufferMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@given(separators, st.lists(few_bytes, max_size=12))
def test_frames_are_those_of_split(terminator: bytes, pieces: list[bytes]) -> None:
    buffer = FrameBuffer(terminator, limit=1000)
    frames: list[bytes] = []
    for piece in pieces:
        buffer.feed(piece)
        while (frame := buffer.next_frame()) is not None:
            frames.append(frame)
    *expected, rest = b"".join(pieces).split(terminator)
    assert frames == expected
    assert buffer.take(len(buffer)) == rest
