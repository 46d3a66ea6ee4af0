from libc.stdint cimport int64_t
from libcpp cimport bool as cpp_bool
from libcpp.string cimport string
from libcpp.vector cimport vector

from lsst.ts.mtmount.core.record cimport Kind, Record


cdef extern from "json.hpp" namespace "mtmount" nogil:
    enum JsonType:
        JSON_INTEGER
        JSON_REAL
        JSON_TRUE
        JSON_FALSE
        JSON_NULL
        JSON_NAN
        JSON_INFINITY
        JSON_MINUS_INFINITY
        JSON_STRING
        JSON_OBJECT
        JSON_ARRAY

    enum JsonError:
        JSON_OK
        JSON_SYNTAX
        JSON_NESTING
        JSON_DIGITS
        JSON_NOT_OBJECT

    cppclass Member:
        const char* key
        const char* value
        const char* value_end
        size_t key_length
        cpp_bool key_has_escape
        JsonType type

    cppclass JsonScanner:
        vector[Member] members
        JsonError error
        Py_ssize_t error_offset
        cpp_bool has_non_ascii
        Py_ssize_t max_integer_digits
        cpp_bool scan_object(const char*, size_t) except +
        void open(const char*, const char*)
        const char* scan_value(const char*, JsonType*, int)

    cpp_bool key_is(const Member&, const char*, size_t)
    Py_ssize_t unescape_ascii(const Member&, char*, Py_ssize_t)


# How a frame, or one of its values, was taken. Negative: not at all.
cdef enum Outcome:
    OUTCOME_OK = 0
    OUTCOME_UNEXPECTED = 1  # not in the learned order: ask the general decoder
    OUTCOME_MISSING = -1
    OUTCOME_BAD_VALUE = -2


# What a wire member becomes.
cdef struct WireMember:
    Py_ssize_t slot
    Kind kind
    bint is_element  # of an array: null is an error


# One step of the learned order: these bytes, then a value for this member.
cdef struct Step:
    Py_ssize_t literal  # offset of the bytes in the template's literals
    Py_ssize_t length
    Py_ssize_t slot
    Kind kind
    bint is_element
    bint is_ignored


cdef class TopicCodec:
    cdef readonly int64_t topic_id
    cdef readonly str kafka_topic
    cdef readonly Record record
    cdef readonly tuple members
    cdef readonly int64_t num_learned
    cdef readonly int64_t num_general
    # Does the topic take the path that builds no dict? See FrameDecoder.
    cdef public bint fused
    cdef public bint reports_clock
    cdef dict _index
    cdef vector[WireMember] _wire
    cdef vector[Py_ssize_t] _found
    cdef vector[Step] _steps
    cdef string _literals
    cdef Py_ssize_t _tail
    cdef Py_ssize_t _failed

    cdef int decode_learned(self, JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9
    cdef int decode_members(self, JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9
    cdef int _decode_value(
        self, JsonType type, const char* value, const char* value_end, WireMember* wire
    ) except? -9
    cdef int _learn(self, JsonScanner* scanner, const char* frame, Py_ssize_t length, list order) except -1
    cdef object error(self, int outcome, JsonScanner* scanner, const char* frame)

cdef int scan_frame(JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9
cdef object scan_error(JsonScanner* scanner, const char* frame, Py_ssize_t length)
cdef object find_topic_id(JsonScanner* scanner)
cdef Py_ssize_t find_member(JsonScanner* scanner, const char* name, size_t length)
cdef double as_double(const char* value, const char* value_end) except? -1.0
