"""What preprocessors may leave in a dict: one bad frame costs one frame."""

import decimal
import math
from typing import Any, NoReturn

import numpy as np
import pytest

from lsst.ts.mtmount.core import DropReason, FrameBuffer, FrameError, FrameProcessor, ProcessorState

from ..core.topics import MIXED_ID, mixed_codec, mixed_data, mixed_frame


def nothing(*_: Any) -> None:
    pass


def type_name(value: Any) -> str:
    return type(value).__name__


class Nasty:
    """An object that raises whatever is asked of it."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def fail(self) -> NoReturn:
        raise self.error("nasty")

    __float__ = __index__ = __bool__ = __repr__ = fail


BAD_VALUES: list[Any] = [
    *("1", b"1", bytearray(b"1"), np.str_("1"), [1], (1,), {1}, {}, object(), type, len, 1j, ...),
    *(np.array([1, 2]), Nasty(KeyError), Nasty(ArithmeticError), Nasty(UnicodeError)),
    *("x" * 1_000_000, [[[]]] * 100_000, "\ud800"),
]  # fmt: skip

# For a boolean field, they are true.
BAD_NUMBERS: list[Any] = [10**5000, -(10**5000), decimal.Decimal("sNaN")]

BAD_MEMBERS = [
    *((name, value) for name in ("d", "f", "l", "i", "b", "da2", "la1", "ba2") for value in BAD_VALUES),
    *((name, value) for name in ("d", "f", "l", "i", "da2", "la1") for value in BAD_NUMBERS),
]


@pytest.mark.parametrize(("name", "value"), BAD_MEMBERS, ids=type_name)
def test_bad_value_is_a_bad_frame(name: str, value: Any) -> None:
    codec = mixed_codec()
    codec.gather(mixed_data(d=3.5))
    with pytest.raises(FrameError) as caught:
        codec.gather(mixed_data(d=4.5) | {name: value})
    assert (caught.value.reason, caught.value.field) == (DropReason.BAD_VALUE, name)
    assert len(str(caught.value)) < 300
    assert codec.record.get_field("d") == 3.5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(np.float64(1.5), 1.5), (np.float32(0.5), 0.5), (np.int8(-3), -3.0), (np.bool_(True), 1.0)],
        *[(decimal.Decimal("2.25"), 2.25), (np.array(4.5), 4.5), (True, 1.0), (math.inf, math.inf)],
    ],
)
def test_numbers_of_any_type_are_taken(value: Any, expected: float) -> None:
    codec = mixed_codec()
    codec.gather(mixed_data(d=value))
    assert codec.record.get_field("d") == expected


@pytest.mark.parametrize("value", [Nasty(RuntimeError), 10**5000, "x", None], ids=type_name)
def test_decoder_drops_the_frame_and_goes_on(value: Any) -> None:
    messages: list[bytes] = []
    errors: list[BaseException] = []
    processor = FrameProcessor(
        lambda topic, message, *_: messages.append(message),
        nothing,
        on_drop=lambda error, head: errors.append(error),
        on_unsupported=nothing,
    )
    changes = iter([{"da1": value}, {}])
    codec = mixed_codec()
    codec.fused = False
    codec.preprocessor = lambda data: data.update(next(changes))
    processor.add_topic(codec)
    buffer = FrameBuffer()
    buffer.feed((mixed_frame() + b"\r\n") * 2)
    assert processor.process(buffer) == ProcessorState.NEED_MORE
    assert [error.reason for error in errors if isinstance(error, FrameError)] == [DropReason.BAD_VALUE]
    assert len(messages) == processor.published == 1
    assert processor.codecs[MIXED_ID].record.get_field("da") == [0.1, 0.2, 0.3]
