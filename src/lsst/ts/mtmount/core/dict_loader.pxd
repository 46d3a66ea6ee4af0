from lsst.ts.mtmount.core.scanner cimport JsonScanner
from lsst.ts.mtmount.core.frame_template cimport Template, Templates


cdef class DictLoader:
    cdef object _topic_id
    cdef Templates _templates
    # For each template the names of its members, and a dict of these, with the topic's ID.
    cdef list _keys
    cdef list _blanks

    cdef dict load_by_template(self, JsonScanner* scanner, const char* frame, Py_ssize_t length)
    cdef dict _load_steps(self, size_t number, JsonScanner* scanner, const char* frame, Py_ssize_t length)
    cdef dict load_members(self, JsonScanner* scanner, const char* frame, Py_ssize_t length)
    cdef int _learn(self, JsonScanner* scanner, const char* frame, Py_ssize_t length, list keys) except -1
