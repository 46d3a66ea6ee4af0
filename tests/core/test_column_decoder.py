"""Rows of an array: whatever the messages and the array are, nothing is written beyond its end."""

from typing import Any

import numpy as np
import pytest

from lsst.ts.mtmount.core import ColumnDecoder

from .topics import mixed_codec, mixed_frame

MESSAGE = (1, mixed_frame(d=2.5, l=4))


class Growing(list[tuple[int, bytes]]):
    """As a list to which another thread appends."""

    def __len__(self) -> int:
        return 1


def make_decoder() -> ColumnDecoder:
    return ColumnDecoder(mixed_codec(), ["d", "l"])


def test_messages_that_become_more_than_the_rows() -> None:
    decoder = make_decoder()
    rows = np.zeros(4, decoder.dtype)
    with pytest.raises(ValueError, match="expected a row for each message, got 2 rows"):
        decoder.decode(Growing([MESSAGE] * 3), rows[:2])
    assert rows["d"].tolist() == [2.5, 2.5, 0, 0]


def test_rows_without_memory() -> None:
    decoder = make_decoder()
    with pytest.raises(ValueError, match="expected a row for each message, got 0 rows"):
        decoder.decode([MESSAGE], np.empty((3, 0), decoder.dtype))


@pytest.mark.parametrize("make", [iter, tuple])
def test_fields_are_any_iterable(make: Any) -> None:
    decoder = ColumnDecoder(mixed_codec(), make(["d", "l"]))
    rows = np.zeros(1, decoder.dtype)
    assert decoder.decode([MESSAGE], rows) == 1
    assert rows.tolist() == [(1, 2.5, 4)]
