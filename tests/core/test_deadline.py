"""Callbacks have a budget of time: then the processor returns to its caller."""

import math
import time
from collections.abc import Callable

import pytest

from lsst.ts.mtmount.core import DropReason, FrameBuffer, FrameError, FrameProcessor, ProcessorState

from .topics import mixed_codec, mixed_frame

NUM_EMPTY = 131_072


def make_processor(on_drop: Callable[..., bool | None]) -> FrameProcessor:
    processor = FrameProcessor(
        lambda *message: None,
        lambda error, message: None,
        on_drop=on_drop,
        on_unsupported=lambda topic_id: None,
    )
    processor.add_topic(mixed_codec())
    return processor


@pytest.mark.parametrize("frame", [b"", b"{", b'{"topicID": 4}'], ids=repr)
def test_one_callback_after_the_deadline(frame: bytes) -> None:
    buffer = FrameBuffer()
    processor = make_processor(lambda *drop: None)
    buffer.feed((frame + b"\r\n") * 3 + mixed_frame() + b"\r\n")
    passed = time.monotonic()
    states = []
    while (state := processor.process(buffer, passed)) is ProcessorState.YIELDED:
        states.append(state)
    # An unsupported topic ID is told once.
    assert len(states) == (1 if b"topicID" in frame else 3)
    assert state is ProcessorState.NEED_MORE
    assert processor.frames == 4
    assert processor.published == 1


def test_good_frames_are_not_interrupted() -> None:
    buffer = FrameBuffer()
    processor = make_processor(lambda *drop: None)
    buffer.feed((mixed_frame() + b"\r\n") * 100)
    assert processor.process(buffer, -math.inf) is ProcessorState.NEED_MORE
    assert processor.published == 100


def test_slow_callbacks_do_not_own_the_loop() -> None:
    buffer = FrameBuffer()
    now = time.monotonic()

    def drop_slowly(error: BaseException, frame: bytes) -> None:
        # Stands for a callback that takes its time: the clock goes on.
        while time.monotonic() < now + 0.01:
            pass

    processor = make_processor(drop_slowly)
    buffer.feed(b"\r\n" * NUM_EMPTY)
    assert processor.process(buffer, now + 0.005) is ProcessorState.YIELDED
    assert processor.frames == 1
    assert processor.process(buffer) is ProcessorState.NEED_MORE
    assert processor.dropped[DropReason.NOT_JSON] == NUM_EMPTY


def test_who_asks_to_end_is_heard_first() -> None:
    buffer = FrameBuffer()
    processor = make_processor(lambda *drop: True)
    buffer.feed(b"\r\n" * 2)
    assert processor.process(buffer, -math.inf) is ProcessorState.STOPPED


def test_drop_all_returns_in_time() -> None:
    buffer = FrameBuffer()
    processor = make_processor(lambda *drop: None)
    closed = FrameError(DropReason.CLOSED, "")
    buffer.feed(b"\r\n" * NUM_EMPTY)
    assert not processor.drop_all(buffer, closed, time.monotonic())
    assert processor.frames < NUM_EMPTY
    assert processor.drop_all(buffer, closed)
    assert processor.frames == processor.dropped[DropReason.CLOSED] == NUM_EMPTY


def test_states_are_an_enum() -> None:
    assert repr(make_processor(lambda *drop: None).process(FrameBuffer())) == "<ProcessorState.NEED_MORE: 0>"
