"""From a JSON frame of one topic to the values of its SAL record.

A topic's first frame goes through the general decoder, which also learns the
order of its members with all the bytes between the values. The next frames
are compared with these bytes, and only the values are read. Whatever is not
as learned goes through the general decoder again. The oracle for both is
`json.loads`.
"""

import sys

from lsst.ts.mtmount.core.errors import DropReason, FrameError

from libc.math cimport isinf, trunc
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcmp

from lsst.ts.mtmount.core.record cimport (
    KIND_BOOLEAN,
    KIND_DOUBLE,
    KIND_FLOAT,
    KIND_INT,
    KIND_LONG,
    KIND_STRING,
    Slot,
)

cdef extern from "number.hpp" namespace "mtmount" nogil:
    const char* read_plain_double(const char*, const char*, double*)
    const char* read_plain_integer(const char*, const char*, int64_t*)
    cpp_bool read_double(const char*, const char*, double*)
    cpp_bool read_integer(const char*, const char*, int64_t*)

cdef bytes TOPIC_ID = b"topicID"
# Names of more bytes than this are in no table.
cdef enum:
    MAX_NAME = 127
# Frames of more members than this are decoded, but their order is not learned.
cdef enum:
    MAX_LEARNED_MEMBERS = 4096


cdef double as_double(const char* value, const char* value_end) except? -1.0:
    """Read a JSON number with a fraction or an exponent as float() does.

    std::from_chars calls a number beyond the range of a double, at either
    end, out of range; Python makes it an infinity, zero or a subnormal.
    """
    cdef double number = 0.0
    if read_double(value, value_end, &number):
        return number
    return float(value[:value_end - value])


