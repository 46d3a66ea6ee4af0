"""A whole stream: buffer, processor and producer against a plain account of the same bytes."""

import json
import math
from collections import Counter
from itertools import cycle
from typing import Any

from lsst.ts.mtmount.core import DropReason, FrameBuffer, FrameError, FrameProcessor, ProcessorState

from ..core.topics import MIXED_ID, ORIGIN, REV_CODE, make_codec, mixed_codec, mixed_frame, mixed_twin
from ..hostile.corpus import HOSTILE_FRAMES
from ..oracle import BadFrameError, Problem, TopicTwin, load_object
from .script import Script

TERMINATOR = b"\r\n"
LIMITS = [40, 200, 1000, 1 << 20]
FIELDS = [("x", "double", 1), ("n", "int", 1), ("a", "double", 2), ("timestamp", "double", 1)]
WIRE = {name: count for name, _, count in FIELDS}
CLOCK_ID, HANDLED_ID, PREPROCESSED_ID, LARGE_ID = 7, 8, 9, 300
TOPIC_IDS = (MIXED_ID, CLOCK_ID, HANDLED_ID, PREPROCESSED_ID, LARGE_ID)
#: Bytes of the time stamps, with which a record begins.
STAMPS_SIZE = 32
#: So many calls in a row are refused for a full queue, at most.
MAX_FULL = 3
MAX_REPORTED = 400
#: Of a frame that is too long [bytes].
FRAME_HEAD = 200
#: Chunks have a multiple of this size [bytes].
CHUNK_UNIT = 4

TOKENS = [
    *[TERMINATOR, b'{"topicID": 7, "x": 1, "n": 2, "a1": 3, "a2": 4, "timestamp": 5}', b'"timestamp": '],
    *[
        b'"topicID": 8',
        b'"topicID": 9',
        b'"topicID": 300',
        b'"topicID": 99',
        b'"topicID": 12',
        b"1e999",
        b"null",
        b"}\r\n{",
    ],
]

Event = tuple[Any, ...]


class Choices:
    """What the world around the processor does, the same for the core and for the account of it."""

    def __init__(self, script: bytes) -> None:
        self.script = script or b"\0"
        self.counts: Counter[str] = Counter()
        self.num_full = 0

    def next(self, what: str) -> int:
        """Make the next choice of that kind."""
        self.counts[what] += 1
        return self.script[(self.counts[what] + len(what)) % len(self.script)]

    def produce(self) -> str:
        """Tell what becomes of one call of the producer."""
        choice = self.next("produce") & 7
        if choice == 1 and self.num_full < MAX_FULL:
            self.num_full += 1
            return "full"
        self.num_full = 0
        return "refused" if choice == 2 else "taken"

    def handle(self) -> str:
        """Tell what a handler does with a frame."""
        return ("finish", "drop")[self.next("handle") & 1]

    def preprocess(self) -> str:
        """Tell what a preprocessor does with a frame."""
        return ("leave", "change", "raise", "leave")[self.next("preprocess") & 3]

    def wants_clock(self) -> bool:
        """Tell whether the next time stamp is wanted."""
        return self.next("clock") & 1 == 0

    def deadline(self) -> float:
        """Tell until when frames are taken: for ever, or until user code has run."""
        return (math.inf, -math.inf)[self.next("deadline") & 1]


def check(data: bytes) -> None:
    """Stream the input, a good frame of each topic, and the input once more, where it may be cut.

    The first bytes choose the limit, how much of a dropped frame is reported,
    the sizes of the chunks, and what the producer and the handlers do.
    """
    script = Script(data)
    choice = script.byte()
    limit = LIMITS[choice % len(LIMITS)]
    max_reported = FRAME_HEAD if choice & 0x80 else MAX_REPORTED
    choices = script.take(8)
    again = script.rest()
    stream = TERMINATOR.join([again, *good_frames(), again])
    core = CoreRun(Choices(choices), limit, max_reported)
    account = Account(Choices(choices), limit, max_reported)
    account.take(stream)
    core.take(stream, [*choices, 255])
    core.close()
    compare_events(core.events, account.events)
    core.check_account(account)


def good_frames() -> list[bytes]:
    """A good frame of each topic."""
    small = b'{"topicID": %d, "x": 1.5, "n": -2, "a1": 0.1, "a2": 1e3, "timestamp": 1732400000.25}'
    return [mixed_frame(), *(small % topic_id for topic_id in TOPIC_IDS[1:])]


class RefusalError(Exception):
    """What the producer raises when it refuses a message."""


class PreprocessorError(Exception):
    """What a preprocessor raises."""


def change(data: dict[str, Any], action: str) -> None:
    """Do with a frame's dict what a preprocessor does."""
    if action == "raise":
        raise PreprocessorError
    if action == "change":
        data["x"] = 0.25


