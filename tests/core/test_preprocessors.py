"""A preprocessor within the processor: what it leaves is published, what it raises costs the frame."""

import json
import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from lsst.ts.mtmount.core import (
    CallClock,
    DropReason,
    FrameBuffer,
    FrameError,
    FrameProcessor,
    ProcessorState,
)

from .topics import mixed_codec, mixed_frame

TERMINATOR = b"\r\n"


class Recorder(CallClock):
    """A processor of one topic with a preprocessor, and what it tells."""

    def __init__(self, preprocessor: Callable[[dict[str, Any]], object]) -> None:
        self.told: list[Any] = []
        self.buffer = FrameBuffer()
        self.processor = FrameProcessor(
            lambda topic, message, *_: self.told.append("published"),
            lambda error, message: None,
            on_drop=self.note_drop,
            on_unsupported=lambda topic_id: None,
            on_result=lambda data, result: self.told.append((data["d"], result)),
            calls=self,
        )
        self.codec = mixed_codec()
        self.codec.fused = False
        self.codec.preprocessor = preprocessor
        self.codec.description = "of mixed"
        self.processor.add_topic(self.codec)

    def note_first_call(self) -> None:
        self.told.append("first")

    def note_slow_call(self, seconds: float, what: object) -> None:
        self.told.append(("slow", what))

    def note_drop(self, error: BaseException, head: bytes) -> None:
        self.check_sum()
        self.told.append((type(error), head == mixed_frame(), [what for _, what in self.calls]))

    def process(self, *frames: bytes, deadline: float = math.inf) -> ProcessorState:
        self.buffer.feed(b"".join(frame + TERMINATOR for frame in frames))
        return self.processor.process(self.buffer, deadline)

    def check_sum(self) -> None:
        processor = self.processor
        assert processor.frames == processor.published + sum(processor.dropped.values()) + processor.pending


def test_it_gets_the_whole_dict_and_may_change_it() -> None:
    seen: list[str] = []

    def preprocess(data: dict[str, Any]) -> None:
        recorder.check_sum()
        assert recorder.processor.pending == 1
        assert [what for _, what in recorder.calls] == ["of mixed"]
        seen.append(repr(data))
        data["d"] *= 2

    recorder = Recorder(preprocess)
    # Neither strings nor big integers are in a template.
    frames = [mixed_frame(d=d, unknown=unknown) for d in (1.5, 2.5) for unknown in (1, '"text"', 10**30)]
    for frame in frames:
        assert recorder.process(frame) is ProcessorState.NEED_MORE
        assert recorder.codec.record.get_field("d") == 2 * json.loads(frame)["d"]
    assert seen == [repr(json.loads(frame)) for frame in frames]
    assert recorder.told == ["first", *["published"] * 6]
    assert recorder.processor.preprocessed == 6
    assert (recorder.calls, recorder.processor.pending) == ([], 0)
    assert 0 < recorder.spent < 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_it_raises_costs_the_frame(error: type[BaseException]) -> None:
    def preprocess(data: dict[str, Any]) -> None:
        raise error

    recorder = Recorder(preprocess)
    if error is ValueError:
        assert recorder.process(mixed_frame()) is ProcessorState.NEED_MORE
    else:
        with pytest.raises(error):
            recorder.process(mixed_frame())
    # The call goes on while the drop is reported: that names it.
    assert recorder.told == ["first", (error, True, ["of mixed"])]
    assert recorder.calls == []
    assert recorder.processor.dropped[DropReason.HANDLER] == 1
    recorder.check_sum()
    recorder.codec.preprocessor = None
    recorder.codec.fused = True
    assert recorder.process(mixed_frame()) is ProcessorState.NEED_MORE
    assert recorder.processor.published == 1


@pytest.mark.parametrize("last", [mixed_frame(d=3), b"not JSON"], ids=["like the others", "unlike"])
def test_what_follows_a_frame_that_ends_the_program_is_counted(last: bytes) -> None:
    def preprocess(data: dict[str, Any]) -> None:
        if data["d"] == 2.5:
            raise SystemExit

    recorder = Recorder(preprocess)
    with pytest.raises(SystemExit):
        recorder.process(mixed_frame(), mixed_frame(d=2.5), last)
    recorder.check_sum()
    assert recorder.process() is ProcessorState.NEED_MORE
    recorder.check_sum()
    assert recorder.processor.frames == 3


def test_what_it_returns_is_looked_at() -> None:
    recorder = Recorder(lambda data: data["l"])
    assert recorder.process(mixed_frame(d=2.5)) is ProcessorState.NEED_MORE
    assert recorder.told == ["first", (2.5, 7), "published"]