cdef int scan_frame(JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9:
    """Find all members of a frame; OUTCOME_UNEXPECTED if it is no UTF-8 text of a JSON object."""
    if not scanner.scan_object(frame, length):
        return OUTCOME_UNEXPECTED
    if scanner.has_non_ascii:
        try:
            frame[:length].decode("utf-8")
        except UnicodeDecodeError:
            return OUTCOME_UNEXPECTED
    return OUTCOME_OK


cdef object scan_error(JsonScanner* scanner, const char* frame, Py_ssize_t length):
    """Say why `scan_frame` refused a frame."""
    cdef JsonError error = scanner.error
    offset = scanner.error_offset
    try:
        frame[:length].decode("utf-8")
    except UnicodeDecodeError as exception:
        return FrameError(
            DropReason.NOT_UTF8, f"{exception.reason} at byte {exception.start}", offset=exception.start
        )
    if length == 0:
        return FrameError(DropReason.NOT_JSON, "the frame is empty", offset=0)
    if error == JSON_NESTING:
        return FrameError(DropReason.NESTING, f"at byte {offset}", offset=offset)
    if error == JSON_NOT_OBJECT:
        return FrameError(DropReason.NOT_OBJECT, "", offset=0)
    if error == JSON_DIGITS:
        detail = f"an integer of too many digits at byte {offset}"
        return FrameError(DropReason.NOT_JSON, detail, offset=offset)
    return FrameError(DropReason.NOT_JSON, f"at byte {offset}", offset=offset)


cdef Py_ssize_t find_member(JsonScanner* scanner, const char* name, size_t length):
    """The index of the last member of that name, -1 if there is none."""
    cdef Py_ssize_t i = <Py_ssize_t>scanner.members.size() - 1
    while i >= 0 and not key_is(scanner.members[i], name, length):
        i -= 1
    return i


cdef object find_topic_id(JsonScanner* scanner):
    """The frame's topic ID, an int.

    Raises
    ------
    FrameError
        If it is missing, or not a number that equals an integer.
    """
    cdef Py_ssize_t i = find_member(scanner, TOPIC_ID, len(TOPIC_ID))
    cdef double number
    cdef int64_t integer = 0
    if i < 0:
        raise FrameError(DropReason.TOPIC_ID, "topicID is missing")
    cdef Member* member = &scanner.members[i]
    if member.type == JSON_INTEGER:
        if read_integer(member.value, member.value_end, &integer):
            return integer
        try:
            return int(member.value[:member.value_end - member.value])
        except ValueError as error:
            # sys.set_int_max_str_digits was called since the limit was read.
            raise FrameError(DropReason.TOPIC_ID, f"topicID: {error}") from None
    if member.type == JSON_REAL:
        number = as_double(member.value, member.value_end)
        if not isinf(number) and number == trunc(number):
            return int(number)
    text = member.value[:min(member.value_end - member.value, 50)].decode("utf-8", "replace")
    raise FrameError(DropReason.TOPIC_ID, f"topicID={text} is no integer")


cdef str show(object thing):
    """Return the text of an error, or the repr of another thing, or else the name of its type.

    Not every object has a repr: an int of too many digits has none.
    """
    try:
        return str(thing) if isinstance(thing, Exception) else repr(thing)
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
    members : `dict` [`str`, `tuple` [`str`, `int`]]
        SAL field and index in it (0 for a scalar) of each wire member that
        a frame must have. Other members are ignored.

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
        members: dict[str, tuple[str, int]],
    ) -> None:
        cdef WireMember wire
        self.topic_id = topic_id
        self.kafka_topic = kafka_topic
        self.record = record
        self.members = tuple(members)
        self.fused = True
        self._index = {}
        for name, (field, index) in members.items():
            kind, first, count = record.locate(field)
            if not 0 <= index < count:
                raise ValueError(f"member {name!r}: field {field!r} has no element {index}")
            if not name.isascii() or len(name) > MAX_NAME:
                raise ValueError(f"member {name!r}: the name is not ASCII, or too long")
            wire.slot = first + index
            wire.kind = kind
            wire.is_element = count > 1
            self._index[name.encode()] = len(self._index)
            self._wire.push_back(wire)
        self._found.resize(len(self._index))

    def decode_frame(self, frame: bytes) -> None:
        """Take the values of one frame as the record's new state.

        The general decoder and the learned order are used as they are for
        frames from the wire.

        Raises
        ------
        FrameError
            If the frame is bad; the record's state is then as before.
        """
        cdef JsonScanner scanner
        cdef const char* text = frame
        cdef Py_ssize_t length = len(frame)
        scanner.max_integer_digits = sys.get_int_max_str_digits()
        cdef int outcome = self.decode_learned(&scanner, text, length)
        if outcome == OUTCOME_UNEXPECTED:
            if scan_frame(&scanner, text, length) != OUTCOME_OK:
                raise scan_error(&scanner, text, length)
            topic_id = find_topic_id(&scanner)
            if topic_id != self.topic_id:
                raise FrameError(DropReason.TOPIC_ID, f"{topic_id} is not {self.topic_id}")
            outcome = self.decode_members(&scanner, text, length)
        if outcome != OUTCOME_OK:
            raise self.error(outcome, &scanner, text)

    def gather(self, data: dict[str, object]) -> None:
        """Take the values of a decoded frame as the record's new state.

        The same rules hold as for frames that are never made a dict.

        Parameters
        ----------
        data : `dict` [`str`, `Any`]
            Wire members, as `json.loads` or a preprocessor left them.

        Raises
        ------
        FrameError
            If a member is missing or bad; the record's state is then as
            before.
        """
        cdef Record record = self.record
        cdef WireMember wire
        cdef Py_ssize_t i
        for i in range(<Py_ssize_t>self._wire.size()):
            name = self.members[i]
            try:
                value = data[name]
            except KeyError:
                raise self._member_error(DropReason.MISSING_FIELD, i, "") from None
            wire = self._wire[i]
            if value is None and not wire.is_element:
                record.spare[wire.slot] = record.slots[wire.slot]
                continue
            try:
                if wire.kind == KIND_STRING:
                    raise TypeError("the wire has no strings")
                record._convert(value, wire.kind, &record.spare[wire.slot])
            except Exception as error:
                # A preprocessor may have left any object, whose methods raise
                # anything.
                raise self._member_error(
                    DropReason.BAD_VALUE, i, f"={show(value):.100} ({show(error):.100})"
                ) from None
        record.commit()

    cdef int decode_learned(self, JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9:
        """Take a frame whose members come in the learned order.

        OUTCOME_UNEXPECTED if anything is not as learned, a bad value
        included: the general decoder then tells what.
        """
        cdef const char* p = frame
        cdef const char* end = frame + length
        cdef const char* stop
        cdef const char* literals = self._literals.data()
        cdef Step* step = self._steps.data()
        cdef Step* behind = step + self._steps.size()
        cdef Slot* spare = self.record.spare
        cdef JsonType type = JSON_NULL
        cdef WireMember wire
        if step == behind:
            return OUTCOME_UNEXPECTED
        scanner.open(frame, end)
        while step != behind:
            # At least one byte of a value comes behind the literal. (The
            # tail, checked last, holds one byte more at least.)
            if end - p < step.length + 2 or memcmp(p, literals + step.literal, step.length) != 0:
                return OUTCOME_UNEXPECTED
            p += step.length
            stop = NULL
            if step.kind == KIND_DOUBLE:
                if not step.is_ignored:
                    stop = read_plain_double(p, end, &spare[step.slot].d)
            elif step.kind == KIND_LONG:
                stop = read_plain_integer(p, end, &spare[step.slot].i)
            if stop == NULL:
                stop = scanner.scan_value(p, &type, 1)
                if stop == NULL or scanner.has_non_ascii:
                    return OUTCOME_UNEXPECTED
                if not step.is_ignored:
                    wire.slot = step.slot
                    wire.kind = step.kind
                    wire.is_element = step.is_element
                    if self._decode_value(type, p, stop, &wire) != OUTCOME_OK:
                        return OUTCOME_UNEXPECTED
            p = stop
            step += 1
        if end - p != <Py_ssize_t>self._literals.size() - self._tail:
            return OUTCOME_UNEXPECTED
        if memcmp(p, literals + self._tail, end - p) != 0:
            return OUTCOME_UNEXPECTED
        self.record.commit()
        self.num_learned += 1
        return OUTCOME_OK

    cdef int decode_members(self, JsonScanner* scanner, const char* frame, Py_ssize_t length) except? -9:
        """Take the members that `scan_frame` found, in whatever order, and learn it."""
        cdef Py_ssize_t i, index
        cdef Py_ssize_t num_members = scanner.members.size()
        cdef Member* member
        cdef char name[MAX_NAME]
        cdef Py_ssize_t name_length
        cdef int outcome
        cdef list order = []
        cdef object key
        self._found.assign(self._found.size(), -1)
        for i in range(num_members):
            member = &scanner.members[i]
            if member.key_length > MAX_NAME and not member.key_has_escape:
                index = -1
            else:
                if member.key_has_escape:
                    name_length = unescape_ascii(member[0], name, MAX_NAME)
                    key = name[:name_length] if name_length >= 0 else None
                else:
                    key = member.key[:member.key_length]
                found = self._index.get(key)
                index = -1 if found is None else found
            if index >= 0:
                self._found[index] = i
            if num_members <= MAX_LEARNED_MEMBERS:
                order.append(index)
        for i in range(<Py_ssize_t>self._wire.size()):
            self._failed = i
            if self._found[i] < 0:
                return OUTCOME_MISSING
            member = &scanner.members[self._found[i]]
            outcome = self._decode_value(member.type, member.value, member.value_end, &self._wire[i])
            if outcome != OUTCOME_OK:
                return outcome
        self.record.commit()
        self.num_general += 1
        if num_members <= MAX_LEARNED_MEMBERS:
            self._learn(scanner, frame, length, order)
        return OUTCOME_OK

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

    cdef int _learn(self, JsonScanner* scanner, const char* frame, Py_ssize_t length, list order) except -1:
        """Keep the bytes of this frame between its values.

        A member that is there twice, or spelled with escapes, teaches nothing:
        what was learned before stays.
        """
        cdef Py_ssize_t i, index
        cdef const char* literal = frame
        cdef Member* member
        cdef Step step
        cdef Py_ssize_t num_topic_ids = 0
        for i in range(<Py_ssize_t>scanner.members.size()):
            member = &scanner.members[i]
            index = order[i]
            if index >= 0 and (member.key_has_escape or self._found[index] != i):
                return 0
            if index < 0 and key_is(member[0], TOPIC_ID, len(TOPIC_ID)):
                num_topic_ids += 1
        if num_topic_ids != 1:
            return 0
        self._steps.clear()
        self._literals.clear()
        for i in range(<Py_ssize_t>scanner.members.size()):
            member = &scanner.members[i]
            index = order[i]
            if index < 0 and key_is(member[0], TOPIC_ID, len(TOPIC_ID)):
                # The topic ID is part of what is compared.
                continue
            step.literal = self._literals.size()
            step.length = member.value - literal
            step.is_ignored = index < 0
            if index >= 0:
                step.slot = self._wire[index].slot
                step.kind = self._wire[index].kind
                step.is_element = self._wire[index].is_element
            else:
                step.slot = 0
                step.kind = KIND_DOUBLE
                step.is_element = False
            self._literals.append(literal, step.length)
            self._steps.push_back(step)
            literal = member.value_end
        self._tail = self._literals.size()
        self._literals.append(literal, frame + length - literal)
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
