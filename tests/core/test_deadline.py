"""Callbacks have a budget of time: then the decoder returns to its caller."""

import math
import time
from collections.abc import Callable

import pytest

from lsst.ts.mtmount.core import DecoderState, DropReason, FrameBuffer, FrameDecoder, FrameError

from .topics import mixed_codec, mixed_frame

NUM_EMPTY = 131_072


def make_decoder(on_drop: Callable[..., bool | None]) -> FrameDecoder:
    decoder = FrameDecoder(
        lambda *message: None,
        lambda error, message: None,
        on_drop=on_drop,
        on_unsupported=lambda topic_id: None,
    )
    decoder.add_topic(mixed_codec())
    return decoder


@pytest.mark.parametrize("frame", [b"", b"{", b'{"topicID": 4}'], ids=repr)
def test_one_callback_after_the_deadline(frame: bytes) -> None:
    buffer = FrameBuffer()
    decoder = make_decoder(lambda *drop: None)
    buffer.feed((frame + b"\r\n") * 3 + mixed_frame() + b"\r\n")
    passed = time.monotonic()
    states = []
    while (state := decoder.process(buffer, passed)) is DecoderState.YIELDED:
        states.append(state)
    # An unsupported topic ID is told once.
    assert len(states) == (1 if b"topicID" in frame else 3)
    assert state is DecoderState.NEED_MORE
    assert decoder.frames == 4
    assert decoder.published == 1


def test_good_frames_are_not_interrupted() -> None:
    buffer = FrameBuffer()
    decoder = make_decoder(lambda *drop: None)
    buffer.feed((mixed_frame() + b"\r\n") * 100)
    assert decoder.process(buffer, -math.inf) is DecoderState.NEED_MORE
    assert decoder.published == 100


def test_slow_callbacks_do_not_own_the_loop() -> None:
    buffer = FrameBuffer()
    now = time.monotonic()

    def drop_slowly(error: BaseException, frame: bytes) -> None:
        # Stands for a callback that takes its time: the clock goes on.
        while time.monotonic() < now + 0.01:
            pass

    decoder = make_decoder(drop_slowly)
    buffer.feed(b"\r\n" * NUM_EMPTY)
    assert decoder.process(buffer, now + 0.005) is DecoderState.YIELDED
    assert decoder.frames == 1
    assert decoder.process(buffer) is DecoderState.NEED_MORE
    assert decoder.dropped[DropReason.NOT_JSON] == NUM_EMPTY


def test_who_asks_to_end_is_heard_first() -> None:
    buffer = FrameBuffer()
    decoder = make_decoder(lambda *drop: True)
    buffer.feed(b"\r\n" * 2)
    assert decoder.process(buffer, -math.inf) is DecoderState.STOPPED


def test_drop_all_returns_in_time() -> None:
    buffer = FrameBuffer()
    decoder = make_decoder(lambda *drop: None)
    closed = FrameError(DropReason.CLOSED, "")
    buffer.feed(b"\r\n" * NUM_EMPTY)
    assert not decoder.drop_all(buffer, closed, time.monotonic())
    assert decoder.frames < NUM_EMPTY
    assert decoder.drop_all(buffer, closed)
    assert decoder.frames == decoder.dropped[DropReason.CLOSED] == NUM_EMPTY


def test_states_are_an_enum() -> None:
    assert repr(make_decoder(lambda *drop: None).process(FrameBuffer())) == "<DecoderState.NEED_MORE: 0>"
