from libc.stdint cimport int64_t
from libcpp cimport bool as cpp_bool
from libcpp.string cimport string
from libcpp.vector cimport vector

from lsst.ts.mtmount.core.record cimport Kind, Record
from lsst.ts.mtmount.core.scanner cimport JsonScanner, JsonType


cdef extern from "template.hpp" namespace "mtmount" nogil:
    # One step of a template: these bytes, then the value of this member.
    cppclass Step:
        Py_ssize_t literal
        Py_ssize_t length
        Py_ssize_t slot
        int kind
        cpp_bool is_element
        cpp_bool is_ignored

    cppclass Template:
        vector[Step] steps
        string literals
        Py_ssize_t tail
        Py_ssize_t topic_id_position
        int64_t last_use

    cpp_bool are_equal(const char*, const char*, Py_ssize_t)

    cppclass NameTable:
        void add(const char*, size_t) except +
        Py_ssize_t find(const char*, size_t)


# What a wire member becomes.
cdef struct WireMember:
    Py_ssize_t slot
    Kind kind
    bint is_element  # of an array: null is an error
    bint is_missing  # in the frame before


cdef class TopicCodec:
    cdef readonly int64_t topic_id
    cdef readonly str kafka_topic
    cdef readonly Record record
    cdef readonly tuple members
    cdef readonly int64_t num_by_template
    cdef readonly int64_t num_general
    cdef readonly int64_t incomplete
    cdef public bint reports_clock
    cdef public bint accept_incomplete
    # What a decoder has to tell of members, see `_note_missing` and `_note_unknown`.
    cdef list news
    cdef bint _fused
    cdef NameTable _names
    cdef vector[WireMember] _wire
    cdef vector[Py_ssize_t] _found
    cdef vector[Py_ssize_t] _order
    cdef vector[Template] _templates
    # For each template the names of its members; None where no dict is wanted.
    cdef list _keys
    cdef size_t _last_template
    cdef dict _unknown
    cdef Py_ssize_t _num_missing
    cdef Py_ssize_t _failed
    cdef JsonScanner _scanner

    cdef int decode_by_template(self, JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9
    cdef int _decode_steps(
        self, Template* template, JsonScanner* scanner, const char* frame, Py_ssize_t length
    ) except? -9
    cdef int decode_members(self, JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9
    cdef dict load_by_template(self, JsonScanner* scanner, const char* frame, Py_ssize_t length)
    cdef dict _load_steps(
        self, Template* template, tuple keys, JsonScanner* scanner, const char* frame, Py_ssize_t length
    )
    cdef dict load_members(self, JsonScanner* scanner, const char* frame, Py_ssize_t length)
    cdef int _find_members(self, JsonScanner* scanner) except -1
    cdef int _decode_value(
        self, JsonType type, const char* value, const char* value_end, WireMember* wire
    ) except? -9
    cdef int _note_missing(self) except -1
    cdef int _learn(self, JsonScanner* scanner, const char* frame, Py_ssize_t length) except -1
    cdef object error(self, int outcome, JsonScanner* scanner, const char* frame)
