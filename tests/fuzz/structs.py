"""Structures: read, written and described to NumPy as ctypes itself has them."""

import ctypes
from typing import Any

import numpy as np

from lsst.ts.mtmount.core import FrameBuffer, StructArrayReader, encode_structs, read_struct

from .script import Script

SIMPLE_TYPES: list[Any] = [
    *[ctypes.c_int8, ctypes.c_uint8, ctypes.c_int16, ctypes.c_uint16, ctypes.c_int32, ctypes.c_uint32],
    *[ctypes.c_int64, ctypes.c_uint64, ctypes.c_float, ctypes.c_double, ctypes.c_char],
]
PACKS = [0, 1, 2, 4, 8]
MAX_DEPTH = 2
MAX_FIELDS = 6
MAX_STRUCTS = 5

TOKENS = [b"\xff" * 8, b"\x7f\xf0", b"\0" * 8]


def check(data: bytes) -> None:
    """Make a structure type, and read and write structures of it."""
    script = Script(data)
    base = ctypes.BigEndianStructure if script.byte() & 1 else ctypes.LittleEndianStructure
    struct_type = make_struct(script, base, PACKS[script.byte() % len(PACKS)], MAX_DEPTH)
    size = ctypes.sizeof(struct_type)
    raw = script.rest()
    count = min(len(raw) // size, MAX_STRUCTS)
    expected = [struct_type.from_buffer_copy(raw, i * size) for i in range(count)]

    buffer = FrameBuffer()
    buffer.feed(raw)
    read = tuple(struct_type() for _ in range(count))
    for struct in read:
        read_struct(buffer, struct)
    assert encode_structs(read) == b"".join(map(bytes, expected)) == raw[: count * size]
    assert buffer.take(len(buffer)) == raw[count * size :]

    buffer.feed(raw)
    reader = StructArrayReader(struct_type)
    assert reader.dtype == np.dtype(struct_type)
    array = reader.read(buffer, count)
    assert array.tobytes() == raw[: count * size]
    for i, struct in enumerate(expected):
        check_fields(array[i], struct)
    if len(buffer) < size:
        try:
            read_struct(buffer, struct_type())
        except ValueError:
            return
        raise AssertionError(f"{len(buffer)} bytes made a structure of {size}")


def make_struct(script: Script, base: type[Any], pack: int, depth: int) -> type[Any]:
    """Make a structure type as the script says."""
    fields: list[tuple[str, Any]] = []
    for i in range(1 + script.byte() % MAX_FIELDS):
        choice = script.byte()
        if depth > 0 and choice & 0x80:
            element: Any = make_struct(script, base, pack, depth - 1)
        else:
            element = SIMPLE_TYPES[(choice & 0x0F) % len(SIMPLE_TYPES)]
        length = choice >> 4 & 3
        fields.append((f"f{i}", element * length if length else element))
    attributes: dict[str, Any] = {"_pack_": pack, "_layout_": "ms"} if pack else {}
    # The fields come last, because they are laid out as soon as they are set.
    return type(base)("Made", (base,), {**attributes, "_fields_": fields})  # type: ignore[no-any-return, misc]


def check_fields(item: Any, struct: Any) -> None:
    """Compare the numbers of a NumPy item with those of a structure."""
    for name, _ in struct._fields_:
        check_value(item[name], getattr(struct, name))


def check_value(item: Any, value: Any) -> None:
    if isinstance(value, ctypes.Structure):
        check_fields(item, value)
    elif isinstance(value, ctypes.Array) and not isinstance(value, bytes):
        for one, other in zip(item, value, strict=True):
            check_value(one, other)
    elif isinstance(value, bytes):
        # c_char and arrays of it: NumPy takes the zeros behind for padding.
        assert bytes(item).rstrip(b"\0").startswith(value.rstrip(b"\0"))
    else:
        assert item == value or (item != item and value != value)


def seeds() -> list[bytes]:
    """Return a few structures, small and nested, in both byte orders."""
    numbers = bytes(range(1, 120))
    return [
        bytes([order, pack, fields]) + choices + numbers
        for order in (0, 1)
        for pack in range(len(PACKS))
        for fields, choices in ((0, b"\x09"), (2, b"\x01\x28\x37"), (1, b"\x94\x02\x05\x16\x27\x0a"))
    ]
