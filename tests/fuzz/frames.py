"""Frames of one topic, taken into its record and as dicts: the codec against json.loads and fastavro."""

from functools import cache

from lsst.ts.mtmount.core import FrameError, TopicCodec

from ..core.topics import (
    golden_records,
    mixed_codec,
    mixed_frame,
    mixed_twin,
    packaged_codec,
    packaged_twin,
)
from ..hostile.comparison import Comparison
from ..hostile.corpus import HOSTILE_FRAMES
from ..oracle import BadFrameError, TopicTwin

#: Ends a frame within an input.
SEPARATOR = b"\r\n"
#: More frames than this show nothing new.
MAX_FRAMES = 8
#: Bit of an input's first byte: are incomplete frames taken?
INCOMPLETE = 0x80

TOKENS = [
    *[b"{", b"}", b"[", b"]", b":", b", ", b'"', b"\\", b"\\u00", b"\\ud800", b"\r\n", b"{}", b"[]", b'""'],
    *[b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-0.0", b"e-", b"0."],
    *[b"9223372036854775808", b"-2147483649", b"1e308", b"5e-324", b"\xc3\xa9", b"\xed\xa0\x80"],
    *[b'"topicID": 99', b'"d": ', b'"l": ', b'"da2": ', b'"b": ', b'"unknown": ', b'"\\u0064": '],
]  # fmt: skip


def check(data: bytes) -> None:
    """Decode a good frame, those of the input, and a good one again.

    The first byte chooses the topic, and whether incomplete frames are taken.
    """
    if not data:
        return
    number = data[0] & ~INCOMPLETE
    codec, twin, good = make_topic(number)
    codec.accept_incomplete = twin.accept_incomplete = bool(data[0] & INCOMPLETE)
    comparison = Comparison(codec, twin)
    loader = make_topic(number)[0]
    loader.fused = False
    frames = [good, *data[1:].split(SEPARATOR)[:MAX_FRAMES], good]
    taken = comparison.take_all(frames)
    assert taken[0]
    assert taken[-1]
    for frame in frames:
        compare_dicts(loader, twin, frame)


def compare_dicts(loader: TopicCodec, twin: TopicTwin, frame: bytes) -> None:
    """Load a frame with the core and with json.loads; both must refuse it, or give the same dict."""
    try:
        expected = twin.load(frame)
    except BadFrameError:
        expected = None
    try:
        loaded = loader.load_frame(frame)
    except FrameError:
        loaded = None
    # The texts, so that types, the order of the keys and NaN count.
    if repr(loaded) != repr(expected):
        raise AssertionError(f"{frame[:300]!r} became {loaded!r:.1000}; json.loads: {expected!r:.1000}")


def make_topic(number: int) -> tuple[TopicCodec, TopicTwin, bytes]:
    """Make a topic's codec and twin in their first state, and a good frame of it."""
    ids = list(good_frames())
    topic_id = ids[number % len(ids)]
    good = good_frames()[topic_id]
    if topic_id is None:
        return mixed_codec(), mixed_twin(), good
    return packaged_codec(topic_id), packaged_twin(topic_id), good


@cache
def good_frames() -> dict[int | None, bytes]:
    """A good frame of the mixed topic (None) and of each packaged one."""
    packaged = {record["topic_id"]: record["line"].encode() for record in golden_records()}
    return {None: mixed_frame(unknown='{"a": [1, "\\u00e9", null]}')} | packaged


def seeds() -> list[bytes]:
    """Return good frames of each topic, and small hostile ones of the mixed topic."""
    numbered = enumerate(good_frames().values())
    hostile = [frame for frame in HOSTILE_FRAMES.values() if len(frame) < 1000]
    return [bytes([number]) + frame for number, frame in numbered] + [
        bytes([choice]) + frame for frame in hostile for choice in (0, INCOMPLETE)
    ]
