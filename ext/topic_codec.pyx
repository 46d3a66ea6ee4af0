"""From a JSON frame of one topic to the values of its SAL record.

A topic's first frame goes through the general decoder, which also keeps a
template of it: the order of its members with all the bytes between the values.
The next frames are compared with these bytes, and only the values are read. A
few templates are kept, for senders whose order varies. Whatever no template
has goes through the general decoder again. The oracle for both is `json.loads`.
"""

import json
import sys
from collections.abc import Collection, Mapping

from lsst.ts.mtmount.core.drop_reason import DropReason, FrameError

from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.math cimport trunc
from libc.stdint cimport int32_t, int64_t
from libcpp.utility cimport move

from lsst.ts.mtmount.core.avro_record cimport (
    KIND_BOOLEAN,
    KIND_DOUBLE,
    KIND_FLOAT,
    KIND_INT,
    KIND_LONG,
    KIND_STRING,
    Slot,
)
from lsst.ts.mtmount.core.scanner cimport (
    JSON_FALSE,
    JSON_INFINITY,
    JSON_INTEGER,
    JSON_NAN,
    JSON_NULL,
    JSON_REAL,
    JSON_STRING,
    JSON_TRUE,
    OUTCOME_BAD_VALUE,
    OUTCOME_MISSING,
    OUTCOME_OK,
    OUTCOME_UNEXPECTED,
    Member,
    as_double,
    find_topic_id,
    is_topic_id,
    read_double,
    read_integer,
    read_plain_boolean,
    read_plain_double,
    read_plain_integer,
    scan_error,
    scan_frame,
    unescape_ascii,
)
from lsst.ts.mtmount.core.dict_loader cimport DictTemplate, make_dict
from lsst.ts.mtmount.core.frame_template cimport MAX_TEMPLATE_MEMBERS, Step

cdef enum:
    # Names of more bytes than this are in no table.
    MAX_NAME = 127
    # Unknown members of a topic that are remembered, and how much of a name [bytes].
    MAX_UNKNOWN = 100
    MAX_UNKNOWN_NAME = MAX_NAME


cdef str show(object thing):
    """Return the text of an error, or the repr of another thing, or else the name of its type.

    Not every object has a repr: an int of too many digits has none.
    """
    try:
        return str(thing) if isinstance(thing, BaseException) else repr(thing)
    except Exception:
        return f"<{type(thing).__name__}>"


