from libc.stdint cimport int64_t
from libcpp cimport bool as cpp_bool
from libcpp.vector cimport vector


cdef extern from "frame_template.hpp" namespace "mtmount" nogil:
    const size_t MAX_TEMPLATE_MEMBERS

    cppclass Step:
        Py_ssize_t length
        Py_ssize_t slot
        int kind
        cpp_bool is_element
        cpp_bool is_ignored

    cppclass Template:
        vector[Step] steps
        Py_ssize_t topic_id_position
        void reserve(size_t, size_t) except +
        void add(Step, const char*, const char*) except +
        void add_tail(const char*, const char*) except +
        cpp_bool has_step(const Step&, const char*, const char*) const
        cpp_bool has_tail(const char*, const char*) const

    cppclass Templates:
        size_t size() const
        void clear()
        size_t place(size_t) const
        const Template& at(size_t) const
        void note_use(size_t)
        void note_other(cpp_bool)
        int64_t num_with_unknown() const
        size_t keep(Template&&) except +

    cppclass NameTable:
        void add(const char*, size_t) except +
        Py_ssize_t find(const char*, size_t)
