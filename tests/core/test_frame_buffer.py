"""Frames come out of any chunking as bytes.split() would give them; memory stays bounded."""

import array
import gc
import itertools
import sys
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from lsst.ts.mtmount.core import DeliveryCounter, DropReason, FrameBuffer, FrameError, FrameProcessor

#: The last ones begin with what they end with, or with what precedes them.
TERMINATORS = [b"\n", b"\r\n", b"\r\r\n", b"aab", b"aa", b"abab", b"\0\0\0\0", b"\r\n\r\n"]

#: What a buffer that holds nothing may take: its largest block and a bit.
IDLE_SIZE = 1100 * 1024

Put = Callable[[FrameBuffer, bytes], None]


def receive(buffer: FrameBuffer, data: bytes) -> None:
    """Do as an event loop does."""
    while data:
        tail = buffer.get_buffer()
        assert len(tail) > 0
        n = min(len(tail), len(data))
        tail[:n] = data[:n]
        buffer.buffer_updated(n)
        data = data[n:]


@pytest.fixture(params=[receive, FrameBuffer.feed], ids=["receive", "feed"])
def put(request: pytest.FixtureRequest) -> Put:
    """The two ways into a buffer."""
    way: Put = request.param
    return way


def tricky_stream(terminator: bytes) -> bytes:
    """Frames that begin and end with parts of the terminator; the last one is not complete."""
    parts = [terminator[:i] for i in range(len(terminator))]
    frames = [b"", b"x", *parts, *(part + b"y" for part in parts), b"aaaa", b"\r\r\r", b"abaab", b"\0\0\0"]
    return terminator.join(frames)


def next_frames(buffer: FrameBuffer) -> Iterator[bytes]:
    while (frame := buffer.next_frame()) is not None:
        yield frame


@pytest.mark.parametrize("terminator", TERMINATORS)
def test_split_at_every_two_positions(terminator: bytes, put: Put) -> None:
    stream = tricky_stream(terminator)
    *expected, rest = stream.split(terminator)
    for first, second in itertools.combinations_with_replacement(range(len(stream) + 1), 2):
        buffer = FrameBuffer(terminator)
        frames: list[bytes] = []
        for chunk in (stream[:first], stream[first:second], stream[second:]):
            put(buffer, chunk)
            frames += next_frames(buffer)
        assert frames == expected
        assert buffer.take(len(buffer)) == rest


@pytest.mark.parametrize("terminator", TERMINATORS)
def test_byte_by_byte(terminator: bytes, put: Put) -> None:
    stream = tricky_stream(terminator)
    buffer = FrameBuffer(terminator)
    frames: list[bytes] = []
    for i in range(len(stream)):
        put(buffer, stream[i : i + 1])
        frames += next_frames(buffer)
    assert frames == stream.split(terminator)[:-1]


@pytest.mark.parametrize("terminator", TERMINATORS)
def test_find_at_every_split(terminator: bytes) -> None:
    """The search is resumed, but misses nothing that straddles the split."""
    stream = tricky_stream(terminator)
    for split in range(len(stream) + 1):
        # With the terminator, and with the same bytes as another separator.
        for buffer in (FrameBuffer(terminator), FrameBuffer(b"another")):
            buffer.feed(b"skipped" + stream[:split])
            buffer.skip(len(b"skipped"))
            assert buffer.find(terminator) == stream[:split].find(terminator)
            buffer.feed(stream[split:])
            assert buffer.find(terminator) == stream.find(terminator)
            assert buffer.find(terminator) == stream.find(terminator)


def test_find_with_changing_separators() -> None:
    buffer = FrameBuffer(b"\r\n")
    buffer.feed(b"a,b;c")
    assert buffer.find() == -1
    assert buffer.find(b";") == 3
    assert buffer.find(b",") == 1
    assert buffer.find(b"#") == -1
    buffer.feed(b"#\r\n")
    assert buffer.find() == 6
    assert buffer.next_frame() == b"a,b;c#"
    assert buffer.find(b"#") == -1


