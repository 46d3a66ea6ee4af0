"""From a JSON frame of one topic to a dict, as json.loads makes it.

Templates make this quicker, as they do in `codec`: here the keys are kept with
them.
"""

import json
import sys

from cpython.dict cimport PyDict_Copy, PyDict_SetItem
from libc.stdint cimport int64_t
from libcpp.utility cimport move

from lsst.ts.mtmount.core.scanner cimport (
    JSON_FALSE,
    JSON_INTEGER,
    JSON_NULL,
    JSON_REAL,
    JSON_TRUE,
    JsonType,
    Member,
    as_double,
    is_topic_id,
    read_integer,
)
from lsst.ts.mtmount.core.frame_template cimport MAX_TEMPLATE_MEMBERS, Step

cdef str TOPIC_ID_NAME = "topicID"
# Is in no dict that a frame can become.
cdef object NOT_SCALAR = object()


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


cdef class DictLoader:
    """Makes dicts of the frames of one topic.

    Parameters
    ----------
    topic_id : `int`
        The topic's ID on the wire.
    """

    def __cinit__(self, topic_id: int) -> None:
        self._topic_id = topic_id
        self._keys = []
        self._blanks = []

    cdef dict load_by_template(self, JsonScanner* scanner, const char* frame, Py_ssize_t length):
        """Make the dict of a frame that is as one of the templates; None if it is not."""
        cdef size_t i, number
        cdef dict data
        for i in range(self._templates.size()):
            number = self._templates.place(i)
            data = self._load_steps(number, scanner, frame, length)
            if data is not None:
                self._templates.note_use(number)
                return data
        return None

    cdef dict _load_steps(self, size_t number, JsonScanner* scanner, const char* frame, Py_ssize_t length):
        cdef const Template* template = &self._templates.at(number)
        cdef tuple keys = <tuple>self._keys[number]
        cdef const char* p = frame
        cdef const char* end = frame + length
        cdef const char* stop
        cdef const Step* step
        cdef JsonType type = JSON_NULL
        cdef Py_ssize_t i
        cdef Py_ssize_t num_steps = template.steps.size()
        # Has its size from the start.
        cdef dict data = PyDict_Copy(<dict>self._blanks[number])
        scanner.open(frame, end)
        for i in range(num_steps):
            step = &template.steps[i]
            if not template.has_step(step[0], p, end):
                return None
            p += step.length
            stop = scanner.scan_value(p, &type, 1)
            if stop == NULL or scanner.has_non_ascii:
                return None
            value = load_scalar(type, p, stop)
            if value is NOT_SCALAR:
                return None
            PyDict_SetItem(data, keys[i], value)
            p = stop
        return data if template.has_tail(p, end) else None

    cdef dict load_members(self, JsonScanner* scanner, const char* frame, Py_ssize_t length):
        """Make the dict of what `scan_frame` found, and a template.

        None where that is for json.loads to say.
        """
        cdef Py_ssize_t i
        cdef Member* member
        cdef dict data = {}
        cdef list keys = []
        for i in range(<Py_ssize_t>scanner.members.size()):
            member = &scanner.members[i]
            value = load_scalar(member.type, member.value, member.value_end)
            if value is NOT_SCALAR:
                return None
            # Interned, as the names that a codec looks up are: found by their address.
            key = sys.intern(load_key(member))
            keys.append(key)
            PyDict_SetItem(data, key, value)
        self._learn(scanner, frame, length, keys)
        return data

    cdef int _learn(self, JsonScanner* scanner, const char* frame, Py_ssize_t length, list keys) except -1:
        """Keep the bytes of this frame between its values, and its keys.

        A frame of very many members, or whose topic ID is there twice or no
        integer, makes no template.
        """
        cdef Py_ssize_t i
        cdef Py_ssize_t num_members = scanner.members.size()
        cdef const char* literal = frame
        cdef Member* member
        cdef Template template
        cdef Step step
        cdef bint has_topic_id = False
        cdef size_t number
        if scanner.members.size() > MAX_TEMPLATE_MEMBERS:
            return 0
        template.reserve(num_members, length)
        for i in range(num_members):
            member = &scanner.members[i]
            if is_topic_id(member[0]):
                if has_topic_id or member.type != JSON_INTEGER:
                    return 0
                # Its value is part of what is compared.
                has_topic_id = True
                template.topic_id_position = i
                continue
            template.add(step, literal, member.value)
            literal = member.value_end
        if not has_topic_id:
            return 0
        template.add_tail(literal, frame + length)
        blank = dict.fromkeys(keys)
        blank[TOPIC_ID_NAME] = self._topic_id
        del keys[template.topic_id_position]
        number = self._templates.keep(move(template))
        self._keys[number:number + 1] = [tuple(keys)]
        self._blanks[number:number + 1] = [blank]
        return 0
