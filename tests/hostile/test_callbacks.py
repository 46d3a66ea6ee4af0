"""Callbacks that do what they should not, while `FrameProcessor.process` runs."""

import gc
import struct
from collections.abc import Callable
from typing import Any

import pytest

from lsst.ts.mtmount.core import DropReason, FrameBuffer, FrameError, FrameProcessor, ProcessorState

from ..core.topics import MIXED_ID, make_codec, mixed_codec, mixed_frame

OTHER_ID = 7
OTHER_FRAME = b'{"topicID": 7, "x": 1.5}'
BAD_FRAME = b"x" * 300
UNKNOWN_FRAME = b'{"topicID": 12}'


class Callbacks:
    """Callbacks of a processor, each with one act that it runs once."""

    def __init__(self) -> None:
        self.acts: dict[str, Callable[[], object]] = {}
        self.messages: list[bytes] = []
        self.heads: list[bytes] = []
        self.buffer = FrameBuffer()
        self.processor = FrameProcessor(
            self.produce, self.nothing, on_drop=self.on_drop, on_unsupported=self.on_unsupported
        )
        self.processor.add_topic(mixed_codec())
        self.processor.add_topic(make_codec(OTHER_ID, [("x", "double", 1)], {"x": 1}))

    def nothing(self, *_: Any) -> None:
        raise AssertionError("nobody calls this")

    def act(self, name: str) -> None:
        self.acts.pop(name, lambda: None)()

    def produce(self, topic: str, message: bytes, key: bytes, partition: int, on_delivery: Any) -> None:
        self.act("produce")
        self.messages.append(message)

    def on_drop(self, error: BaseException, head: bytes) -> None:
        self.act("on_drop")
        self.heads.append(head)

    def on_unsupported(self, topic_id: int) -> None:
        self.act("on_unsupported")

    def receive(self, *frames: bytes) -> None:
        self.buffer.feed(b"".join(frame + b"\r\n" for frame in frames))

    def process(self) -> int:
        return self.processor.process(self.buffer)

    def check_sum(self) -> None:
        processor = self.processor
        dropped = sum(processor.dropped.values())
        parts = processor.published + dropped + processor.unsupported + processor.handled + processor.pending
        assert processor.frames == parts
        assert processor.published == len(self.messages)


@pytest.fixture
def callbacks() -> Callbacks:
    return Callbacks()


EACH_KIND = {"produce": mixed_frame(), "on_drop": BAD_FRAME, "on_unsupported": UNKNOWN_FRAME}


@pytest.mark.parametrize("name", EACH_KIND)
def test_call_of_process_is_refused(name: str, callbacks: Callbacks) -> None:
    callbacks.acts[name] = callbacks.process
    callbacks.receive(EACH_KIND[name], mixed_frame())
    if name == "produce":
        # An exception of the producer is a refusal of the message.
        assert callbacks.process() == ProcessorState.NEED_MORE
        assert callbacks.processor.dropped[DropReason.REFUSED] == 1
    else:
        with pytest.raises(RuntimeError, match="callbacks"):
            callbacks.process()
        assert callbacks.process() == ProcessorState.NEED_MORE
    assert callbacks.processor.published == 1
    callbacks.check_sum()


@pytest.mark.parametrize("name", EACH_KIND)
def test_bytes_received_meanwhile_come_next(name: str, callbacks: Callbacks) -> None:
    def feed() -> None:
        # More than there is room for: the buffer moves on to other memory.
        tail = callbacks.buffer.get_buffer()
        tail[:] = b"z" * len(tail)
        callbacks.buffer.feed(b"y" * 200_000 + b"\r\n" + mixed_frame(d=2.5) + b"\r\n")

    callbacks.acts[name] = feed
    callbacks.receive(EACH_KIND[name])
    assert callbacks.process() == ProcessorState.NEED_MORE
    assert callbacks.heads[-1] == b"y" * 200
    assert callbacks.heads[:-1] == ([BAD_FRAME[:200]] if name == "on_drop" else [])
    assert callbacks.processor.codecs[MIXED_ID].record.get_field("d") == 2.5
    callbacks.check_sum()


