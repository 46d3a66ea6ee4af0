"""Each frame of the corpus: the core does what the plain pipeline does, and goes on."""

import pytest

from ..fuzz import stream
from .comparison import Comparison
from .corpus import GOOD, HOSTILE_FRAMES

#: Tests take so many frames each, so that a failure is found fast.
GROUP_SIZE = 200

SMALL_FRAMES = [frame for frame in HOSTILE_FRAMES.values() if len(frame) < 10_000]


def groups() -> list[dict[str, bytes]]:
    items = list(HOSTILE_FRAMES.items())
    return [dict(items[i : i + GROUP_SIZE]) for i in range(0, len(items), GROUP_SIZE)]


def group_id(group: dict[str, bytes]) -> str:
    return next(iter(group)).encode("ascii", "backslashreplace").decode()


@pytest.mark.parametrize("group", groups(), ids=group_id)
def test_frame_after_good_ones(group: dict[str, bytes]) -> None:
    for name, frame in group.items():
        comparison = Comparison.of_mixed_topic()
        try:
            assert comparison.take(GOOD)
            is_good = comparison.take(frame)
            # Whether it became a template must not matter.
            assert comparison.take(frame) is is_good
            assert comparison.take(GOOD)
            assert comparison.take(frame) is is_good
        except AssertionError as error:
            error.add_note(f"frame {name!r}")
            raise


@pytest.mark.parametrize("group", groups(), ids=group_id)
def test_frame_before_good_ones(group: dict[str, bytes]) -> None:
    for name, frame in group.items():
        comparison = Comparison.of_mixed_topic()
        try:
            comparison.take(frame)
            assert comparison.take(GOOD)
        except AssertionError as error:
            error.add_note(f"frame {name!r}")
            raise


def test_one_codec_takes_them_all() -> None:
    comparison = Comparison.of_mixed_topic()
    taken = comparison.take_all(SMALL_FRAMES)
    assert True in taken
    assert False in taken
    assert comparison.take(GOOD)


def test_stream_of_them_all() -> None:
    # Through buffer, decoder and producer; some are over the limit of 1 MiB.
    stream.check(b"\3" + bytes(8) + stream.TERMINATOR.join(HOSTILE_FRAMES.values()))


@pytest.mark.parametrize("world", [b"\3\1\2\3\4\5\6\7\0", b"\3\xff\1\1\1\2\3\1\0", b"\1" + bytes(8)])
def test_stream_with_a_busy_producer(world: bytes) -> None:
    stream.check(world + stream.TERMINATOR.join(SMALL_FRAMES))


@pytest.mark.parametrize("name", ["200,000 members", "key of 1000000", "b'{' often", "all bytes in a string"])
def test_bytes_may_come_in_any_pieces(name: str) -> None:
    frame = HOSTILE_FRAMES[name][:100_000]
    for size in (1, 255):
        stream.check(b"\3" + bytes([size]) * 8 + frame)
