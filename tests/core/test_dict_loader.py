"""Frames as dicts: what json.loads makes of them, in the order of the wire."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsst.ts.mtmount.core import FrameError, TopicCodec

from ..hostile.corpus import HOSTILE_FRAMES
from .test_codec import VALUES
from .topics import golden_records, mixed_codec, mixed_data, mixed_frame, packaged_codec


def dict_codec() -> TopicCodec:
    codec = mixed_codec()
    codec.fused = False
    return codec


def check_all(codec: TopicCodec, frames: Iterable[bytes]) -> None:
    """Load frames with and without a template; repr tells 1 from 1.0 and True, and -0.0 from 0.0."""
    for frame in frames:
        try:
            data = codec.load_frame(frame)
        except FrameError:
            continue
        assert repr(data) == repr(json.loads(frame)), frame[:300]


@pytest.mark.parametrize("record", golden_records(), ids=lambda r: f"{r['topic_id']} {r['case']}")
def test_golden_frames(record: dict[str, object]) -> None:
    codec = packaged_codec(int(str(record["topic_id"])))
    codec.fused = False
    check_all(codec, [str(record["line"]).encode()] * 3)
    # Only numbers have a short way.
    assert codec.num_by_template == (0 if record["case"] == "edge" else 2)


@pytest.mark.parametrize("name", ["d", "i", "b", "unknown", "d\\u00e9", "topicID", "\\u0064"])
def test_values(name: str) -> None:
    for text in VALUES:
        good = mixed_frame(unknown=0)
        odd = mixed_frame(**{"unknown": 0, name: text})
        check_all(dict_codec(), [good, odd, good, odd, odd, good])


def test_hostile_frames() -> None:
    codec = dict_codec()
    good = mixed_frame()
    for frame in HOSTILE_FRAMES.values():
        if len(frame) < 100_000:
            check_all(codec, [good, frame, frame])


@given(st.permutations(list(mixed_data().items())), st.sampled_from(["", " ", "\n"]))
def test_any_order(items: list[tuple[str, object]], space: str) -> None:
    members = f",{space}".join(f"{json.dumps(key)}:{space}{json.dumps(value)}" for key, value in items)
    frame = ("{" + members + "}").encode()
    check_all(dict_codec(), [frame, mixed_frame(), frame, frame])


def test_member_that_is_there_twice() -> None:
    frames = [mixed_frame()[:-1] + end for end in (b', "d": 2}', b', "new": 1, "x": 2, "new": 3}')]
    check_all(dict_codec(), frames * 3)


def test_a_topic_that_changes_its_path_makes_new_templates() -> None:
    codec = mixed_codec()
    for fused in (True, False, True):
        codec.fused = fused
        for d in (1.5, 2.5):
            frame = mixed_frame(d=d, new=1)
            assert codec.load_frame(frame) == json.loads(frame)
            codec.decode_frame(frame)
            assert codec.record.get_field("d") == d