@pytest.mark.parametrize("error", [BufferError, ValueError])
def test_refused_frame_is_reported_whole_though_bytes_came_meanwhile(
    error: type[Exception], callbacks: Callbacks
) -> None:
    def feed_and_fail() -> None:
        # What the buffer had is freed when it moves on to other memory.
        callbacks.buffer.feed(b"y" * 200_000)
        callbacks.buffer.feed(b"y" * 800_000)
        gc.collect()
        raise error

    callbacks.acts["produce"] = feed_and_fail
    callbacks.receive(mixed_frame())
    callbacks.process()
    callbacks.processor.drop_pending(RuntimeError())
    assert callbacks.heads == [mixed_frame()[:200]]
    callbacks.check_sum()


@pytest.mark.parametrize("name", EACH_KIND)
def test_topics_may_go_meanwhile(name: str, callbacks: Callbacks) -> None:
    def remove() -> None:
        for topic_id in list(callbacks.processor.codecs):
            callbacks.processor.remove_topic(topic_id)
        gc.collect()

    callbacks.acts[name] = remove
    callbacks.receive(EACH_KIND[name], mixed_frame(), OTHER_FRAME)
    assert callbacks.process() == ProcessorState.NEED_MORE
    assert callbacks.processor.unsupported == 2 + (name == "on_unsupported")
    callbacks.check_sum()


@pytest.mark.parametrize("name", EACH_KIND)
def test_topics_may_be_replaced_meanwhile(name: str, callbacks: Callbacks) -> None:
    def replace() -> None:
        callbacks.processor.add_topic(mixed_codec())
        gc.collect()

    callbacks.receive(mixed_frame())
    assert callbacks.process() == ProcessorState.NEED_MORE
    callbacks.acts[name] = replace
    callbacks.receive(EACH_KIND[name], mixed_frame(d=8.5))
    assert callbacks.process() == ProcessorState.NEED_MORE
    if name == "produce":
        # That one had been decoded before.
        callbacks.receive(mixed_frame(d=8.5))
        assert callbacks.process() == ProcessorState.NEED_MORE
    assert callbacks.processor.codecs[MIXED_ID].record.get_field("d") == 8.5
    callbacks.check_sum()


def test_codecs_taken_out_of_the_dict_are_not_used_after_they_are_gone(callbacks: Callbacks) -> None:
    callbacks.receive(mixed_frame(), OTHER_FRAME)
    assert callbacks.process() == ProcessorState.NEED_MORE
    callbacks.processor.codecs.clear()
    gc.collect()
    callbacks.receive(mixed_frame(), OTHER_FRAME, BAD_FRAME)
    assert callbacks.process() == ProcessorState.NEED_MORE
    callbacks.check_sum()


@pytest.mark.parametrize("name", EACH_KIND)
@pytest.mark.parametrize("error", [ValueError, FrameError(DropReason.CLOSED, ""), MemoryError], ids=repr)
def test_exceptions_lose_no_frame(name: str, error: Any, callbacks: Callbacks) -> None:
    def fail() -> None:
        raise error

    callbacks.acts[name] = fail
    callbacks.receive(EACH_KIND[name], mixed_frame())
    if name == "produce":
        assert callbacks.process() == ProcessorState.NEED_MORE
    else:
        with pytest.raises(error if isinstance(error, type) else type(error)):
            callbacks.process()
        callbacks.check_sum()
        assert callbacks.process() == ProcessorState.NEED_MORE
    callbacks.check_sum()
    assert callbacks.processor.frames == 2


def test_fields_set_from_outside_keep_what_came_over_the_wire(callbacks: Callbacks) -> None:
    record = callbacks.processor.codecs[MIXED_ID].record
    callbacks.acts["produce"] = lambda: record.set_field("unsent", [5, 6])
    for d in (1.5, 2.5, 3.5):
        callbacks.receive(mixed_frame(d=d))
        assert callbacks.process() == ProcessorState.NEED_MORE
        assert record.get_field("d") == d
        assert not record.set_field("s", "")
        assert record.get_field("d") == d
    callbacks.receive(mixed_frame(d=4.5, da2='"x"'))
    assert callbacks.process() == ProcessorState.NEED_MORE
    assert record.set_field("unsent", [7, 8])
    assert record.get_field("d") == 3.5
    assert record.get_field("unsent") == [7, 8]


