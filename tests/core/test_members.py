"""Members that a frame lacks, and members that the table lacks."""

from collections.abc import Callable, Collection
from typing import Any

import pytest

from lsst.ts.mtmount.core import DropReason, FrameBuffer, FrameProcessor, ProcessorState, TopicCodec

from .topics import MIXED_FIELDS, MIXED_ID, MIXED_WIRE, make_codec, mixed_data, mixed_frame

TERMINATOR = b"\r\n"


def without(*names: str, **changes: Any) -> bytes:
    """Return a frame that lacks some members."""
    data = mixed_data(**changes)
    frame = mixed_frame(**changes)
    for name in names:
        place = frame.index(b', "%s": ' % name.encode())
        end = frame.find(b", ", place + 1)
        frame = frame[:place] + (frame[end:] if end >= 0 else b"}")
        del data[name]
    return frame


class Member:
    """A processor of the mixed topic, and what it tells of members."""

    def __init__(
        self,
        *,
        is_fused: bool = True,
        accept_incomplete: bool = False,
        ignored: Collection[str] = (),
        on_unknown_member: Callable[[int, str], object] | None = None,
    ) -> None:
        self.news: list[tuple[Any, ...]] = []
        self.errors: list[BaseException] = []
        self.num_messages = 0
        self.buffer = FrameBuffer(TERMINATOR, 1 << 20)
        self.processor = FrameProcessor(
            self.produce,
            lambda error, message: None,
            on_drop=lambda error, frame: self.errors.append(error),
            on_unsupported=lambda topic_id: None,
            on_unknown_member=on_unknown_member or (lambda *news: self.news.append(news)),
            on_missing_member=lambda *news: self.news.append(news),
        )
        self.codec: TopicCodec = make_codec(MIXED_ID, MIXED_FIELDS, MIXED_WIRE, ignored=ignored)
        self.codec.fused = is_fused
        self.codec.preprocessor = lambda data: None
        self.codec.accept_incomplete = accept_incomplete
        self.processor.add_topic(self.codec)

    def produce(self, *message: Any) -> None:
        self.num_messages += 1

    def take(self, *frames: bytes) -> list[tuple[Any, ...]]:
        """Take frames; return what was told of members."""
        self.news.clear()
        for frame in frames:
            self.buffer.feed(frame + TERMINATOR)
        assert self.processor.process(self.buffer) is ProcessorState.NEED_MORE
        return list(self.news)


both_paths = pytest.mark.parametrize("is_fused", [True, False])


@both_paths
def test_missing_member_costs_its_field_only(is_fused: bool) -> None:
    topic = Member(is_fused=is_fused, accept_incomplete=True)
    record = topic.codec.record
    assert topic.take(without("d", "la2")) == [(MIXED_ID, "d", True), (MIXED_ID, "la2", True)]
    assert (record.get_field("d"), record.get_field("la")) == (0.0, [1, 0])
    assert topic.codec.missing_members == ("d", "la2")
    # It is told once.
    assert topic.take(without("d", "la2", l=8)) == []
    assert record.get_field("l") == 8
    assert topic.codec.incomplete == 2
    assert topic.take(without("la2", d=2.5), without("la2", d=3.5)) == [(MIXED_ID, "d", False)]
    assert topic.take(mixed_frame(d=4.5)) == [(MIXED_ID, "la2", False)]
    assert not topic.codec.missing_members
    # By a template now, which is not asked again for what is missing.
    num_before = topic.codec.num_by_template
    for _ in range(3):
        assert topic.take(mixed_frame(d=5.5)) == []
    assert topic.codec.num_by_template == num_before + 3
    assert topic.take(without("d")) == [(MIXED_ID, "d", True)]
    assert record.get_field("d") == 5.5
    assert topic.take(mixed_frame(d=6.5)) == [(MIXED_ID, "d", False)]
    assert record.get_field("d") == 6.5
    assert topic.codec.incomplete == 5
    assert topic.num_messages == topic.processor.published == topic.processor.frames == 10
    assert topic.errors == []


@both_paths
def test_missing_member_costs_the_frame_by_default(is_fused: bool) -> None:
    topic = Member(is_fused=is_fused)
    assert topic.take(mixed_frame(), without("d"), mixed_frame()) == []
    assert topic.processor.dropped[DropReason.MISSING_FIELD] == 1
    assert topic.codec.incomplete == 0
    assert topic.codec.missing_members == ()


@both_paths
def test_bad_value_costs_the_frame_nevertheless(is_fused: bool) -> None:
    topic = Member(is_fused=is_fused, accept_incomplete=True)
    topic.take(mixed_frame(d=2.5))
    assert topic.take(without("d", la2='"x"')) == []
    assert topic.processor.dropped[DropReason.BAD_VALUE] == 1
    assert topic.codec.record.get_field("d") == 2.5
    assert topic.codec.missing_members == ()


