"""What a frame processor tells of the frames that it drops."""

import asyncio
from typing import Any

import pytest

from lsst.ts.mtmount.core import DropReason, FrameBuffer, FrameError, FrameProcessor, ProcessorState

from .topics import mixed_codec, mixed_frame

LIMIT = 100_000


class Recorder:
    """A processor whose producer and callbacks belong to a test."""

    def __init__(self) -> None:
        self.drops: list[tuple[BaseException, bytes]] = []
        self.messages: list[bytes] = []
        self.refusal: BaseException | None = None
        self.buffer = FrameBuffer(b"\r\n", LIMIT)
        self.processor = FrameProcessor(
            self.produce,
            lambda error, message: None,
            on_drop=lambda *drop: self.drops.append(drop),
            on_unsupported=lambda topic_id: None,
        )
        self.codec = mixed_codec()
        self.processor.add_topic(self.codec)

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, on_delivery: Any) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.messages.append(value)

    def process(self, data: bytes) -> int:
        self.buffer.feed(data)
        return self.processor.process(self.buffer)

    def check_sum(self) -> None:
        processor = self.processor
        assert processor.frames == processor.published + sum(processor.dropped.values()) + processor.pending


CUT_OFF = FrameError(DropReason.CUT_OFF, "")


@pytest.mark.parametrize("rest", [b"", b"{", mixed_frame(), mixed_frame() + b"\r"])
def test_what_came_of_a_frame_is_dropped(rest: bytes) -> None:
    recorder = Recorder()
    assert recorder.process(mixed_frame() + b"\r\n" + rest) == ProcessorState.NEED_MORE
    for _ in range(2):
        recorder.processor.drop_rest(recorder.buffer, CUT_OFF)
        assert len(recorder.buffer) == 0
        assert recorder.drops == ([(CUT_OFF, rest[:200])] if rest else [])
        assert recorder.processor.num_bytes == len(mixed_frame()) + len(rest)
        recorder.check_sum()


def test_what_came_of_an_over_long_frame_is_dropped() -> None:
    recorder = Recorder()
    for _ in range(3):
        assert recorder.process(b"x" * LIMIT) == ProcessorState.NEED_MORE
    recorder.processor.drop_rest(recorder.buffer, CUT_OFF)
    assert recorder.drops == [(CUT_OFF, b"x" * 200)]
    assert recorder.processor.num_bytes == 3 * LIMIT
    # The buffer has forgotten it.
    recorder.process(mixed_frame() + b"\r\n")
    assert recorder.processor.published == 1
    recorder.check_sum()


@pytest.mark.parametrize("max_reported", [10, 200, LIMIT])
def test_how_much_is_reported(max_reported: int) -> None:
    recorder = Recorder()
    recorder.processor.max_reported = max_reported
    bad = b"[" + b"x" * 5000
    too_long = b"y" * (LIMIT + 1)
    recorder.process(bad + b"\r\n" + too_long + b"\r\n" + bad)
    recorder.processor.drop_rest(recorder.buffer, CUT_OFF)
    heads = [head for _, head in recorder.drops]
    # The core keeps no more of a frame that is too long.
    assert heads == [bad[:max_reported], too_long[: min(max_reported, 200)], bad[:max_reported]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no", DropReason.REFUSED),
        ("KafkaError{code=TOPIC_AUTHORIZATION_FAILED,val=29}", DropReason.NOT_AUTHORIZED),
        ("KafkaError{code=_UNKNOWN_TOPIC,val=-188}", DropReason.NO_KAFKA_TOPIC),
        ("KafkaError{code=_UNKNOWN_PARTITION,val=-190}", DropReason.NO_KAFKA_TOPIC),
    ],
)
def test_refused_frame_is_reported(text: str, reason: DropReason) -> None:
    recorder = Recorder()
    recorder.processor.max_reported = LIMIT
    recorder.refusal = RuntimeError(text)
    recorder.process(mixed_frame() + b"\r\n")
    ((error, frame),) = recorder.drops
    assert isinstance(error, FrameError)
    assert error.reason is reason
    assert frame == mixed_frame()
    recorder.check_sum()


@pytest.mark.parametrize("is_fused", [True, False])
def test_frame_that_waits_for_room_is_reported(is_fused: bool) -> None:
    recorder = Recorder()
    recorder.processor.max_reported = LIMIT
    recorder.codec.fused = is_fused
    recorder.codec.preprocessor = lambda data: None
    recorder.refusal = BufferError()
    assert recorder.process(mixed_frame() + b"\r\n" + b"rest\r\n") == ProcessorState.QUEUE_FULL
    assert recorder.processor.process(recorder.buffer) == ProcessorState.QUEUE_FULL
    closed = FrameError(DropReason.CLOSED, "")
    recorder.processor.drop_all(recorder.buffer, closed)
    assert recorder.drops == [(closed, mixed_frame()), (closed, b"rest")]
    recorder.check_sum()


def test_frame_that_got_room_is_forgotten() -> None:
    recorder = Recorder()
    recorder.refusal = BufferError()
    assert recorder.process(mixed_frame() + b"\r\n") == ProcessorState.QUEUE_FULL
    recorder.refusal = None
    assert recorder.processor.process(recorder.buffer) == ProcessorState.NEED_MORE
    recorder.processor.drop_pending(CUT_OFF)
    assert recorder.drops == []
    assert len(recorder.messages) == recorder.processor.published == 1
    recorder.check_sum()


class MuteError(Exception):
    """An error that cannot be told."""

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, MuteError])
def test_a_producer_that_raises_anything_loses_no_frame(error: type[BaseException]) -> None:
    recorder = Recorder()
    # The next ones are decoded ahead.
    recorder.process(mixed_frame() + b"\r\n")
    recorder.refusal = error()
    for _ in range(2):
        if error in (KeyboardInterrupt, SystemExit):
            with pytest.raises(error):
                recorder.process(mixed_frame() + b"\r\n")
        else:
            assert recorder.process(mixed_frame() + b"\r\n") == ProcessorState.NEED_MORE
        recorder.check_sum()
    assert recorder.processor.dropped[DropReason.REFUSED] == 2
    assert [cause.__cause__ for cause, _ in recorder.drops] == [recorder.refusal] * 2
    recorder.refusal = None
    recorder.process(mixed_frame() + b"\r\n")
    assert recorder.processor.published == 2
    recorder.check_sum()
