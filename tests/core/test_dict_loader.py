"""Frames as dicts: what json.loads makes of them, in the order of the wire, and what is left in them."""

import json
import sys
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsst.ts.mtmount.core import FrameError, TopicCodec

from ..hostile.corpus import HOSTILE_FRAMES
from .test_topic_codec import VALUES
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


def test_names_that_come_over_the_wire_are_not_interned() -> None:
    """Where interned strings are immortal (CPython 3.12), names that vary would fill the memory."""
    codec = dict_codec()
    frame = mixed_frame()[:-1] + b', "not of the topic": 1}'
    data = codec.load_frame(frame)
    fresh = frame[-21:-5].decode()
    assert fresh in data
    # Nobody has interned it before.
    assert sys.intern(fresh) is fresh
    # Those of the topic are found by their address.
    names = {name: name for name in data}
    assert all(names[name] is name for name in codec.members)


def test_a_topic_that_changes_its_path_makes_new_templates() -> None:
    codec = mixed_codec()
    for fused in (True, False, True):
        codec.fused = fused
        for d in (1.5, 2.5):
            frame = mixed_frame(d=d, new=1)
            assert codec.load_frame(frame) == json.loads(frame)
            codec.decode_frame(frame)
            assert codec.record.get_field("d") == d


def test_a_dict_and_its_values_are_their_owners() -> None:
    codec = dict_codec()
    frames = [mixed_frame(d=i + 0.5, l=i << 40, b=i % 2 == 0, da2=i) for i in range(20)]
    # Whole dicts, single values, and none, so that their floats are free to be used again.
    dicts = [codec.load_frame(frame) for frame in frames[:10]]
    values = [codec.load_frame(frame)["d"] for frame in frames]
    assert [repr(data) for data in dicts] == [repr(json.loads(frame)) for frame in frames[:10]]
    assert values == [i + 0.5 for i in range(20)]
    changed = codec.load_frame(frames[0])
    changed |= {"d": 7.5, "new": 1}
    del changed["l"]
    check_all(codec, frames)
    assert codec.num_by_template == 50


#: What a preprocessor may leave.
LEFT = st.one_of(
    st.floats(),
    st.integers(),
    st.integers(-(1 << 31), 1 << 31),
    st.booleans(),
    st.sampled_from([None, "1", [1], {}, Decimal("1.5"), 10**400]),
    st.floats().map(np.float64),
    st.integers(-100, 100).map(np.int16),
)
NAMES = st.sampled_from([*mixed_data(), "unknown", "new"])
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), NAMES, LEFT),
        st.tuples(st.just("remove"), NAMES, st.none()),
        st.tuples(st.just("move"), NAMES, st.none()),
    ),
    max_size=5,
)


def change(data: dict[str, Any], what: str, name: str, value: Any) -> None:
    if what == "set":
        # A key that is equal, and not the same object.
        data["".join(name)] = value
    elif name in data:
        left = data.pop(name)
        if what == "move":
            data[name] = left


@given(st.lists(CHANGES, max_size=4), st.booleans())
def test_what_is_left_is_gathered(rounds: list[list[tuple[str, str, Any]]], accept_incomplete: bool) -> None:
    codec, plain = dict_codec(), mixed_codec()
    codec.accept_incomplete = plain.accept_incomplete = accept_incomplete
    for number, changes in enumerate([[], [], *rounds, []]):
        data = codec.load_frame(mixed_frame(unknown=1, d=number + 0.5, l=number))
        for what, name, value in changes:
            change(data, what, name, value)
        problems = []
        for taker in (codec, plain):
            try:
                taker.gather(data)
            except FrameError as error:
                problems.append(str(error))
            else:
                problems.append("")
        assert problems[0] == problems[1]
        assert repr(codec.record.values()) == repr(plain.record.values())
        assert codec.missing_members == plain.missing_members
