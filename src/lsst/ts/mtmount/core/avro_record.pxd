from cpython.bool cimport PyBool_Check
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t


cdef enum Kind:
    # How a value of the record is stored and written.
    KIND_DOUBLE
    KIND_FLOAT
    KIND_LONG
    KIND_INT
    KIND_BOOLEAN
    KIND_STRING


# One value of the record: integers and booleans in `i`, floats in `d`,
# strings as an index of Record.strings in `i`.
cdef union Slot:
    double d
    int64_t i


cdef inline bint store_plain(PyObject* value, Kind kind, Slot* slot) noexcept:
    """Store a float for floats, or an int or bool that fits; false: that is for `Record.convert` to do."""
    cdef int64_t integer
    cdef int overflow = 0
    if kind == KIND_STRING:
        return False
    if PyFloat_CheckExact(<object>value):
        if kind == KIND_DOUBLE:
            slot.d = PyFloat_AS_DOUBLE(<object>value)
        elif kind == KIND_FLOAT:
            slot.d = <float>PyFloat_AS_DOUBLE(<object>value)
        else:
            return False
        return True
    if not PyLong_CheckExact(<object>value) and not PyBool_Check(<object>value):
        return False
    integer = PyLong_AsLongLongAndOverflow(<object>value, &overflow)
    if overflow != 0:
        return False
    if kind == KIND_DOUBLE:
        slot.d = <double>integer
    elif kind == KIND_FLOAT:
        slot.d = <float>(<double>integer)
    elif kind == KIND_BOOLEAN:
        slot.i = integer != 0
    elif kind == KIND_INT and integer != <int32_t>integer:
        return False
    else:
        slot.i = integer
    return True


cdef enum OpCode:
    OP_LITERAL
    OP_DOUBLES
    OP_FLOATS
    OP_VARINTS
    OP_BOOLEANS
    OP_STRINGS


# Write `count` values from slot `first` on, or `count` bytes of the literals.
cdef struct Op:
    OpCode code
    Py_ssize_t first
    Py_ssize_t count


cdef class Record:
    cdef readonly tuple field_names
    cdef readonly int64_t num_encoded
    cdef readonly double snd_stamp
    cdef readonly double efd_stamp
    cdef dict _fields
    cdef set _arrays
    cdef list _strings
    # `slots` is the topic's state. `spare` is where a decoder gathers the
    # next one; slots that no decoder fills hold the same in both.
    cdef Slot* slots
    cdef Slot* spare
    cdef Py_ssize_t num_slots
    cdef Op* _ops
    cdef Py_ssize_t _num_ops
    cdef Py_ssize_t _body_size
    cdef Py_ssize_t _fixed_size
    cdef bint _has_variable_size
    cdef str _identity
    cdef int32_t _origin
    cdef bytes _prefix
    cdef bytes _tail
    cdef bytes _literals
    cdef int32_t _seq_num

    cdef void commit(self) noexcept nogil
    cdef bytes encode_values(self, double snd_stamp, double efd_stamp)
    cdef Py_ssize_t _variable_size(self) except -1
    cdef int convert(self, object value, Kind kind, Slot* slot) except -1
    cdef object _value(self, Kind kind, Slot* slot)
    cpdef tuple locate(self, str field_name)