def test_queue_that_stays_full(callbacks: Callbacks) -> None:
    def fill() -> None:
        callbacks.acts["produce"] = fill
        raise BufferError

    callbacks.acts["produce"] = fill
    callbacks.receive(mixed_frame(), OTHER_FRAME)
    for _ in range(5):
        assert callbacks.process() == ProcessorState.QUEUE_FULL
        callbacks.check_sum()
        assert callbacks.processor.frames == callbacks.processor.pending == 1
    callbacks.acts.clear()
    assert callbacks.process() == ProcessorState.NEED_MORE
    callbacks.check_sum()
    assert callbacks.processor.published == 2


def stop_in_the_midst(callbacks: Callbacks) -> list[bytes]:
    """Decode frames ahead, of which the producer has no room for the second."""

    def fill() -> None:
        callbacks.acts["produce"] = fail

    def fail() -> None:
        raise BufferError

    # The first one makes a template.
    callbacks.receive(mixed_frame())
    assert callbacks.process() == ProcessorState.NEED_MORE
    frames = [mixed_frame(d=i + 0.5) for i in range(5)]
    callbacks.acts["produce"] = fill
    callbacks.receive(*frames)
    assert callbacks.process() == ProcessorState.QUEUE_FULL
    assert (callbacks.processor.frames, callbacks.processor.published, callbacks.processor.pending) == (
        3,
        2,
        1,
    )
    callbacks.check_sum()
    return frames


def test_frames_decoded_ahead_stay_whole_while_the_queue_is_full(callbacks: Callbacks) -> None:
    def refuse() -> None:
        callbacks.acts["produce"] = refuse
        raise ValueError

    frames = stop_in_the_midst(callbacks)
    later = [mixed_frame(d=i + 100.5) for i in range(500)]
    for frame in later:
        callbacks.receive(frame)
        callbacks.buffer.get_buffer()
    gc.collect()
    callbacks.acts["produce"] = refuse
    assert callbacks.process() == ProcessorState.NEED_MORE
    assert callbacks.heads == [frame[:200] for frame in frames[1:] + later]
    callbacks.check_sum()


def test_frames_decoded_ahead_go_on_in_their_order(callbacks: Callbacks) -> None:
    frames = stop_in_the_midst(callbacks)
    callbacks.receive(BAD_FRAME, mixed_frame(d=7.5))
    assert callbacks.process() == ProcessorState.NEED_MORE
    assert callbacks.heads == [BAD_FRAME[:200]]
    assert callbacks.processor.published == len(frames) + 2
    values = [struct.pack("<d", d) for d in (0.5, 1.5, 2.5, 3.5, 4.5, 7.5)]
    assert all(value in message for value, message in zip(values, callbacks.messages[1:], strict=True))
    callbacks.check_sum()


def test_frames_decoded_ahead_are_dropped_at_the_end(callbacks: Callbacks) -> None:
    frames = stop_in_the_midst(callbacks)
    callbacks.processor.drop_all(callbacks.buffer, FrameError(DropReason.CLOSED, ""))
    assert callbacks.heads == [frame[:200] for frame in frames[1:]]
    assert callbacks.processor.frames == len(frames) + 1
    callbacks.check_sum()


def test_handler_that_ends_late_is_not_counted(callbacks: Callbacks) -> None:
    callbacks.processor.codecs[OTHER_ID].fused = False
    callbacks.receive(OTHER_FRAME, mixed_frame())
    assert callbacks.process() == ProcessorState.NEED_HANDLER
    # The client is closed while the handler works.
    callbacks.processor.drop_all(callbacks.buffer, FrameError(DropReason.CLOSED, ""))
    callbacks.processor.finish_handler()
    callbacks.processor.drop_pending(RuntimeError())
    callbacks.check_sum()
    assert callbacks.processor.dropped[DropReason.CLOSED] == 2
    assert callbacks.processor.handled == 0


def test_own_memory_may_be_fed_and_read_into() -> None:
    buffer = FrameBuffer(b"\n", 1000)
    buffer.feed(b"a" * 3000)
    tail = buffer.get_buffer()
    tail[:6000] = b"bc" * 3000
    buffer.skip(2000)
    # Room is made by moving what is unread: source and target overlap.
    buffer.feed(tail[:6000])
    assert buffer.take(len(buffer)) == b"a" * 1000 + b"bc" * 3000
    buffer.feed(b"d" * 1000)
    target = buffer.get_buffer()[:1100]
    target[:100] = b"e" * 100
    buffer.buffer_updated(100)
    assert buffer.readinto(target) == 1100
    assert target == b"d" * 1000 + b"e" * 100