@both_paths
def test_unknown_member_is_told_once(is_fused: bool) -> None:
    topic = Member(is_fused=is_fused)
    assert topic.take(mixed_frame(new=1, other='"text"')) == [(MIXED_ID, "new"), (MIXED_ID, "other")]
    assert topic.take(mixed_frame(new=2), mixed_frame(other=[1]), mixed_frame()) == []
    assert topic.codec.unknown_members == ("new", "other")
    # Renamed: the frame is dropped, and both names are told.
    assert topic.take(without("d", dRenamed=1)) == [(MIXED_ID, "dRenamed")]
    assert topic.processor.dropped[DropReason.MISSING_FIELD] == 1


@both_paths
def test_frames_with_unknown_members_are_counted(is_fused: bool) -> None:
    """By template and not, whole and dropped, with new names and known ones."""
    topic = Member(is_fused=is_fused)
    new, plain = mixed_frame(new=1), mixed_frame()
    # More orders than templates are kept.
    orders = [mixed_frame(**dict.fromkeys(names, 1)) for names in ("ab", "ba", "abc", "cab", "c")]
    for frames, count in (
        ([plain] * 3, 0),
        ([new] * 3, 3),
        ([plain, new] * 3, 6),
        ([*orders, plain] * 3, 21),
        # Bad, and without a member of the table.
        ([mixed_frame(new=1, d='"x"')] * 2, 23),
        ([without("d", new=1)] * 2, 25),
        ([mixed_frame(**{f"other{i}": i for i in range(200)})] * 2, 27),
        ([mixed_frame(**{f"member{i}": i}) for i in range(200)], 227),
        ([plain] * 3, 227),
    ):
        topic.take(*frames)
        assert topic.codec.num_with_unknown == count
    assert topic.codec.num_by_template > 0
    # Whichever path frames take, the sum stays.
    topic.codec.fused = not is_fused
    topic.take(plain, new, new)
    assert topic.codec.num_with_unknown == 229


@both_paths
def test_frames_that_lack_members_are_counted_as_well(is_fused: bool) -> None:
    topic = Member(is_fused=is_fused, accept_incomplete=True)
    topic.take(*[without("d", new=1), mixed_frame(), without("d")] * 3)
    assert (topic.codec.incomplete, topic.codec.num_with_unknown) == (6, 3)


@both_paths
def test_members_that_are_to_be_ignored_are_no_news(is_fused: bool) -> None:
    topic = Member(is_fused=is_fused, ignored=[f"old{i}" for i in range(200)])
    old = {f"old{i}": i for i in range(200)}
    frames = [mixed_frame(**old), mixed_frame(**old, new=1)] * 3
    assert topic.take(*frames) == [(MIXED_ID, "new")]
    assert topic.codec.unknown_members == ("new",)
    assert topic.codec.num_with_unknown == 3
    assert topic.num_messages == len(frames)


def test_unknown_members_are_bounded() -> None:
    topic = Member()
    for start in range(0, 1000, 50):
        names = {f"member{i}": i for i in range(start, start + 50)}
        topic.take(mixed_frame(**names))
    assert topic.codec.unknown_members == tuple(f"member{i}" for i in range(100))
    topic = Member()
    ((_, name),) = topic.take(mixed_frame(**{"n" * 1000: 1}))
    assert name == "n" * 127
    assert topic.take(mixed_frame(**{"n" * 100_000: 1})) == []
    ((_, name),) = topic.take(mixed_frame().replace(b'"d"', b'"d": 1, "\xc3\xa9\xf0\x9f\x94\xad"', 1))
    assert name == "é\U0001f52d"


def test_names_are_not_told_where_nobody_asks() -> None:
    topic = Member()
    processor = FrameProcessor(
        topic.produce,
        lambda error, message: None,
        on_drop=lambda *drop: None,
        on_unsupported=lambda topic_id: None,
    )
    processor.add_topic(topic.codec)
    topic.buffer.feed(mixed_frame(new=1) + TERMINATOR)
    assert processor.process(topic.buffer) is ProcessorState.NEED_MORE
    assert topic.codec.unknown_members == ("new",)


@both_paths
def test_exception_of_a_callback_loses_no_frame(is_fused: bool) -> None:
    def fail(*news: Any) -> None:
        raise LookupError

    topic = Member(is_fused=is_fused, on_unknown_member=fail)
    processor = topic.processor
    topic.buffer.feed((mixed_frame(new=1) + TERMINATOR) * 2)
    with pytest.raises(LookupError):
        processor.process(topic.buffer)
    assert processor.process(topic.buffer) is ProcessorState.NEED_MORE
    assert processor.frames == processor.published == 2


@both_paths
def test_exception_of_a_callback_loses_no_news(is_fused: bool) -> None:
    told: list[str] = []

    def fail(topic_id: int, name: str) -> None:
        told.append(name)
        if name != "new3":
            raise KeyboardInterrupt

    topic = Member(is_fused=is_fused, on_unknown_member=fail)
    processor = topic.processor
    topic.buffer.feed((mixed_frame(new1=1, new2=2, new3=3) + TERMINATOR) * 3)
    for names in ["new1"], ["new1", "new2"]:
        with pytest.raises(KeyboardInterrupt):
            processor.process(topic.buffer)
        assert told == names
        assert processor.published == 1
    assert processor.process(topic.buffer) is ProcessorState.NEED_MORE
    assert told == ["new1", "new2", "new3"]
    assert processor.frames == processor.published == 3
