from cpython.object cimport PyObject
from libcpp.vector cimport vector

from lsst.ts.mtmount.core.avro_record cimport Record
from lsst.ts.mtmount.core.frame_template cimport Template
from lsst.ts.mtmount.core.scanner cimport JsonScanner


cdef dict make_dict(JsonScanner* scanner, const Py_ssize_t* order, tuple names)


cdef class DictTemplate:
    cdef dict _kept
    # Its keys and values, in their order, which it owns.
    cdef vector[PyObject*] _keys
    cdef vector[PyObject*] _values

    cdef dict load(self, const Template* template, JsonScanner* scanner, const char* frame, Py_ssize_t length)
    cdef int _put(self, Py_ssize_t place, object value) except -1
    cdef bint read_back(self, const Template* template, dict data, Record record)
