"""Frames to records, by templates and by the general decoder."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from lsst.ts.mtmount.core import DropReason, FrameError, Record, TopicCodec

from ..oracle import BadFrameError
from .topics import (
    ORIGIN,
    REV_CODE,
    STAMP,
    UTC,
    golden_records,
    mixed_codec,
    mixed_data,
    mixed_frame,
    mixed_twin,
    packaged_codec,
    packaged_twin,
)


def record_id(vector: dict[str, Any]) -> str:
    return f"{vector['sal_topic']}-{vector['case']}"


@pytest.mark.parametrize("vector", golden_records(), ids=record_id)
def test_golden_record(vector: dict[str, Any]) -> None:
    codec = packaged_codec(vector["topic_id"])
    for _ in range(3):
        codec.decode_frame(vector["line"].encode())
        codec.record.seq_num = vector["seq_num"] - 1
        assert codec.record.encode(STAMP, UTC).hex() == vector["avro_hex"]
    assert (codec.num_general, codec.num_by_template) == (1, 2)


@pytest.mark.parametrize("vector", golden_records(), ids=record_id)
def test_golden_record_of_the_oracle(vector: dict[str, Any]) -> None:
    twin = packaged_twin(vector["topic_id"])
    twin.decode_frame(vector["line"].encode())
    assert twin.encode(STAMP, UTC, vector["seq_num"], REV_CODE, ORIGIN).hex() == vector["avro_hex"]


def test_order_and_spacing_may_change() -> None:
    codec = mixed_codec()
    data = mixed_data()
    reversed_data = dict(reversed(data.items()))
    frames = [
        json.dumps(data).encode(),
        json.dumps(data, indent=1).encode(),
        json.dumps(reversed_data, separators=(",", ":")).encode(),
        b" \t\r\n" + json.dumps(data).encode() + b"  ",
    ]
    expected = None
    for frame in frames * 2:
        codec.decode_frame(frame)
        expected = expected or codec.record.values()
        assert codec.record.values() == expected
    # Each of them may be decoded anew, and is then recognised.
    for frame in frames:
        codec.decode_frame(frame)
        before = codec.num_by_template
        codec.decode_frame(frame)
        assert codec.num_by_template == before + 1


#: JSON text of a value that differs from that of the template, by field.
VALUES = [
    *["0", "-0", "-0.0", "0.0", "1e400", "-1e400", "1e-400", "5e-324", "2.2250738585072014e-308"],
    *["1.7976931348623157e+308", "1.7976931348623159e308", "1E5", "1e+5", "1e05", "123456789012345678"],
    *["9007199254740993", "-9223372036854775808", "9223372036854775807", "9223372036854775808"],
    *["2147483647", "2147483648", "-2147483648", "-2147483649", "2147483647.9", "-0.9", "0.9", "1.9"],
    *["9223372036854774784.0", "9223372036854775808.0", "-9223372036854775808.0", "1e19"],
    *["1" + "0" * 308, "1" + "0" * 309, "-1" + "0" * 400, "0." + "0" * 400 + "1", "3." + "1" * 800],
    *["9" * 4300, "9" * 4301, "-" + "9" * 4300, "0.1e1", "true", "false", "null", "NaN", "Infinity"],
    *["-Infinity", "-NaN", "+1", "01", "-01", "00", "1.", ".5", "-.5", "1.e5", "1e", "1e+", "0x10", "1_0"],
    *["inf", "nan", "-inf", "tru", "True", "nul", "None", "Infinit", "-", "--1", "1-", "1 2", "", " "],
    *['""', '"1"', '"x', "'1'", "[]", "[1]", "{}", '{"a": 1}', "[1,]", "[", "]", "{", '{"a"}', '{"a":}'],
    *["1.7976931348623158079e308", "179769313486231580793e288", "1" * 309, "17976931348623157" + "0" * 292],
    *["179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207"
      "096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764"
      "475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177"
      "904174497792"],
]  # fmt: skip


@pytest.mark.parametrize("name", ["d", "f", "l", "i", "b", "da2", "la1", "ba2", "unknown"])
@pytest.mark.parametrize("text", VALUES, ids=lambda text: repr(text[:24]))
def test_value_as_the_oracle(name: str, text: str) -> None:
    codec = mixed_codec()
    twin = mixed_twin()
    good = mixed_frame(unknown=0)
    odd = mixed_frame(unknown=0) if name == "unknown" else good
    odd = mixed_frame(**({"unknown": 0} | {name: text}))
    for frame in (good, odd, good, odd, odd, good):
        try:
            twin.decode_frame(frame)
        except BadFrameError:
            with pytest.raises(FrameError):
                codec.decode_frame(frame)
        else:
            codec.decode_frame(frame)
        codec.record.seq_num = 41
        assert codec.record.encode(STAMP, UTC) == twin.encode(STAMP, UTC, 42, REV_CODE, ORIGIN)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", DropReason.NOT_JSON),
        (b"   ", DropReason.NOT_JSON),
        (b"garbage", DropReason.NOT_JSON),
        (b"{", DropReason.NOT_JSON),
        (b'{"topicID": 99,}', DropReason.NOT_JSON),
        (b'{"topicID": 99} x', DropReason.NOT_JSON),
        (b'{"topicID": 99}}', DropReason.NOT_JSON),
        (b"\xef\xbb\xbf{}", DropReason.NOT_JSON),
        (b'{"topicID": 99, "a": "\x00"}', DropReason.NOT_JSON),
        (b'{"topicID": 99, "a": "\\x"}', DropReason.NOT_JSON),
        (b'{"topicID": 99, "a": "\\u12"}', DropReason.NOT_JSON),
        (b'{"topicID": 99, "a": ' + b"9" * 4301 + b"}", DropReason.NOT_JSON),
        (b"\xff\xfe{}", DropReason.NOT_UTF8),
        (b'{"topicID": 99, "a": "\xed\xa0\x80"}', DropReason.NOT_UTF8),
        (b'{"topicID": 99, "a": "\xc0\x80"}', DropReason.NOT_UTF8),
        (b'{"topicID": 99, "a": "\xf5\x80\x80\x80"}', DropReason.NOT_UTF8),
        (b"[1, 2]", DropReason.NOT_OBJECT),
        (b"1", DropReason.NOT_OBJECT),
        (b"null", DropReason.NOT_OBJECT),
        (b'"text"', DropReason.NOT_OBJECT),
        (b"[" * 513 + b"]" * 513, DropReason.NESTING),
        (b'{"a":' + b"[" * 512 + b"]" * 512 + b"}", DropReason.NESTING),
        (b"[" * 100_000, DropReason.NESTING),
        (b'{"a":' * 100_000, DropReason.NESTING),
        (b"{}", DropReason.TOPIC_ID),
        (b'{"topicID": true}', DropReason.TOPIC_ID),
        (b'{"topicID": null}', DropReason.TOPIC_ID),
        (b'{"topicID": "99"}', DropReason.TOPIC_ID),
        (b'{"topicID": 99.5}', DropReason.TOPIC_ID),
        (b'{"topicID": [99]}', DropReason.TOPIC_ID),
        (b'{"topicID": NaN}', DropReason.TOPIC_ID),
        (b'{"topicID": 1e400}', DropReason.TOPIC_ID),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_undecodable_frame(frame: bytes, reason: DropReason) -> None:
    codec = mixed_codec()
    good = mixed_frame()
    codec.decode_frame(good)
    values = codec.record.values()
    with pytest.raises(FrameError) as caught:
        codec.decode_frame(frame)
    assert caught.value.reason is reason
    assert codec.record.values() == values
    codec.decode_frame(good)
    assert codec.num_by_template == 1


def test_deepest_nesting_is_taken() -> None:
    codec = mixed_codec()
    codec.decode_frame(mixed_frame(unknown="[" * 511 + "]" * 511))
    codec.decode_frame(mixed_frame(unknown='{"a":' * 510 + "{}" + "}" * 510))
    assert codec.num_general + codec.num_by_template == 2


@pytest.mark.parametrize("topic_id", ["99", "99.0", "9.9e1", "990e-1"])
def test_topic_id_may_be_any_number_that_equals_it(topic_id: str) -> None:
    codec = mixed_codec()
    for _ in range(2):
        codec.decode_frame(mixed_frame(topicID=topic_id))
    assert codec.num_by_template == 1


@pytest.mark.parametrize("member", sorted(set(mixed_data()) - {"topicID"}))
def test_missing_member_is_named(member: str) -> None:
    codec = mixed_codec()
    codec.decode_frame(mixed_frame())
    data = mixed_data()
    del data[member]
    with pytest.raises(FrameError, match=rf"missing field: topic 99: {member}$") as caught:
        codec.decode_frame(json.dumps(data).encode())
    assert caught.value.field == member
    assert caught.value.reason is DropReason.MISSING_FIELD


def test_bad_value_is_named_and_leaves_the_state() -> None:
    codec = mixed_codec()
    codec.decode_frame(mixed_frame())
    values = codec.record.values()
    with pytest.raises(FrameError, match='bad value: topic 99: da2="x"') as caught:
        codec.decode_frame(mixed_frame(d=99, da2='"x"'))
    assert caught.value.offset == mixed_frame(d=99, da2='"x"').index(b'"x"')
    assert codec.record.values() == values


def test_null_keeps_the_previous_value() -> None:
    codec = mixed_codec()
    codec.decode_frame(mixed_frame(d=3.25))
    with pytest.raises(FrameError):
        codec.decode_frame(mixed_frame(d=8, l="NaN"))
    codec.decode_frame(mixed_frame(d="null"))
    assert codec.record.get_field("d") == 3.25


def test_last_of_two_members_counts() -> None:
    codec = mixed_codec()
    codec.decode_frame(mixed_frame())
    for _ in range(2):
        codec.decode_frame(mixed_frame()[:-1] + b', "d": 17, "da3": -1}')
        assert codec.record.get_field("d") == 17
        assert codec.record.get_field("da") == [0.1, 0.2, -1]
        codec.decode_frame(mixed_frame(d='"x"')[:-1] + b', "d": 18}')
        assert codec.record.get_field("d") == 18
    with pytest.raises(FrameError, match="topicID"):
        codec.decode_frame(mixed_frame()[:-1] + b', "topicID": 98}')
    codec.decode_frame(mixed_frame(topicID='"x"')[:-1] + b', "topicID": 99}')


def test_escaped_keys_are_keys() -> None:
    codec = mixed_codec()
    frame = mixed_frame(d=5).replace(b'"d"', b'"\\u0064"').replace(b'"topicID"', b'"topic\\u0049D"')
    frame = frame.replace(b'"la1"', b'"l\\u00611"')
    for _ in range(2):
        codec.decode_frame(frame)
        assert codec.record.get_field("d") == 5
    odd = '{"\\ud800": 1, "d\\n": "\\u00e9\\\\\\"\\/\\b\\f\\r\\t", "\u00e9": "\U0001f52d", '.encode()
    codec.decode_frame(odd + mixed_frame(d=6)[1:])
    assert codec.record.get_field("d") == 6


def test_a_field_of_the_interface_that_is_a_string_takes_only_null() -> None:
    from .topics import make_codec

    codec = make_codec(1, [("s", "string", 1)], {"s": 1})
    codec.decode_frame(b'{"topicID": 1, "s": null}')
    for text in (b'"x"', b"1", b"true", b"[]"):
        with pytest.raises(FrameError):
            codec.decode_frame(b'{"topicID": 1, "s": %s}' % text)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("text", [text for text in VALUES if is_json(text)], ids=lambda text: repr(text[:24]))
@pytest.mark.parametrize("name", ["d", "f", "l", "i", "b", "da2", "la1"])
def test_gather_from_dict_follows_the_same_rules(name: str, text: str) -> None:
    codec = mixed_codec()
    direct = mixed_codec()
    frame = mixed_frame(**{name: text})
    data = json.loads(frame)
    try:
        direct.decode_frame(frame)
    except FrameError as error:
        with pytest.raises(FrameError) as caught:
            codec.gather(data)
        assert (caught.value.reason, caught.value.field) == (error.reason, error.field)
    else:
        codec.gather(data)
    assert codec.record.encode(STAMP, UTC) == direct.record.encode(STAMP, UTC)


def test_truncated_frames_never_pass() -> None:
    codec = mixed_codec()
    frame = mixed_frame(unknown='{"nested": [1, "two\\u00e9", null]}')
    codec.decode_frame(frame)
    for stop in range(len(frame)):
        with pytest.raises(FrameError):
            codec.decode_frame(frame[:stop])
    codec.decode_frame(frame)
    assert codec.num_by_template == 1


@pytest.mark.parametrize("make", [OrderedDict, MappingProxyType])
def test_any_mapping(make: Callable[[Any], Mapping[str, Any]]) -> None:
    record = Record([("x", "double", 1)], schema_id=None, rev_code=REV_CODE, origin=ORIGIN)
    codec = TopicCodec(7, "topic", record, make({"member": ("x", 0)}))
    codec.gather(make({"member": 1.5}))
    assert record.get_field("x") == 1.5
