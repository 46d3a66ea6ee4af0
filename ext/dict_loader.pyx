"""From a JSON frame of one topic to a dict, as json.loads makes it, and back to a record."""

import json

from cpython.dict cimport PyDict_Copy, PyDict_Next, PyDict_SetItem
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from libc.string cimport memchr

from lsst.ts.mtmount.core.avro_record cimport Kind, Record, store_plain
from lsst.ts.mtmount.core.frame_template cimport Step, Template
from lsst.ts.mtmount.core.scanner cimport (
    JSON_FALSE,
    JSON_INTEGER,
    JSON_NULL,
    JSON_REAL,
    JSON_TRUE,
    JsonScanner,
    JsonType,
    Member,
    as_double,
    read_integer,
    read_plain_double,
)

# Is in no dict that a frame can become.
cdef object NOT_SCALAR = object()


cdef extern from *:
    """
    static inline bool is_float(PyObject* value) { return PyFloat_CheckExact(value); }

    // Make a float another one, if nobody else has it.
    static inline bool change_float(PyObject* value, double number) {
        if (!PyFloat_CheckExact(value) || Py_REFCNT(value) != 1) return false;
        reinterpret_cast<PyFloatObject*>(value)->ob_fval = number;
        return true;
    }
    """
    bint is_float(PyObject*)
    bint change_float(PyObject*, double)


cdef object load_scalar(JsonType type, const char* value, const char* value_end):
    """Return the Python object of a scanned value; NOT_SCALAR where that is for json.loads to say."""
    cdef int64_t integer = 0
    if type == JSON_INTEGER:
        return integer if read_integer(value, value_end, &integer) else NOT_SCALAR
    if type == JSON_REAL:
        return as_double(value, value_end)
    if type == JSON_TRUE:
        return True
    if type == JSON_FALSE:
        return False
    if type == JSON_NULL:
        return None
    return NOT_SCALAR


cdef str load_key(Member* member):
    """Return the name of a member as json.loads does."""
    if member.key_has_escape:
        return json.loads((member.key - 1)[:member.key_length + 2])
    return member.key[:member.key_length].decode("utf-8")


cdef dict make_dict(JsonScanner* scanner, const Py_ssize_t* order, tuple names):
    """Make the dict of what `scan_frame` found; None where that is for json.loads to say.

    ``order`` has the index in ``names`` of each member's name, -1 where it is not in there.
    """
    cdef size_t i
    cdef Member* member
    cdef dict data = {}
    for i in range(scanner.members.size()):
        member = &scanner.members[i]
        value = load_scalar(member.type, member.value, member.value_end)
        if value is NOT_SCALAR:
            return None
        # A codec's names are found by their address. Others are not interned: CPython 3.12 keeps
        # what is interned for good, and a sender decides how many there are.
        data[<str>names[order[i]] if order[i] >= 0 else load_key(member)] = value
    return data


cdef class DictTemplate:
    """Makes the dicts of the frames that one template has.

    It keeps one of them, which nobody else gets: its values become those of each frame, and a
    copy of it is the frame's dict. So no key is looked up, and most values are not even new objects.

    Parameters
    ----------
    data : `dict` [`str`, `Any`]
        The dict of the frame that the template was made of, which has no member twice.
    """

    def __cinit__(self, data: dict[str, object]) -> None:
        cdef Py_ssize_t position = 0
        cdef PyObject* key
        cdef PyObject* value
        self._kept = PyDict_Copy(data)
        while PyDict_Next(self._kept, &position, &key, &value):
            self._keys.push_back(key)
            self._values.push_back(value)

    cdef dict load(
        self, const Template* template, JsonScanner* scanner, const char* frame, Py_ssize_t length
    ):
        """Make the dict of a frame; None if the template has it not, or that is for json.loads to say."""
        cdef const char* p = frame
        cdef const char* end = frame + length
        cdef const char* stop
        cdef const Step* step
        cdef JsonType type = JSON_NULL
        cdef double number = 0.0
        cdef Py_ssize_t i, place
        cdef Py_ssize_t num_steps = template.steps.size()
        scanner.open(frame, end)
        for i in range(num_steps):
            step = &template.steps[i]
            place = i + (i >= template.topic_id_position)
            if not template.has_step(step[0], p, end):
                return None
            p += step.length
            if is_float(self._values[place]):
                stop = read_plain_double(p, end, &number)
                # Without a point it is an integer.
                if stop != NULL and memchr(p, c".", stop - p) != NULL:
                    if not change_float(self._values[place], number):
                        self._put(place, number)
                    p = stop
                    continue
            stop = scanner.scan_value(p, &type, 1)
            if stop == NULL or scanner.has_non_ascii:
                return None
            value = load_scalar(type, p, stop)
            if value is NOT_SCALAR:
                return None
            if <PyObject*>value != self._values[place]:
                self._put(place, value)
            p = stop
        return PyDict_Copy(self._kept) if template.has_tail(p, end) else None

    cdef int _put(self, Py_ssize_t place, object value) except -1:
        PyDict_SetItem(self._kept, <object>self._keys[place], value)
        self._values[place] = <PyObject*>value
        return 0

    cdef bint read_back(self, const Template* template, dict data, Record record):
        """Store the values of a dict of `load` in the record's spare slots.

        False if somebody has left more than plain numbers there, or removed or moved a member.
        """
        cdef const Step* step
        cdef PyObject* key
        cdef PyObject* value
        cdef Py_ssize_t position = 0
        cdef Py_ssize_t place
        cdef Py_ssize_t num_keys = self._keys.size()
        for place in range(num_keys):
            if not PyDict_Next(data, &position, &key, &value) or key != self._keys[place]:
                return False
            if place == template.topic_id_position:
                continue
            step = &template.steps[place - (place > template.topic_id_position)]
            if not step.is_ignored and not store_plain(value, <Kind>step.kind, &record.spare[step.slot]):
                return False
        return True