cdef class TopicCodec:
    """Decodes the frames of one topic into the state of its SAL record.

    Parameters
    ----------
    topic_id : `int`
        The topic's ID on the wire.
    kafka_topic : `str`
        Name of the Kafka topic.
    record : `Record`
        The SAL record.
    members : `Mapping` [`str`, `tuple` [`str`, `int`]]
        SAL field and index in it (0 for a scalar) of each wire member that
        a frame must have. Other members are ignored.
    ignored : `Collection` [`str`]
        Of these, the ones that are no news: the TMA's interface has them.

    Attributes
    ----------
    fused : `bool`
        Does the topic take the path that builds no dict? A change forgets the templates.
    preprocessor : `Callable` or `None`
        Called with the frame as a dict, which it may change; the rest is published. Without one,
        a topic that takes the path by a dict waits for its handler.
    description : `Any`
        What a `CallClock` is told of a call of the preprocessor.
    reports_clock : `bool`
        May its time stamp be taken for the clock offset?
    accept_incomplete : `bool`
        Does a missing member cost its field only, which keeps its value? Else
        it costs the frame.
    incomplete : `int`
        Frames taken although members were missing.
    num_by_template, num_general : `int`
        Frames decoded by a template, and by the general decoder.

    Raises
    ------
    AttributeError
        If the record lacks a field.
    ValueError
        If an index is beyond a field's elements, or a member's name is not
        ASCII or over 127 characters long.
    """

    def __cinit__(
        self,
        topic_id: int,
        kafka_topic: str,
        record: Record,
        members: Mapping[str, tuple[str, int]],
        ignored: Collection[str] = (),
    ) -> None:
        cdef WireMember wire
        cdef bytes key
        cdef dict wanted = dict(members)
        self.topic_id = topic_id
        self.kafka_topic = kafka_topic
        self.record = record
        # As the names in a user's code are: then equal names have one address.
        self.members = tuple([sys.intern(name) for name in wanted])
        self.is_fused = True
        self._dict_templates = []
        self._unknown = {}
        self._scanner.max_integer_digits = sys.get_int_max_str_digits()
        for name, (field, index) in wanted.items():
            kind, first, count = record.locate(field)
            if not 0 <= index < count:
                raise ValueError(f"member {name!r}: expected an index below {count}, got {index}")
            wire.slot = first + index
            wire.kind = kind
            wire.is_element = count > 1
            wire.is_missing = False
            self._wire.push_back(wire)
        # Those to be ignored have the numbers behind those of the members.
        for name in (*wanted, *ignored):
            if not name.isascii() or len(name) > MAX_NAME:
                raise ValueError(f"member {name!r}: expected an ASCII name of at most {MAX_NAME} characters")
            key = name.encode()
            self._names.add(key, len(key))
        self._found.resize(len(self.members))

    @property
    def fused(self) -> bool:
        """Does the topic take the path that builds no dict?"""
        return self.is_fused

    @fused.setter
    def fused(self, value: bool) -> None:
        if value != self.is_fused:
            self._templates.clear()
        self.is_fused = value

    @property
    def missing_members(self) -> tuple[str, ...]:
        """Members that the last frame lacked, if `accept_incomplete`."""
        return tuple([name for i, name in enumerate(self.members) if self._wire[i].is_missing])

    @property
    def unknown_members(self) -> tuple[str, ...]:
        """Members on the wire that the interface lacks: the first 100, and 127 bytes of each name."""
        return tuple(self._unknown.values())

    @property
    def num_with_unknown(self) -> int:
        """Frames that had members that the interface lacks, dropped ones included."""
        return self._templates.num_with_unknown()

    def decode_frame(self, frame: bytes) -> None:
        """Take the values of one frame as the record's new state.

        The general decoder and the templates are used as they are for frames
        from the wire.

        Raises
        ------
        FrameError
            If the frame is bad; the record's state is then as before.
        """
        cdef JsonScanner* scanner = &self._scanner
        cdef const char* text = frame
        cdef Py_ssize_t length = len(frame)
        cdef int outcome = OUTCOME_UNEXPECTED
        if self.is_fused:
            outcome = self.decode_by_template(scanner, text, length)
        if outcome == OUTCOME_UNEXPECTED:
            self._scan(frame)
            outcome = self.decode_members(scanner, text, length)
            self.news = None
        if outcome != OUTCOME_OK:
            raise self.error(outcome, scanner, text)

    def load_frame(self, frame: bytes) -> dict[str, object]:
        """Return a frame as `json.loads` does, and leave the record alone.

        The general decoder and the templates are used as they are for frames
        from the wire.

        Raises
        ------
        FrameError
            If the frame is bad.
        """
        cdef JsonScanner* scanner = &self._scanner
        cdef const char* text = frame
        cdef Py_ssize_t length = len(frame)
        cdef dict data = None if self.is_fused else self.load_by_template(scanner, text, length)
        if data is not None:
            return data
        self._scan(frame)
        data = self.load_members(scanner, text, length)
        self.news = None
        return json.loads(frame) if data is None else data

    cdef dict load_by_template(self, JsonScanner* scanner, const char* frame, Py_ssize_t length):
        """Make the dict of a frame that is as one of the templates; None if it is not."""
        cdef size_t i, number
        cdef dict data
        for i in range(self._templates.size()):
            number = self._templates.place(i)
            data = (<DictTemplate>self._dict_templates[number]).load(
                &self._templates.at(number), scanner, frame, length
            )
            if data is not None:
                self.num_by_template += 1
                self._templates.note_use(number)
                return data
        return None

    cdef dict load_members(self, JsonScanner* scanner, const char* frame, Py_ssize_t length):
        """Make the dict of what `scan_frame` found, and a template.

        None where that is for json.loads to say.
        """
        cdef dict data
        self._find_members(scanner)
        data = make_dict(scanner, self._order.data(), self.members)
        self.num_general += 1
        self._templates.note_other(self._has_unknown)
        if data is not None and not self.is_fused:
            self._learn(scanner, frame, length, data)
        return data

    def _scan(self, frame: bytes) -> None:
        """Find the members of a frame that must be of this topic."""
        cdef JsonScanner* scanner = &self._scanner
        cdef const char* text = frame
        scanner.max_integer_digits = sys.get_int_max_str_digits()
        if scan_frame(scanner, text, len(frame)) != OUTCOME_OK:
            raise scan_error(scanner, text, len(frame))
        topic_id = find_topic_id(scanner)
        if topic_id != self.topic_id:
            raise FrameError(DropReason.TOPIC_ID, f"expected topicID {self.topic_id}, got {topic_id}")

    def gather(self, data: Mapping[str, object]) -> None:
        """Take the values of a decoded frame as the record's new state.

        The same rules hold as for frames that are never made a dict.

        Parameters
        ----------
        data : `Mapping` [`str`, `Any`]
            Wire members, as `json.loads` or a preprocessor left them.

        Raises
        ------
        FrameError
            If a member is missing or bad; the record's state is then as
            before.
        """
        cdef Record record = self.record
        cdef WireMember* wire
        cdef PyObject* found
        cdef Py_ssize_t i, place
        cdef Py_ssize_t num_missing = 0
        cdef dict left = data if type(data) is dict else dict(data)
        if self._read_back(left):
            record.commit()
            return
        for i in range(<Py_ssize_t>self._wire.size()):
            wire = &self._wire[i]
            found = PyDict_GetItemWithError(left, self.members[i])
            place = -1 if found == NULL else 0
            self._found[i] = place
            if found == NULL and not self.accept_incomplete:
                raise self._member_error(DropReason.MISSING_FIELD, i, "")
            if found == NULL or (found == <PyObject*>None and not wire.is_element):
                record.spare[wire.slot] = record.slots[wire.slot]
                num_missing += found == NULL
                continue
            value = <object>found
            try:
                if wire.kind == KIND_STRING:
                    raise TypeError("the wire has no strings")
                record.convert(value, wire.kind, &record.spare[wire.slot])
            except Exception as error:
                # A preprocessor may have left any object, whose methods raise
                # anything.
                raise self._member_error(
                    DropReason.BAD_VALUE, i, f"={show(value):.100} ({show(error):.100})"
                ) from None
        record.commit()
        if num_missing != 0 or self._num_missing != 0:
            self._num_missing = num_missing
            self._note_missing()

    cdef bint _read_back(self, dict data):
        """Store what is left in a dict of the last template; false if it takes a closer look."""
        cdef size_t number
        if self.is_fused or self._num_missing != 0 or self._templates.size() == 0:
            return False
        number = self._templates.place(0)
        return (<DictTemplate>self._dict_templates[number]).read_back(
            &self._templates.at(number), data, self.record
        )

    cdef int decode_by_template(self, JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9:
        """Take a frame that is as one of the templates.

        OUTCOME_UNEXPECTED if it is not, a bad value included: the general
        decoder then tells what.
        """
        cdef size_t i, number
        for i in range(self._templates.size()):
            number = self._templates.place(i)
            if self._decode_steps(&self._templates.at(number), scanner, frame, length) == OUTCOME_OK:
                self.record.commit()
                self.num_by_template += 1
                self._templates.note_use(number)
                return OUTCOME_OK
        return OUTCOME_UNEXPECTED

    cdef int _decode_steps(
        self, const Template* template, JsonScanner* scanner, const char* frame, Py_ssize_t length
    ) except? -9:
        """Read the values of a frame that is as this template into the spare slots."""
        cdef const char* p = frame
        cdef const char* end = frame + length
        cdef const char* stop
        cdef const Step* step = template.steps.data()
        cdef const Step* behind = step + template.steps.size()
        cdef Slot* spare = self.record.spare
        cdef JsonType type = JSON_NULL
        cdef WireMember wire
        scanner.open(frame, end)
        while step != behind:
            if not template.has_step(step[0], p, end):
                return OUTCOME_UNEXPECTED
            p += step.length
            stop = NULL
            if step.kind == KIND_DOUBLE:
                if not step.is_ignored:
                    stop = read_plain_double(p, end, &spare[step.slot].d)
            elif step.kind == KIND_LONG:
                stop = read_plain_integer(p, end, &spare[step.slot].i)
            elif step.kind == KIND_BOOLEAN:
                stop = read_plain_boolean(p, end, &spare[step.slot].i)
            elif step.kind == KIND_INT:
                stop = read_plain_integer(p, end, &spare[step.slot].i)
                if stop != NULL and spare[step.slot].i != <int32_t>spare[step.slot].i:
                    return OUTCOME_UNEXPECTED
            if stop == NULL:
                stop = scanner.scan_value(p, &type, 1)
                if stop == NULL or scanner.has_non_ascii:
                    return OUTCOME_UNEXPECTED
                if not step.is_ignored:
                    wire.slot = step.slot
                    wire.kind = <Kind>step.kind
                    wire.is_element = step.is_element
                    if self._decode_value(type, p, stop, &wire) != OUTCOME_OK:
                        return OUTCOME_UNEXPECTED
            p = stop
            step += 1
        return OUTCOME_OK if template.has_tail(p, end) else OUTCOME_UNEXPECTED

    cdef int decode_members(self, JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9:
        """Take the members that `scan_frame` found, in whatever order, and make a template."""
        cdef Py_ssize_t i
        cdef Py_ssize_t num_missing = 0
        cdef Member* member
        cdef int outcome
        self._find_members(scanner)
        self._templates.note_other(self._has_unknown)
        for i in range(<Py_ssize_t>self._wire.size()):
            self._failed = i
            if self._found[i] < 0:
                if not self.accept_incomplete:
                    return OUTCOME_MISSING
                self.record.spare[self._wire[i].slot] = self.record.slots[self._wire[i].slot]
                num_missing += 1
                continue
            member = &scanner.members[self._found[i]]
            outcome = self._decode_value(member.type, member.value, member.value_end, &self._wire[i])
            if outcome != OUTCOME_OK:
                return outcome
        self.record.commit()
        self.num_general += 1
        if num_missing != 0 or self._num_missing != 0:
            self._num_missing = num_missing
            self._note_missing()
        if num_missing == 0 and self.is_fused:
            self._learn(scanner, frame, length, None)
        return OUTCOME_OK

    cdef int _find_members(self, JsonScanner* scanner) except -1:
        """Find the place of each wire member in a scanned frame, and the wire member of each place."""
        cdef Py_ssize_t i, index
        cdef Py_ssize_t num_members = scanner.members.size()
        cdef Member* member
        cdef char name[MAX_NAME]
        cdef Py_ssize_t name_length
        cdef Py_ssize_t num_wanted = self._wire.size()
        self._found.assign(self._found.size(), -1)
        self._has_unknown = False
        self._order.resize(num_members)
        for i in range(num_members):
            member = &scanner.members[i]
            if member.key_has_escape:
                name_length = unescape_ascii(member[0], name, MAX_NAME)
                index = self._names.find(name, name_length) if name_length >= 0 else -1
            elif member.key_length <= MAX_NAME:
                index = self._names.find(member.key, member.key_length)
            else:
                index = -1
            self._order[i] = index if index < num_wanted else -1
            if 0 <= index < num_wanted:
                self._found[index] = i
            elif index < 0 and not is_topic_id(member[0]):
                self._has_unknown = True
                if len(self._unknown) < MAX_UNKNOWN:
                    self._note_unknown(member.key[:min(member.key_length, MAX_UNKNOWN_NAME + 1)])
        return 0

    def _note_unknown(self, key: bytes) -> None:
        """Remember a member that is not in the table, by the bytes of its name."""
        if key in self._unknown:
            return
        name = key[:MAX_UNKNOWN_NAME].decode("utf-8", "replace")
        self._unknown[key] = name
        if self.news is None:
            self.news = []
        self.news.append((name, None))

    cdef int _note_missing(self) except -1:
        """Compare the members that a frame lacks with those that the one before lacked."""
        cdef Py_ssize_t i
        cdef bint is_missing
        self.incomplete += self._num_missing != 0
        for i in range(<Py_ssize_t>self._wire.size()):
            is_missing = self._found[i] < 0
            if is_missing == self._wire[i].is_missing:
                continue
            self._wire[i].is_missing = is_missing
            if self.news is None:
                self.news = []
            self.news.append((self.members[i], is_missing))
        if self._num_missing != 0:
            # The next frame is looked at, too: it may have the member again.
            self._templates.clear()
        return 0

    cdef int _decode_value(
        self, JsonType type, const char* value, const char* value_end, WireMember* wire
    ) except? -9:
        """Store one value in the record's spare slots."""
        cdef Slot* slot = &self.record.spare[wire.slot]
        cdef double number = 0.0
        cdef int64_t integer = 0
        if type == JSON_NULL:
            if wire.is_element:
                return OUTCOME_BAD_VALUE
            slot[0] = self.record.slots[wire.slot]
            return OUTCOME_OK
        if type >= JSON_STRING or wire.kind == KIND_STRING:
            return OUTCOME_BAD_VALUE
        if type == JSON_TRUE or type == JSON_FALSE:
            integer = type == JSON_TRUE
            if wire.kind == KIND_DOUBLE or wire.kind == KIND_FLOAT:
                slot.d = <double>integer
            else:
                slot.i = integer
            return OUTCOME_OK
        if type == JSON_INTEGER:
            if wire.kind == KIND_LONG or wire.kind == KIND_INT:
                if not read_integer(value, value_end, &integer):
                    return OUTCOME_BAD_VALUE
                if wire.kind == KIND_INT and integer != <int32_t>integer:
                    return OUTCOME_BAD_VALUE
                slot.i = integer
                return OUTCOME_OK
            if not read_double(value, value_end, &number):
                if wire.kind != KIND_BOOLEAN:
                    return OUTCOME_BAD_VALUE
                number = 1.0  # far beyond a double is not 0
            # An integer has no negative zero.
            number = 0.0 if number == 0.0 else number
        elif type == JSON_REAL:
            number = as_double(value, value_end)
        elif type == JSON_NAN:
            number = float("nan")
        else:
            number = float("inf") if type == JSON_INFINITY else float("-inf")
        if wire.kind == KIND_DOUBLE:
            slot.d = number
        elif wire.kind == KIND_FLOAT:
            slot.d = <float>number
        elif wire.kind == KIND_BOOLEAN:
            slot.i = number != 0.0
        else:
            number = trunc(number)
            # False for a NaN, too.
            if not -9223372036854775808.0 <= number < 9223372036854775808.0:
                return OUTCOME_BAD_VALUE
            integer = <int64_t>number
            if wire.kind == KIND_INT and integer != <int32_t>integer:
                return OUTCOME_BAD_VALUE
            slot.i = integer
        return OUTCOME_OK

    cdef int _learn(
        self, JsonScanner* scanner, const char* frame, Py_ssize_t length, dict data
    ) except -1:
        """Keep the bytes of this frame between its values, and its dict, unless that is None.

        A frame of very many members, or with a known one that is missing,
        there twice or spelled with escapes, makes no template; nor a dict, if any is there twice.
        """
        cdef Py_ssize_t i, index
        cdef Py_ssize_t num_members = scanner.members.size()
        cdef const char* literal = frame
        cdef Member* member
        cdef WireMember* wire
        cdef Template template
        cdef Step step
        cdef bint has_topic_id = False
        cdef size_t number
        if scanner.members.size() > MAX_TEMPLATE_MEMBERS:
            return 0
        if data is not None and len(data) != num_members:
            return 0
        for i in range(<Py_ssize_t>self._found.size()):
            if self._found[i] < 0:
                return 0
        template.reserve(num_members, length)
        for i in range(num_members):
            member = &scanner.members[i]
            index = self._order[i]
            if index >= 0:
                if member.key_has_escape or self._found[index] != i:
                    return 0
                wire = &self._wire[index]
                step.slot, step.kind, step.is_element = wire.slot, wire.kind, wire.is_element
                step.is_ignored = False
                template.add(step, literal, member.value)
            elif not is_topic_id(member[0]):
                step.kind = KIND_DOUBLE
                step.is_ignored = True
                template.add(step, literal, member.value)
            elif has_topic_id:
                return 0
            else:
                # Its value is part of what is compared.
                has_topic_id = True
                template.topic_id_position = i
                continue
            literal = member.value_end
        if has_topic_id:
            template.add_tail(literal, frame + length)
            number = self._templates.keep(move(template))
            if data is not None:
                self._dict_templates[number:number + 1] = [DictTemplate(data)]
        return 0

    cdef object error(self, int outcome, JsonScanner* scanner, const char* frame):
        """Turn an outcome of `decode_members` into an exception."""
        cdef Member* member
        if outcome == OUTCOME_MISSING:
            return self._member_error(DropReason.MISSING_FIELD, self._failed, "")
        member = &scanner.members[self._found[self._failed]]
        text = member.value[:min(member.value_end - member.value, 100)].decode("utf-8", "replace")
        return self._member_error(
            DropReason.BAD_VALUE, self._failed, f"={text}", offset=member.value - frame
        )

    def _member_error(self, reason, index, text, *, offset=None):
        name = self.members[index]
        return FrameError(
            reason, f"topic {self.topic_id}: {name}{text}", topic_id=self.topic_id, field=name, offset=offset
        )