class Drops:
    """What a `FrameProcessor` says about the frames that it drops."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.heads: list[bytes] = []
        self.processor = FrameProcessor(
            self.refuse_to_produce,
            DeliveryCounter(self.refuse_to_produce),
            on_drop=self.note,
            on_unsupported=lambda topic_id: None,
        )

    def refuse_to_produce(self, *args: object) -> None:
        raise AssertionError("nothing here can be published")

    def note(self, error: BaseException, head: bytes) -> None:
        assert isinstance(error, FrameError)
        if error.reason is DropReason.TOO_LONG:
            self.lengths.append(int(error.detail.split()[-1]))
            self.heads.append(head)


@pytest.mark.parametrize("terminator", TERMINATORS)
@pytest.mark.parametrize("limit", [10, 300])
def test_over_long_frames_at_every_split(terminator: bytes, limit: int) -> None:
    """They are dropped with their true length and first bytes; their neighbours are not."""
    long_frames = [bytes(range(32, 120)) * 4 + b"end" * i for i in range(3)] + [b"z" * (limit + 1)]
    short_frame = b"y" * limit
    stream = b"".join(frame + terminator + short_frame + terminator for frame in long_frames)
    assert [frame for frame in stream.split(terminator) if len(frame) > limit] == long_frames
    for split in range(len(stream) + 1):
        buffer = FrameBuffer(terminator, limit)
        drops = Drops()
        for chunk in (stream[:split], stream[split:]):
            buffer.feed(chunk)
            drops.processor.process(buffer)
        assert drops.lengths == [len(frame) for frame in long_frames]
        assert drops.heads == [frame[:200] for frame in long_frames]
        assert drops.processor.frames == 2 * len(long_frames)


def test_over_long_frame_is_an_error() -> None:
    buffer = FrameBuffer(b"\n", limit=3)
    buffer.feed(b"abc\nabcd\nab\nabcde")
    assert buffer.next_frame() == b"abc"
    with pytest.raises(FrameError, match="expected 3 bytes at most, got 4") as info:
        buffer.next_frame()
    assert info.value.reason is DropReason.TOO_LONG
    assert buffer.next_frame() == b"ab"
    assert buffer.next_frame() is None
    buffer.feed(b"fg")
    assert buffer.next_frame() is None
    buffer.feed(b"\n\n")
    with pytest.raises(FrameError, match="got 7$"):
        buffer.next_frame()
    assert buffer.next_frame() == b""


def test_endless_frame_takes_no_memory(put: Put) -> None:
    buffer = FrameBuffer(limit=4096)
    chunk = b"\r" * 100_000
    for _ in range(200):
        put(buffer, chunk)
        assert buffer.next_frame() is None
        assert len(buffer) < 2
        assert sys.getsizeof(buffer) <= IDLE_SIZE
    put(buffer, b"\r\nnext\r\n")
    with pytest.raises(FrameError, match="got 20000000$"):
        buffer.next_frame()
    assert buffer.next_frame() == b"next"


def test_memory_is_given_back(put: Put) -> None:
    buffer = FrameBuffer()
    data = bytes(range(256)) * 20_000
    put(buffer, data)
    assert len(buffer) == len(data)
    assert sys.getsizeof(buffer) < 2.1 * len(data)
    assert buffer.take(len(data)) == data
    buffer.get_buffer()
    assert sys.getsizeof(buffer) <= IDLE_SIZE


def test_memory_stays_flat_with_unread_bytes() -> None:
    """A consumer that is always a bit behind needs twice that at most."""
    buffer = FrameBuffer()
    behind = b"b" * 100_000
    buffer.feed(behind)
    for i in range(2000):
        receive(buffer, bytes([i % 256]) * 1000)
        assert len(buffer.take(1000)) == 1000
        assert sys.getsizeof(buffer) <= IDLE_SIZE
    assert len(buffer) == len(behind)


def test_busy_sender_is_offered_more() -> None:
    buffer = FrameBuffer()
    tail = buffer.get_buffer()
    assert 16 * 1024 <= len(tail) <= 64 * 1024
    buffer.buffer_updated(len(tail))
    buffer.skip(len(tail) - 1000)
    assert len(buffer.get_buffer()) >= 1000 * 1024
    assert len(buffer.get_buffer(1)) > 0
    assert len(buffer.get_buffer(10**12)) <= IDLE_SIZE


def test_offered_memory_outlives_the_block() -> None:
    buffer = FrameBuffer()
    tail = buffer.get_buffer()
    buffer.feed(b"x" * 1_000_000)
    tail[:] = b"y" * len(tail)
    assert buffer.take(1_000_000) == b"x" * 1_000_000
    del buffer
    assert bytes(tail[:3]) == b"yyy"


def test_wrong_number_of_received_bytes() -> None:
    buffer = FrameBuffer()
    with pytest.raises(ValueError, match="expected 0 bytes at most, as offered"):
        buffer.buffer_updated(1)
    tail = buffer.get_buffer()
    for n in (-1, len(tail) + 1):
        with pytest.raises(ValueError, match="offered"):
            buffer.buffer_updated(n)
    buffer.feed(b"abc")
    with pytest.raises(ValueError, match="expected 0 bytes at most, as offered"):
        buffer.buffer_updated(1)
    assert buffer.take(3) == b"abc"


def test_consuming_leaves_the_offered_memory_in_place() -> None:
    buffer = FrameBuffer()
    buffer.feed(b"abc")
    tail = buffer.get_buffer()
    assert buffer.take(3) == b"abc"
    tail[:3] = b"def"
    buffer.buffer_updated(3)
    assert buffer.take(3) == b"def"


def test_take_peek_skip_readinto() -> None:
    buffer = FrameBuffer()
    buffer.feed(b"abcdefgh")
    assert buffer.peek(3) == b"abc"
    assert buffer.take(2) == b"ab"
    buffer.skip(1)
    assert len(buffer) == 5
    target = bytearray(3)
    assert buffer.readinto(target) == 3
    assert target == b"def"
    assert buffer.readinto(target) == 2
    assert target == b"ghf"
    assert buffer.readinto(target) == 0
    assert buffer.take(0) == b""
    for method in (buffer.take, buffer.peek, buffer.skip):
        for n in (-1, 1):
            with pytest.raises(ValueError, match="expected 0 to 0 bytes"):
                method(n)
    with pytest.raises(BufferError):
        buffer.readinto(b"read only")


def test_feed_takes_any_bytes() -> None:
    buffer = FrameBuffer()
    buffer.feed(b"")
    buffer.feed(bytearray())
    buffer.feed(bytearray(b"ab"))
    buffer.feed(memoryview(b"cd"))
    buffer.feed(array.array("B", b"ef"))
    assert buffer.take(6) == b"abcdef"
    with pytest.raises(TypeError):
        buffer.feed("text")  # type: ignore[arg-type]
    with pytest.raises(BufferError):
        buffer.feed(memoryview(b"abcdef")[::2])


def test_feed_its_own_memory() -> None:
    buffer = FrameBuffer()
    tail = buffer.get_buffer()
    tail[:3] = b"abc"
    buffer.feed(tail[:3])
    buffer.feed(memoryview(tail)[1:])
    assert buffer.peek(3) == b"abc"
    assert len(buffer) == 3 + len(tail) - 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"terminator": b""}, ValueError),
        ({"terminator": "\r\n"}, TypeError),
        ({"terminator": None}, TypeError),
        ({"limit": 0}, ValueError),
        ({"limit": -1}, ValueError),
        ({"limit": 1.5}, TypeError),
        ({"limit": 2**80}, OverflowError),
    ],
)
def test_bad_arguments(arguments: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        FrameBuffer(**arguments)  # type: ignore[arg-type]


def test_empty_separator() -> None:
    with pytest.raises(ValueError, match="at least"):
        FrameBuffer().find(b"")


def test_largest_limit() -> None:
    buffer = FrameBuffer(limit=sys.maxsize)
    buffer.feed(b"a\r\n")
    assert buffer.next_frame() == b"a"


def test_allocated_equals_freed() -> None:
    def use() -> None:
        buffer = FrameBuffer(limit=1000)
        tail = buffer.get_buffer()
        buffer.feed(b"x" * 300_000 + b"\r\n")
        with pytest.raises(FrameError):
            buffer.next_frame()
        del buffer, tail

    use()
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            use()
        gc.collect()
        # Less than one block.
        assert tracemalloc.get_traced_memory()[0] - before < 60_000
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="only then may a class of Python's offer memory")
def test_memory_that_reads_the_buffer_when_it_is_released() -> None:
    class Target:
        def __buffer__(self, flags: int) -> memoryview:
            return memoryview(bytearray(3))

        def __release_buffer__(self, view: memoryview) -> None:
            left.append(buffer.take(len(buffer)))

    left: list[bytes] = []
    buffer = FrameBuffer()
    buffer.feed(b"abcdef")
    assert buffer.readinto(Target()) == 3
    assert left == [b"def"]
    assert len(buffer) == 0
