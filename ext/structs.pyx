"""ctypes structures, copied straight between their own memory and the receive buffer."""

import ctypes

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject_TypeCheck, PyTypeObject
from libc.string cimport memcpy

from lsst.ts.mtmount.core.frame_buffer cimport FrameBuffer

# Kinds of NumPy for the type codes of simple ctypes; the size comes from
# ctypes. Those of pointers and Python objects mean nothing on another machine.
cdef dict KINDS = {
    **dict.fromkeys("bhilq", "i"),
    **dict.fromkeys("BHILQ", "u"),
    **dict.fromkeys("fdg", "f"),
    "?": "b",
    "c": "S",
}


cdef tuple STRUCT_TYPES = (ctypes.Structure, ctypes.Union)
cdef object Structure = ctypes.Structure
cdef object Union = ctypes.Union


cdef int check_struct(object struct) except -1:
    # Not isinstance, which looks up the metaclass's __instancecheck__ each time.
    if not PyObject_TypeCheck(struct, <PyTypeObject*>Structure) and not PyObject_TypeCheck(
        struct, <PyTypeObject*>Union
    ):
        raise TypeError(f"expected a ctypes.Structure, got {type(struct).__name__}")
    return 0


def read_struct(buffer: FrameBuffer, struct: ctypes.Structure) -> None:
    """Fill a structure with the first unread bytes, which are consumed.

    ValueError if there are fewer than ``ctypes.sizeof(struct)``; nothing is consumed then.
    """
    cdef Py_buffer view
    cdef Py_ssize_t num_unread = 0
    cdef const unsigned char* unread
    check_struct(struct)
    PyObject_GetBuffer(struct, &view, PyBUF_WRITABLE)
    try:
        unread = buffer.unread(&num_unread)
        if view.len > num_unread:
            raise ValueError(
                f"expected {view.len} bytes for {type(struct).__name__}, got {num_unread}"
            )
        memcpy(view.buf, unread, view.len)
        buffer.consume(view.len)
    finally:
        PyBuffer_Release(&view)


def encode_structs(structs: tuple[ctypes.Structure, ...]) -> bytes:
    """Return the memory of structures, one behind the other."""
    cdef Py_buffer view
    cdef Py_ssize_t size = 0
    cdef Py_ssize_t offset = 0
    cdef bytes data
    for struct in structs:
        check_struct(struct)
        PyObject_GetBuffer(struct, &view, PyBUF_SIMPLE)
        size += view.len
        PyBuffer_Release(&view)
    data = PyBytes_FromStringAndSize(NULL, size)
    for struct in structs:
        PyObject_GetBuffer(struct, &view, PyBUF_SIMPLE)
        try:
            # Another thread may have resized a structure since.
            if view.len > size - offset:
                raise ValueError(f"{type(struct).__name__} was resized meanwhile")
            memcpy(PyBytes_AS_STRING(data) + offset, view.buf, view.len)
            offset += view.len
        finally:
            PyBuffer_Release(&view)
    if offset != size:
        raise ValueError("a structure was resized meanwhile")
    return data


def make_dtype(ctype) -> object:
    """Describe a ctypes structure, or the type of one of its fields, to NumPy.

    With the same names, offsets, byte orders and size. TypeError for bit fields, pointers, wide
    characters and Python objects.
    """
    # Here, because NumPy takes 13 MB that most programs need not.
    import numpy

    if issubclass(ctype, ctypes.Array):
        return numpy.dtype((make_dtype(ctype._type_), (ctype._length_,)))
    if issubclass(ctype, (ctypes.Structure, ctypes.Union)):
        names, formats, offsets = [], [], []
        for name, field_type in list_fields(ctype):
            names.append(name)
            formats.append(make_dtype(field_type))
            offsets.append(getattr(ctype, name).offset)
        return numpy.dtype(
            {"names": names, "formats": formats, "offsets": offsets, "itemsize": ctypes.sizeof(ctype)}
        )
    code = getattr(ctype, "_type_", None)
    kind = KINDS.get(code) if isinstance(code, str) else None
    if kind is None:
        raise TypeError(f"expected a type that NumPy has, got {ctype.__name__}")
    # A type has both orders as attributes, one of which is the type itself.
    is_big = getattr(ctype, "__ctype_be__", None) is ctype
    return numpy.dtype(f"{'>' if is_big else '<'}{kind}{ctypes.sizeof(ctype)}")


cdef list list_fields(object ctype):
    """Names and types of all fields, those of base classes first."""
    cdef list fields = []
    for base in reversed(ctype.__mro__):
        for field in base.__dict__.get("_fields_", ()):
            if len(field) != 2:
                raise TypeError(f"expected no bit fields, got {ctype.__name__}.{field[0]}")
            fields.append(field)
    return fields


@cython.final
cdef class StructArrayReader:
    """Reads consecutive structures of one type into a NumPy array.

    TypeError if `make_dtype` refuses the type, ValueError if the structure is empty.

    Attributes
    ----------
    dtype : `numpy.dtype`
        What `make_dtype` made of it.
    itemsize : `int`
        Size of one structure [bytes].
    """

    cdef readonly object dtype
    cdef readonly Py_ssize_t itemsize
    cdef object _ndarray

    def __cinit__(self, struct_type) -> None:
        if not issubclass(struct_type, STRUCT_TYPES):
            raise TypeError(f"expected a subclass of ctypes.Structure, got {struct_type.__name__}")
        self.itemsize = ctypes.sizeof(struct_type)
        if self.itemsize == 0:
            raise ValueError(f"expected a structure with fields, got {struct_type.__name__}, which is empty")
        self.dtype = make_dtype(struct_type)
        import numpy

        self._ndarray = numpy.ndarray

    def read(self, buffer: FrameBuffer, Py_ssize_t count=-1) -> object:
        """Return and consume structures: a one-dimensional array, writable, with memory of its own.

        A count of -1: as many as are complete. ValueError if fewer are complete; nothing is
        consumed then.
        """
        cdef Py_ssize_t num_unread = 0
        cdef const unsigned char* unread = buffer.unread(&num_unread)
        cdef Py_ssize_t complete = num_unread // self.itemsize
        if count == -1:
            count = complete
        if not 0 <= count <= complete:
            raise ValueError(f"expected 0 to {complete} structures, as complete, got {count}")
        data = PyByteArray_FromStringAndSize(<const char*>unread, count * self.itemsize)
        # At once: from here on other code may run, as a garbage collection's.
        buffer.consume(count * self.itemsize)
        return self._ndarray(count, self.dtype, data)