def test_the_deadline_is_looked_at_after_each_call() -> None:
    recorder = Recorder(lambda data: None)
    frame = mixed_frame()
    assert recorder.process(*[frame] * 3, deadline=-math.inf) is ProcessorState.YIELDED
    assert recorder.processor.published == 1
    assert recorder.process() is ProcessorState.NEED_MORE
    assert recorder.processor.published == 3


def test_a_slow_call_is_told() -> None:
    def preprocess(data: dict[str, Any]) -> None:
        # Stands for code that takes its time: the clock goes on.
        end = time.monotonic() + 0.02
        while time.monotonic() < end:
            pass

    recorder = Recorder(preprocess)
    recorder.slow_call = 0.01
    recorder.process(mixed_frame())
    assert recorder.told == ["first", ("slow", "of mixed"), "published"]


def test_a_preprocessor_that_takes_itself_away() -> None:
    def preprocess(data: dict[str, Any]) -> None:
        recorder.codec.preprocessor = None
        recorder.codec.fused = True
        recorder.processor.remove_topic(recorder.codec.topic_id)

    recorder = Recorder(lambda data: None)
    recorder.process(mixed_frame(), mixed_frame())
    recorder.codec.preprocessor = preprocess
    assert recorder.process(mixed_frame(d=3.5), mixed_frame()) is ProcessorState.NEED_MORE
    assert recorder.codec.record.get_field("d") == 3.5
    assert recorder.processor.published == 3
    assert recorder.processor.unsupported == 1


class OwnError(FrameError):
    """As a user might extend it."""

    reason: Any = "of my own"

    def __init__(self) -> None:
        """Leave out the base class's."""


class UnhashableError(OwnError):
    """Its reason is not even a key."""

    reason: Any = bytearray()


@pytest.mark.parametrize("error", [OwnError, UnhashableError])
def test_a_reason_that_there_is_not_is_counted_as_that_of_the_user(error: type[FrameError]) -> None:
    def preprocess(data: dict[str, Any]) -> None:
        raise error

    recorder = Recorder(preprocess)
    assert recorder.process(mixed_frame()) is ProcessorState.NEED_MORE
    assert recorder.processor.dropped[DropReason.HANDLER] == 1
    assert recorder.told == ["first", (error, True, ["of mixed"])]
    recorder.check_sum()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("what", ["first", "slow"])
def test_a_clock_that_raises_costs_the_frame(what: str, error: type[BaseException]) -> None:
    class Raising(Recorder):
        def note_first_call(self) -> None:
            if what == "first":
                raise error

        def note_slow_call(self, seconds: float, what: object) -> None:
            raise error

    recorder = Raising(lambda data: None)
    if what == "slow":
        recorder.slow_call = -1.0
    recorder.buffer.feed(mixed_frame() + TERMINATOR)
    if what == "first" and error is ValueError:
        assert recorder.processor.process(recorder.buffer) is ProcessorState.NEED_MORE
    else:
        with pytest.raises(error):
            recorder.processor.process(recorder.buffer)
    recorder.check_sum()
    assert (recorder.processor.dropped[DropReason.HANDLER], recorder.processor.pending) == (1, 0)
    assert recorder.calls == []
    recorder.slow_call = math.inf
    assert recorder.process(mixed_frame()) is ProcessorState.NEED_MORE
    assert recorder.processor.published == 1
    recorder.check_sum()


@pytest.mark.parametrize("name", ["drop_pending", "drop_all"])
def test_a_preprocessor_may_not_drop_its_frame_twice(name: str) -> None:
    def preprocess(data: dict[str, Any]) -> None:
        closed = FrameError(DropReason.CLOSED, "")
        with pytest.raises(RuntimeError, match=f"{name} was called by a preprocessor"):
            if name == "drop_all":
                recorder.processor.drop_all(recorder.buffer, closed)
            else:
                recorder.processor.drop_pending(closed)

    recorder = Recorder(preprocess)
    assert recorder.process(mixed_frame(), mixed_frame(d=2.5)) is ProcessorState.NEED_MORE
    assert recorder.processor.published == 2
    recorder.check_sum()


@pytest.mark.parametrize("was_fused", [True, False])
def test_a_message_that_waits_is_counted_by_the_way_it_took(was_fused: bool) -> None:
    recorder = Recorder(lambda data: None)
    recorder.codec.fused = was_fused
    recorder.process(mixed_frame())
    take, recorder.processor.produce = recorder.processor.produce, refuse
    assert recorder.process(mixed_frame(), mixed_frame(d=2.5)) is ProcessorState.QUEUE_FULL
    recorder.codec.fused = not was_fused
    recorder.processor.produce = take
    assert recorder.process() is ProcessorState.NEED_MORE
    assert recorder.processor.published == 3
    # Of those of a preprocessor the last one had not yet been given to it.
    assert recorder.processor.preprocessed == (0 if was_fused else 2)


def refuse(*message: object) -> None:
    raise BufferError