class CoreRun:
    """What the core makes of a stream."""

    def __init__(self, choices: Choices, limit: int, max_reported: int) -> None:
        self.choices = choices
        self.events: list[Event] = []
        self.buffer = FrameBuffer(TERMINATOR, limit)
        self.processor = FrameProcessor(
            self.produce, self.acknowledge, on_drop=self.note_drop, on_unsupported=self.note_unsupported
        )
        self.processor.max_reported = max_reported
        self.processor.add_topic(mixed_codec())
        for topic_id in TOPIC_IDS[1:]:
            codec = make_codec(topic_id, FIELDS, WIRE)
            codec.fused = topic_id not in (HANDLED_ID, PREPROCESSED_ID)
            codec.preprocessor = self.preprocess if topic_id == PREPROCESSED_ID else None
            codec.reports_clock = topic_id == CLOCK_ID
            self.processor.add_topic(codec)
        self.processor.clock_is_due = choices.wants_clock()

    def produce(self, topic: str, message: bytes, key: bytes, partition: int, on_delivery: Any) -> None:
        assert (key, partition, on_delivery) == (b"", 0, self.acknowledge)
        outcome = self.choices.produce()
        if outcome == "full":
            raise BufferError
        if outcome == "refused":
            raise RefusalError
        self.events.append(("publish", topic, message[STAMPS_SIZE:]))

    def acknowledge(self, error: object, message: object) -> None:
        raise AssertionError("nobody delivers anything here")

    def note_drop(self, error: BaseException, head: bytes) -> bool:
        problem: Problem = (
            (error.reason, error.field) if isinstance(error, FrameError) else (DropReason.HANDLER, None)
        )
        self.events.append(("drop", problem, head))
        return self.choices.next("stop") & 7 == 3

    def note_unsupported(self, topic_id: int) -> None:
        self.events.append(("unsupported", topic_id))

    def take(self, stream: bytes, sizes: list[int]) -> None:
        """Receive the stream in chunks of these sizes, again and again."""
        start = 0
        for size in cycle(size * CHUNK_UNIT for size in sizes if size > 0):
            self.buffer.feed(stream[start : start + size])
            self.process()
            self.check_sum()
            start += size
            if start >= len(stream):
                break

    def process(self) -> None:
        """Do what the shell does until there is no complete frame left."""
        processor = self.processor
        while True:
            state = processor.process(self.buffer, self.choices.deadline())
            if state == ProcessorState.NEED_MORE:
                break
            self.check_sum()
            if state == ProcessorState.NEED_HANDLER:
                self.handle()
            elif state == ProcessorState.NEED_CLOCK:
                self.events.append(("clock", processor.pending_clock))
                assert not processor.clock_is_due
                processor.clock_is_due = self.choices.wants_clock()
            else:
                assert state in (ProcessorState.QUEUE_FULL, ProcessorState.STOPPED, ProcessorState.YIELDED)

    def handle(self) -> None:
        frame = self.processor.pending_frame
        assert frame is not None
        action = self.choices.handle()
        self.events.append(("handle", action, frame))
        if action == "finish":
            assert repr(self.processor.load_pending()) == repr(json.loads(frame))
            self.processor.finish_handler()
        else:
            self.processor.drop_pending(RuntimeError("the handler failed"))

    def preprocess(self, data: dict[str, Any]) -> None:
        assert self.processor.pending == 1
        self.check_sum()
        action = self.choices.preprocess()
        self.events.append(("preprocess", action, repr(data)))
        change(data, action)

    def close(self) -> None:
        """End with a frame that is cut off, if there is one."""
        self.processor.drop_rest(self.buffer, FrameError(DropReason.CLOSED, "the end"))
        self.processor.drop_all(self.buffer, FrameError(DropReason.CLOSED, "nothing is left"))
        assert len(self.buffer) == 0

    def check_sum(self) -> None:
        """Each frame is somewhere."""
        processor = self.processor
        parts = (
            processor.published + sum(processor.dropped.values()) + processor.unsupported + processor.handled
        )
        assert processor.frames == parts + processor.pending

    def check_account(self, account: "Account") -> None:
        """Compare the counters at the end."""
        processor = self.processor
        self.check_sum()
        assert processor.pending == 0
        assert processor.frames == account.frames
        assert processor.num_bytes == account.bytes
        counts = Counter(event[0] for event in self.events)
        assert processor.published == counts["publish"]
        assert sum(processor.dropped.values()) == counts["drop"]
        assert processor.unsupported == account.unsupported
        assert processor.unsupported_by_id == account.unsupported_by_id


