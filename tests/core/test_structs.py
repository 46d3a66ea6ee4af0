"""Structures are read and written as ctypes and NumPy themselves do it."""

import ctypes
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from lsst.ts.mtmount.core import FrameBuffer, StructArrayReader, encode_structs, make_dtype, read_struct


class Inner(ctypes.Structure):
    _fields_ = [("flag", ctypes.c_bool), ("angles", ctypes.c_double * 3)]


class Padded(ctypes.Structure):
    _fields_ = [
        ("tiny", ctypes.c_int8),
        ("wide", ctypes.c_uint64),
        ("inner", Inner),
        ("inners", Inner * 2),
        ("letters", ctypes.c_char * 5),
        ("matrix", (ctypes.c_int16 * 2) * 3),
        ("last", ctypes.c_float),
    ]


class Packed(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [
        ("ushort_0", ctypes.c_ushort),
        ("int64_0", ctypes.c_int64),
        ("double_0", ctypes.c_double),
        ("float_0", ctypes.c_float),
    ]


class Big(ctypes.BigEndianStructure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [
        ("tiny", ctypes.c_uint8),
        ("number", ctypes.c_double),
        ("counts", ctypes.c_int32 * 3),
        ("matrix", (ctypes.c_uint16 * 2) * 2),
    ]


class Little(ctypes.LittleEndianStructure):
    _fields_ = [("number", ctypes.c_float), ("count", ctypes.c_uint32)]


class Derived(Little):
    _fields_ = [("more", ctypes.c_int64)]


class Either(ctypes.Union):
    _fields_ = [("number", ctypes.c_double), ("halves", ctypes.c_uint32 * 2)]


STRUCTS: list[type[Any]] = [Inner, Padded, Packed, Big, Little, Derived, Either]


class Empty(ctypes.Structure):
    _fields_ = []


class WithBits(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint8, 3), ("high", ctypes.c_uint8, 5)]


class WithPointer(ctypes.Structure):
    _fields_ = [("pointer", ctypes.POINTER(ctypes.c_int))]


class WithAddress(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p)]


class WithString(ctypes.Structure):
    _fields_ = [("string", ctypes.c_char_p)]


class WithObject(ctypes.Structure):
    _fields_ = [("anything", ctypes.py_object)]


def some_bytes(n: int) -> bytes:
    """Bytes of which no eight in a row are a NaN, which equals nothing."""
    return bytes((7 * i + 1) % 120 for i in range(n))


@pytest.mark.parametrize("struct_type", STRUCTS)
def test_read_struct(struct_type: type[Any]) -> None:
    size = ctypes.sizeof(struct_type)
    buffer = FrameBuffer()
    buffer.feed(b"x" + some_bytes(2 * size) + b"rest")
    buffer.skip(1)
    for expected in (some_bytes(2 * size)[:size], some_bytes(2 * size)[size:]):
        struct = struct_type()
        read_struct(buffer, struct)
        assert bytes(struct) == bytes(struct_type.from_buffer_copy(expected)) == expected
    assert buffer.take(len(buffer)) == b"rest"


def test_read_struct_sets_the_fields() -> None:
    buffer = FrameBuffer()
    buffer.feed(bytes(Packed(1, -2, 3.25, 4.5)) + bytes(Big(5, 6.125, (7, -8, 9), ((1, 2), (3, 4)))))
    packed, big = Packed(), Big()
    read_struct(buffer, packed)
    read_struct(buffer, big)
    assert (packed.ushort_0, packed.int64_0, packed.double_0, packed.float_0) == (1, -2, 3.25, 4.5)
    assert (big.tiny, big.number, list(big.counts)) == (5, 6.125, [7, -8, 9])
    assert [list(row) for row in big.matrix] == [[1, 2], [3, 4]]


@pytest.mark.parametrize("struct_type", STRUCTS)
def test_read_struct_needs_all_bytes(struct_type: type[Any]) -> None:
    size = ctypes.sizeof(struct_type)
    for n in range(size):
        buffer = FrameBuffer()
        buffer.feed(b"\1" * n)
        struct = struct_type()
        with pytest.raises(ValueError, match=f"expected {size} bytes for .*, got {n}"):
            read_struct(buffer, struct)
        assert bytes(struct) == bytes(size)
        assert len(buffer) == n


def test_encode_structs() -> None:
    structs = tuple(struct_type.from_buffer_copy(some_bytes(1000)) for struct_type in STRUCTS)
    assert encode_structs(structs) == b"".join(bytes(struct) for struct in structs)
    assert encode_structs((Empty(),)) == b""
    assert encode_structs(()) == b""


def test_resized_struct_keeps_its_memory() -> None:
    struct = Little(1.5, 2)
    ctypes.resize(struct, 20)
    assert encode_structs((struct,))[:8] == bytes(Little(1.5, 2))
    assert len(encode_structs((struct,))) == 20


@pytest.mark.parametrize("wrong", [b"bytes", bytearray(8), 5, None, Little, ctypes.c_int(3)])
def test_no_structs(wrong: Any) -> None:
    buffer = FrameBuffer()
    buffer.feed(bytes(100))
    with pytest.raises(TypeError, match="expected a .*ctypes.Structure, got"):
        read_struct(buffer, wrong)
    with pytest.raises(TypeError, match="expected a .*ctypes.Structure, got"):
        encode_structs((Little(), wrong))
    assert len(buffer) == 100


