from libc.stdint cimport int64_t
from libcpp cimport bool as cpp_bool
from libcpp.vector cimport vector


cdef extern from "json_scanner.hpp" namespace "mtmount" nogil:
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
    cpp_bool is_topic_id(const Member&)
    Py_ssize_t unescape_ascii(const Member&, char*, Py_ssize_t)

cdef extern from "json_number.hpp" namespace "mtmount" nogil:
    const char* read_plain_double(const char*, const char*, double*)
    const char* read_plain_integer(const char*, const char*, int64_t*)
    const char* read_plain_boolean(const char*, const char*, int64_t*)
    cpp_bool read_double(const char*, const char*, double*)
    cpp_bool read_integer(const char*, const char*, int64_t*)


# How a frame, or one of its values, was taken. Negative: not at all.
cdef enum Outcome:
    OUTCOME_OK = 0
    OUTCOME_UNEXPECTED = 1  # as no template has it: ask the general decoder
    OUTCOME_MISSING = -1
    OUTCOME_BAD_VALUE = -2


cdef double as_double(const char* value, const char* value_end) except? -1.0
cdef int scan_frame(JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9
cdef object scan_error(JsonScanner* scanner, const char* frame, Py_ssize_t length)
cdef object find_topic_id(JsonScanner* scanner)
cdef Py_ssize_t find_member(JsonScanner* scanner, const char* name, size_t length) noexcept
