"""Random numbers of every shape: as float() and int() read them."""

import json
import math
import random
import struct
from collections.abc import Callable

import pytest

from ..core.topics import mixed_frame
from .comparison import Comparison
from .corpus import exact, next_to

NUM_NUMBERS = 3000


def digits(source: random.Random, n: int) -> str:
    return "".join(source.choices("0123456789", k=n))


def any_double(source: random.Random) -> str:
    """Any finite double, in its shortest form."""
    bits = source.getrandbits(64)
    (number,) = struct.unpack("<d", struct.pack("<Q", bits))
    return repr(number) if math.isfinite(number) else any_double(source)


def long_double(source: random.Random) -> str:
    """More digits than a double holds, as printf writes them."""
    number = float(any_double(source))
    return f"{number:.{source.randrange(15, 40)}{source.choice('eE')}}"


def any_digits(source: random.Random) -> str:
    """Digits with a point and an exponent in any place."""
    head = str(source.randrange(10 ** source.randrange(1, 25)))
    tail = digits(source, source.randrange(1, 30))
    exponent = f"{source.choice('eE')}{source.choice(['', '+', '-'])}{source.randrange(400)}"
    return f"{source.choice(['', '-'])}{head}.{tail}{source.choice(['', exponent])}"


def tie(source: random.Random) -> str:
    """A number halfway between two doubles, or hardly beside."""
    power = source.choice([54, 60, 100, 500, 1000, 1075])
    numerator = source.randrange(2**52, 2**53) * 2 + 1 if power < 1075 else source.randrange(2**53) * 2 + 1
    return source.choice(next_to(exact(numerator, power))).decode()


def any_integer(source: random.Random) -> str:
    """Integers around the limits of every type."""
    bits = source.choice([8, 16, 31, 32, 53, 54, 63, 64, 65, 100, 1023, 1024])
    step = source.randrange(-3, 4) * source.choice([1, 2 ** max(bits - 54, 0)])
    return str(source.choice([1, -1]) * (2**bits + step))


@pytest.mark.parametrize("make", [any_double, long_double, any_digits, tie, any_integer])
def test_number_as_python_reads_it(make: Callable[[random.Random], str]) -> None:
    source = random.Random(make.__name__)
    comparison = Comparison.of_mixed_topic()
    assert comparison.take(mixed_frame())
    num_doubles = 0
    for _ in range(NUM_NUMBERS):
        text = make(source)
        json.loads(text)
        comparison.take(mixed_frame(l=text))
        if comparison.take(mixed_frame(d=text)):
            assert comparison.codec.record.get_field("d") == float(text)
            num_doubles += 1
    assert num_doubles > NUM_NUMBERS / 2
    # Whatever their shape, they are read by a template.
    assert comparison.codec.num_by_template >= num_doubles