@pytest.mark.parametrize("struct_type", STRUCTS)
def test_read_array(struct_type: type[Any]) -> None:
    size = ctypes.sizeof(struct_type)
    data = some_bytes(5 * size)
    buffer = FrameBuffer()
    buffer.feed(b"x" + data + b"r")
    buffer.skip(1)
    reader = StructArrayReader(struct_type)
    assert reader.itemsize == reader.dtype.itemsize == size
    first = reader.read(buffer, 2)
    others = reader.read(buffer)
    assert first.shape == (2,)
    assert others.shape == (3,)
    assert first.tobytes() + others.tobytes() == data
    assert buffer.take(len(buffer)) == b"r"
    assert first.flags.writeable
    for i, element in enumerate([*first, *others]):
        assert_same_values(element, struct_type.from_buffer_copy(data, i * size))


def assert_same_values(element: Any, value: Any) -> None:
    """Compare what NumPy and ctypes see in the same bytes."""
    if isinstance(value, ctypes.Structure | ctypes.Union):
        for name in element.dtype.names:
            assert_same_values(element[name], getattr(value, name))
    elif isinstance(value, bytes):
        # To ctypes an array of characters is a string that ends at a NUL.
        assert element.tobytes() == value
    elif isinstance(value, ctypes.Array):
        assert len(element) == len(value)
        for one, other in zip(element, value, strict=True):
            assert_same_values(one, other)
    else:
        assert element == value


@pytest.mark.parametrize("struct_type", [Inner, Padded, Packed, Big, Little, Either])
def test_dtype_is_that_of_numpy(struct_type: type[Any]) -> None:
    """(NumPy itself does not see the fields of a base class.)"""
    expected: np.dtype[Any] = np.dtype(struct_type)
    assert make_dtype(struct_type) == expected
    data = some_bytes(4 * expected.itemsize)
    buffer = FrameBuffer()
    buffer.feed(data)
    assert np.array_equal(StructArrayReader(struct_type).read(buffer), np.frombuffer(data, expected))


def test_dtype_of_a_derived_structure() -> None:
    dtype = make_dtype(Derived)
    assert dtype.names == ("number", "count", "more")
    assert [dtype.fields[name][1] for name in dtype.names] == [0, 4, 8]  # type: ignore[index]


@pytest.mark.parametrize(
    "ctype",
    [
        *(ctypes.c_byte, ctypes.c_short, ctypes.c_int, ctypes.c_long, ctypes.c_longlong),
        *(ctypes.c_ubyte, ctypes.c_ushort, ctypes.c_uint, ctypes.c_ulong, ctypes.c_ulonglong),
        *(ctypes.c_float, ctypes.c_double, ctypes.c_longdouble, ctypes.c_bool, ctypes.c_char),
    ],
)
def test_dtype_of_simple_types(ctype: type[Any]) -> None:
    assert make_dtype(ctype) == np.dtype(ctype)
    for order in ("__ctype_be__", "__ctype_le__"):
        if hasattr(ctype, order):
            assert make_dtype(getattr(ctype, order)) == np.dtype(getattr(ctype, order))


@pytest.mark.parametrize("struct_type", [WithBits, WithPointer, WithAddress, WithString, WithObject])
def test_no_counterpart_in_numpy(struct_type: type[Any]) -> None:
    with pytest.raises(TypeError, match=r"bit field|expected a type that NumPy has"):
        StructArrayReader(struct_type)


def test_array_reader_arguments() -> None:
    with pytest.raises(ValueError, match="empty"):
        StructArrayReader(Empty)
    for wrong in (ctypes.c_int, int, Little(), None):
        with pytest.raises(TypeError):
            StructArrayReader(wrong)  # type: ignore[arg-type]


def test_array_reader_counts() -> None:
    reader = StructArrayReader(Little)
    buffer = FrameBuffer()
    buffer.feed(bytes(23))
    for count in (3, -2, sys.maxsize):
        with pytest.raises(ValueError, match="expected 0 to 2 structures"):
            reader.read(buffer, count)
    assert len(buffer) == 23
    assert reader.read(buffer, 0).shape == (0,)
    assert reader.read(buffer).shape == (2,)
    assert reader.read(buffer).shape == (0,)
    assert len(buffer) == 7


def test_numpy_is_imported_only_for_arrays() -> None:
    script = """
import ctypes, sys
from lsst.ts.mtmount.core import FrameBuffer, StructArrayReader, encode_structs, read_struct
class Little(ctypes.Structure):
    _fields_ = [("count", ctypes.c_uint32)]
buffer = FrameBuffer()
buffer.feed(encode_structs((Little(1),)) * 2)
read_struct(buffer, Little())
assert "numpy" not in sys.modules
assert StructArrayReader(Little).read(buffer)["count"][0] == 1
assert "numpy" in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    assert result.returncode == 0


def test_references_are_given_back() -> None:
    struct, reader, buffer = Little(), StructArrayReader(Little), FrameBuffer()

    def use() -> None:
        buffer.feed(encode_structs((struct, struct)))
        read_struct(buffer, struct)
        reader.read(buffer)
        with pytest.raises(ValueError, match="expected 8 bytes"):
            read_struct(buffer, struct)

    use()
    before = [sys.getrefcount(thing) for thing in (struct, buffer, reader, reader.dtype, Little)]
    for _ in range(100):
        use()
    assert [sys.getrefcount(thing) for thing in (struct, buffer, reader, reader.dtype, Little)] == before
