"""Any bytes: the core and the plain pipeline give the same value or both refuse."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsst.ts.mtmount.core import FrameError

from ..oracle import BadFrameError
from .topics import ORIGIN, REV_CODE, STAMP, UTC, mixed_codec, mixed_data, mixed_frame, mixed_twin

number_text = st.one_of(
    st.integers().map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(json.dumps),
    st.floats(width=32).map(json.dumps),
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"-?[0-9]{1,4}\.?[0-9]{0,3}[eE]?[+-]?[0-9]{0,3}", fullmatch=True),
)
json_text = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
).map(json.dumps)
member = st.tuples(st.sampled_from([*mixed_data(), "unknown", "é", "s"]), st.one_of(number_text, json_text))


def assert_same(frames: list[bytes]) -> None:
    codec = mixed_codec()
    twin = mixed_twin()
    for frame in frames:
        try:
            twin.decode_frame(frame)
        except BadFrameError as refusal:
            with pytest.raises(FrameError):
                codec.decode_frame(frame)
                raise AssertionError(f"{frame!r} was taken; the oracle: {refusal}") from refusal
        else:
            codec.decode_frame(frame)
        codec.record.seq_num = 0
        assert codec.record.encode(STAMP, UTC) == twin.encode(STAMP, UTC, 1, REV_CODE, ORIGIN)


@given(st.lists(member, max_size=4))
def test_any_values(changes: list[tuple[str, str]]) -> None:
    changed: dict[str, Any] = dict(changes)
    assert_same([mixed_frame(unknown=0), mixed_frame(**changed), mixed_frame(), mixed_frame(**changed)])


@given(st.permutations(list(mixed_data().items())), st.sampled_from(["", " ", "\n", " \t"]), number_text)
def test_any_order(items: list[tuple[str, Any]], space: str, text: str) -> None:
    frame = (
        "{" + f",{space}".join(f"{json.dumps(k)}{space}:{space}{json.dumps(v)}" for k, v in items) + "}"
    ).encode()
    assert_same([frame, frame.replace(b"1.5", text.encode()), mixed_frame(), frame])


@given(st.data())
def test_mutated_frames(data: st.DataObject) -> None:
    frame = bytearray(mixed_frame(unknown='{"a": [1, "\\u00e9", null]}'))
    good = bytes(frame)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(frame) - 1))
        frame[index] = data.draw(
            st.sampled_from(b'0123456789.eE+-"\\{}[],: \x00\xff\xc3tfnNI') | st.integers(0, 255)
        )
    assert_same([good, bytes(frame), good, bytes(frame)])


@given(st.binary(max_size=200))
@example(b'{"topicID": 99}')
def test_any_bytes(frame: bytes) -> None:
    assert_same([mixed_frame(), frame, mixed_frame()])
