from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from lsst.ts.mtmount.core.avro_record cimport Kind, Record
from lsst.ts.mtmount.core.scanner cimport JsonScanner, JsonType
from lsst.ts.mtmount.core.frame_template cimport NameTable, Template, Templates


cdef str show(object thing)


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
    cdef public object preprocessor
    cdef public object description
    # What a decoder has to tell of members, see `_note_missing` and `_note_unknown`.
    cdef list news
    cdef NameTable _names
    cdef vector[WireMember] _wire
    cdef vector[Py_ssize_t] _found
    cdef vector[Py_ssize_t] _order
    cdef bint is_fused
    # Of frames as the topic's path takes them; and for each one, if that goes by a dict, how it is made.
    cdef Templates _templates
    cdef list _dict_templates
    cdef dict _unknown
    cdef bint _has_unknown
    cdef Py_ssize_t _num_missing
    cdef Py_ssize_t _failed
    cdef JsonScanner _scanner

    cdef int decode_by_template(self, JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9
    cdef int _decode_steps(
        self, const Template* template, JsonScanner* scanner, const char* frame, Py_ssize_t length
    ) except? -9
    cdef int decode_members(self, JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9
    cdef dict load_by_template(self, JsonScanner* scanner, const char* frame, Py_ssize_t length)
    cdef dict load_members(self, JsonScanner* scanner, const char* frame, Py_ssize_t length)
    cdef int _find_members(self, JsonScanner* scanner) except -1
    cdef int _decode_value(
        self, JsonType type, const char* value, const char* value_end, WireMember* wire
    ) except? -9
    cdef int _note_missing(self) except -1
    cdef bint _read_back(self, dict data)
    cdef int _learn(
        self, JsonScanner* scanner, const char* frame, Py_ssize_t length, dict data
    ) except -1
    cdef object error(self, int outcome, JsonScanner* scanner, const char* frame)
