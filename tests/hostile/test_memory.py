"""Memory stays flat, whatever comes."""

import functools
import gc
import os
import sys
import weakref
from typing import Any

import psutil
import pytest

from lsst.ts.mtmount.core import FrameBuffer, FrameProcessor, ProcessorState

from ..core.topics import golden_records, make_codec, mixed_codec, mixed_frame, packaged_codec
from .corpus import HOSTILE_FRAMES

TERMINATOR = b"\r\n"
LIMIT = 1 << 20
HANDLED_ID = 98
MIB = 1 << 20

#: Passes before the memory is measured: all buffers have their size then.
NUM_WARM_UP = 20

under_sanitizer = pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer keeps freed memory for a while"
)


class Stream:
    """A processor, and a stream of all kinds of frames for it."""

    def __init__(self) -> None:
        self.num_dropped = 0
        self.buffer = FrameBuffer(TERMINATOR, LIMIT)
        self.processor = FrameProcessor(
            self.produce, self.nothing, on_drop=self.on_drop, on_unsupported=self.nothing
        )
        for record in golden_records():
            self.processor.add_topic(packaged_codec(record["topic_id"]))
        self.processor.add_topic(mixed_codec())
        handled = make_codec(HANDLED_ID, [("x", "double", 1)], {"x": 1})
        handled.fused = False
        handled.preprocessor = self.change
        self.processor.add_topic(handled)

    def produce(self, *message: Any, witness: object = None) -> None:
        pass

    def on_drop(self, error: BaseException, head: bytes) -> None:
        self.num_dropped += 1

    def nothing(self, *_: Any) -> None:
        pass

    def change(self, data: dict[str, Any]) -> None:
        data["x"] = 1.5

    def take(self, data: bytes) -> None:
        """Receive and process, as a protocol does."""
        for start in range(0, len(data), 200_000):
            chunk = data[start : start + 200_000]
            while chunk:
                tail = self.buffer.get_buffer()
                n = min(len(tail), len(chunk))
                tail[:n] = chunk[:n]
                self.buffer.buffer_updated(n)
                chunk = chunk[n:]
                assert self.processor.process(self.buffer) == ProcessorState.NEED_MORE


def usual_frames() -> list[bytes]:
    """A thousand frames: most as a template has them, some in another order, some bad, some for a handler."""
    lines = [record["line"].encode() for record in golden_records()]
    bad = [b"", b"x", b"\xff", b"{}", b"[1]", mixed_frame(d='"x"'), b'{"topicID": 1000}', b'{"topicID": 99}']
    frames = []
    for i in range(1000):
        if i % 50 == 0:
            frames.append(bad[i // 50 % len(bad)])
        elif i % 50 == 2:
            # As no template has it.
            frames.append(lines[i % len(lines)][:-1] + b" " * i + b"}")
        elif i % 50 == 1:
            frames.append(b'{"topicID": %d, "x": 1}' % HANDLED_ID)
        else:
            # Each topic's frames in a few orders: each has a template.
            frames.append(lines[i * 7 // 20 % len(lines)])
    return frames


def rss() -> int:
    memory: int = psutil.Process().memory_info().rss
    return memory


def check_flat(num_frames: int) -> None:
    stream = Stream()
    frames = usual_frames()
    data = TERMINATOR.join(frames) + TERMINATOR
    for _ in range(NUM_WARM_UP):
        stream.take(data)
    gc.collect()
    before = rss()
    num_objects = len(gc.get_objects())
    num_blocks = sys.getallocatedblocks()
    num_passes = num_frames // len(frames)
    for _ in range(num_passes):
        stream.take(data)
    gc.collect()
    codecs = stream.processor.codecs.values()
    assert stream.processor.frames == (NUM_WARM_UP + num_passes) * len(frames)
    # Each way was taken often.
    for count in (
        sum(codec.num_by_template for codec in codecs),
        sum(codec.num_general for codec in codecs),
        stream.processor.preprocessed,
        stream.processor.unsupported,
        stream.num_dropped,
    ):
        assert count > num_frames // 1000
    assert len(gc.get_objects()) <= num_objects + 100
    assert sys.getallocatedblocks() <= num_blocks + 1000
    assert rss() - before < MIB


@under_sanitizer
def test_flat_over_many_frames() -> None:
    check_flat(200_000)


@under_sanitizer
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_flat_over_ten_million_frames() -> None:
    check_flat(10_000_000)


@under_sanitizer
def test_bounded_by_the_largest_frames() -> None:
    stream = Stream()
    largest = [frame[: LIMIT - 1] for frame in HOSTILE_FRAMES.values() if len(frame) > LIMIT // 2]
    # Members of six bytes: what is noted of each takes more than that.
    largest.append(mixed_frame()[:-1] + b',"":0' * ((LIMIT - 1000) // 5) + b"}")
    data = TERMINATOR.join(largest) + TERMINATOR
    before = rss()
    after = []
    for _ in range(10):
        stream.take(data)
        after.append(rss())
    assert stream.processor.published > 0
    assert stream.num_dropped > 0
    # Two buffers, the list of members as it grows, and a frame as Python has it.
    assert max(after) - before < 40 * MIB
    assert after[-1] - after[2] < MIB


def test_reference_counts_stay() -> None:
    stream = Stream()
    processor = stream.processor
    data = TERMINATOR.join([*usual_frames(), *(f for f in HOSTILE_FRAMES.values() if len(f) < 1000), b""])
    shared = [
        *(processor, stream.buffer, processor.codecs, processor.dropped, processor.produce),
        *processor.codecs.values(),
        *(codec.record for codec in processor.codecs.values()),
        *(codec.kafka_topic for codec in processor.codecs.values()),
        *(codec.members for codec in processor.codecs.values()),
        *processor.dropped,
    ]
    stream.take(data)
    gc.collect()
    before = [sys.getrefcount(thing) for thing in shared]
    for _ in range(20):
        stream.take(data)
    gc.collect()
    after = [sys.getrefcount(thing) for thing in shared]
    assert {repr(t): (b, a) for t, b, a in zip(shared, before, after, strict=True) if a != b} == {}


def test_a_decoder_in_a_circle_of_references_is_freed() -> None:
    class Witness:
        pass

    stream = Stream()
    witness = Witness()
    alive = weakref.ref(witness)
    stream.processor.produce = functools.partial(stream.produce, witness=witness)
    stream.take(TERMINATOR.join(usual_frames()) + TERMINATOR)
    del stream, witness
    gc.collect()
    assert alive() is None