class Account:
    """What must become of a stream, by the plain rules."""

    def __init__(self, choices: Choices, limit: int, max_reported: int) -> None:
        self.choices = choices
        self.limit = limit
        self.max_reported = max_reported
        self.events: list[Event] = []
        self.frames = 0
        self.bytes = 0
        self.unsupported = 0
        self.unsupported_by_id: Counter[int] = Counter()
        self.twins = {MIXED_ID: mixed_twin()} | {
            topic_id: TopicTwin(topic_id, FIELDS, WIRE) for topic_id in TOPIC_IDS[1:]
        }
        self.seq_nums: Counter[int] = Counter()
        self.clock_is_due = choices.wants_clock()

    def take(self, stream: bytes) -> None:
        """Account for each frame of a stream, and for what is left behind the last terminator."""
        *frames, rest = stream.split(TERMINATOR)
        for frame in frames:
            is_long = len(frame) > self.limit
            try:
                if is_long:
                    raise BadFrameError((DropReason.TOO_LONG, None))
                self.take_frame(frame)
            except BadFrameError as error:
                self.drop(frame, error.problems, is_long)
            self.count(frame)
        if rest:
            # Its last byte may have been the first one of the terminator.
            self.drop(rest, frozenset({(DropReason.CLOSED, None)}), len(rest) - 1 > self.limit)
            self.count(rest)

    def count(self, frame: bytes) -> None:
        self.frames += 1
        self.bytes += len(frame)

    def drop(self, frame: bytes, problems: frozenset[Problem], is_long: bool) -> None:
        self.events.append(("drop", problems, frame[: FRAME_HEAD if is_long else self.max_reported]))

    def take_frame(self, frame: bytes) -> None:
        data = load_object(frame)
        topic_id = data.get("topicID")
        if isinstance(topic_id, bool) or not isinstance(topic_id, (int, float)):
            raise BadFrameError((DropReason.TOPIC_ID, None))
        if topic_id not in self.twins:
            self.ignore(topic_id)
            return
        topic_id = int(topic_id)
        if topic_id == CLOCK_ID and self.clock_is_due:
            self.read_clock(data.get("timestamp"))
        if topic_id == HANDLED_ID:
            action = self.choices.handle()
            self.events.append(("handle", action, frame))
            if action == "drop":
                raise BadFrameError((DropReason.HANDLER, None))
            if action == "finish":
                return
        if topic_id == PREPROCESSED_ID:
            action = self.choices.preprocess()
            self.events.append(("preprocess", action, repr(data)))
            try:
                change(data, action)
            except PreprocessorError:
                raise BadFrameError((DropReason.HANDLER, None)) from None
            frame = json.dumps(data).encode()
        twin = self.twins[topic_id]
        twin.decode_frame(frame)
        self.seq_nums[topic_id] += 1
        message = twin.encode(0.0, 0.0, self.seq_nums[topic_id], REV_CODE, ORIGIN)
        self.publish(f"lsst.test.MTMount.topic{topic_id}", message[STAMPS_SIZE:])

    def ignore(self, topic_id: float) -> None:
        try:
            number = int(topic_id)
        except (ValueError, OverflowError):
            raise BadFrameError((DropReason.TOPIC_ID, None)) from None
        if number != topic_id:
            raise BadFrameError((DropReason.TOPIC_ID, None))
        self.unsupported += 1
        self.unsupported_by_id[number] += 1
        if self.unsupported_by_id[number] == 1:
            self.events.append(("unsupported", number))

    def read_clock(self, stamp: Any) -> None:
        if isinstance(stamp, bool) or not isinstance(stamp, (int, float)):
            return
        try:
            stamp = float(stamp)
        except OverflowError:
            return
        if abs(stamp) < float("inf"):
            self.events.append(("clock", stamp))
            self.clock_is_due = self.choices.wants_clock()

    def publish(self, topic: str, message: bytes) -> None:
        while (outcome := self.choices.produce()) == "full":
            pass
        if outcome == "refused":
            raise BadFrameError((DropReason.REFUSED, None))
        self.events.append(("publish", topic, message))


def compare_events(events: list[Event], expected: list[Event]) -> None:
    """Compare what happened with what must happen, one after the other."""
    for event, wanted in zip(events, expected, strict=False):
        is_same = event[0] == wanted[0] and (
            event[1] in wanted[1] and event[2:] == wanted[2:]
            if isinstance(wanted[1], frozenset)
            else event == wanted
        )
        if not is_same:
            raise AssertionError(f"{event!r}, but by the plain rules {wanted!r}")
    if len(events) != len(expected):
        more, missing = events[len(expected) :], expected[len(events) :]
        raise AssertionError(f"{more!r} too much, {missing!r} missing")


def seeds() -> list[bytes]:
    """Return streams of good and hostile frames, with several worlds around them."""
    small = [frame for frame in HOSTILE_FRAMES.values() if len(frame) < 400]
    streams = [
        TERMINATOR.join(good_frames() * 3),
        TERMINATOR.join([*good_frames(), b"", b"x" * 300, b'{"topicID": 12}', *good_frames()]),
        *(TERMINATOR.join(small[i : i + 8]) for i in range(0, len(small), 8)),
    ]
    worlds = [b"\3" + bytes(8), b"\2\1\2\3\4\5\6\7\0", b"\1\x20\xff\1\1\1\2\3\0"]
    return [world + stream for stream in streams for world in worlds]
