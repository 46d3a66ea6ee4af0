"""Structures of any fields, in any layout: what ctypes encodes is what NumPy sees."""

import ctypes
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lsst.ts.mtmount.core import FrameBuffer, StructArrayReader, encode_structs, read_struct

simple_types = st.sampled_from(
    [
        ctypes.c_int8,
        ctypes.c_uint8,
        ctypes.c_int16,
        ctypes.c_uint16,
        ctypes.c_int32,
        ctypes.c_uint32,
        ctypes.c_int64,
        ctypes.c_uint64,
        ctypes.c_float,
        ctypes.c_double,
        ctypes.c_char,
    ]
)


@st.composite
def structs(draw: st.DrawFn) -> type[Any]:
    """Draw a structure type; its elements may be structures of the same byte order."""
    base = draw(st.sampled_from([ctypes.BigEndianStructure, ctypes.LittleEndianStructure]))
    return draw_struct(draw, base, draw(st.sampled_from([0, 1, 2, 4])), depth=2)


def draw_struct(draw: st.DrawFn, base: type[Any], pack: int, depth: int) -> type[Any]:
    fields: list[tuple[str, type[Any]]] = []
    for i in range(draw(st.integers(1, 5))):
        is_nested = depth > 0 and draw(st.integers(0, 3)) == 0
        element: Any = draw_struct(draw, base, pack, depth - 1) if is_nested else draw(simple_types)
        length = draw(st.integers(0, 3))
        fields.append((f"f{i}", element if length == 0 else element * length))
    attributes: dict[str, Any] = {"_pack_": pack, "_layout_": "ms"} if pack else {}
    # The fields come last, because they are laid out as soon as they are set.
    struct_type: type[Any] = type(base)("Drawn", (base,), {**attributes, "_fields_": fields})  # type: ignore[misc]
    return struct_type


@given(structs(), st.integers(0, 3), st.data())
def test_ctypes_and_numpy_see_the_same(struct_type: type[Any], count: int, data: st.DataObject) -> None:
    size = ctypes.sizeof(struct_type)
    raw = data.draw(st.binary(min_size=count * size, max_size=count * size))
    expected = [struct_type.from_buffer_copy(raw, i * size) for i in range(count)]
    buffer = FrameBuffer()
    buffer.feed(raw)
    read = [struct_type() for _ in range(count)]
    for struct in read:
        read_struct(buffer, struct)
    assert encode_structs(tuple(read)) == b"".join(bytes(struct) for struct in expected) == raw
    buffer.feed(raw)
    array = StructArrayReader(struct_type).read(buffer)
    assert array.tobytes() == raw
    assert array.dtype == np.dtype(struct_type)
    assert array.shape == (count,)
