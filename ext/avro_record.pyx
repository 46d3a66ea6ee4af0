"""The prepared Avro record of one SAL topic: its state, and its encoding.

A Kafka message value; all numbers but the schema id are little-endian:

======================  ==========================  =================================
part                    encoding                    written
======================  ==========================  =================================
magic byte, schema id   0x00, 4 bytes big-endian    from the prefix (none: no framing)
private_sndStamp        double                      each time (TAI, unix s)
private_rcvStamp        double                      each time: 0
private_efdStamp        double                      each time (UTC, unix s)
private_kafkaStamp      double                      each time: as private_sndStamp
private_seqNum          int                         each time: 1, 2, ...
private_revCode         string                      from the tail
private_identity        string                      from the tail
private_origin          int                         from the tail
own fields              in the schema's order       by the operations, from the slots
======================  ==========================  =================================

double, float   8 or 4 bytes, IEEE 754
int, long       zigzag varint: 1 to 5 or 10 bytes, 7 bits each, the lowest first
boolean         1 byte, 0 or 1
string          its length in bytes as a long, then UTF-8
array           one block: its count as a long, the elements, 0x00
"""

from collections.abc import Mapping

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.math cimport isnan, trunc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

# Sequence numbers are Avro ints and wrap to 1.
cdef int32_t MAX_SEQ_NUM = 2147483647

cdef dict KINDS = {
    "double": KIND_DOUBLE,
    "float": KIND_FLOAT,
    "long": KIND_LONG,
    "int": KIND_INT,
    "boolean": KIND_BOOLEAN,
    "string": KIND_STRING,
}


cdef inline uint64_t zigzag(int64_t value) noexcept nogil:
    return (<uint64_t>value << 1) ^ <uint64_t>(value >> 63)


cdef inline Py_ssize_t varint_size(int64_t value) noexcept nogil:
    cdef uint64_t rest = zigzag(value)
    cdef Py_ssize_t size = 1
    while rest >= 0x80:
        rest >>= 7
        size += 1
    return size


cdef inline uint8_t* write_varint(uint8_t* out, int64_t value) noexcept nogil:
    """Write an Avro int or long; the caller has made room for 10 bytes at most."""
    cdef uint64_t rest = zigzag(value)
    while rest >= 0x80:
        out[0] = <uint8_t>(rest | 0x80)
        out += 1
        rest >>= 7
    out[0] = <uint8_t>rest
    return out + 1


cdef bytes encoded_varint(int64_t value):
    cdef uint8_t out[10]
    return PyBytes_FromStringAndSize(<char*>out, write_varint(out, value) - out)


cdef bytes encoded_string(str text):
    cdef bytes data = text.encode()
    return encoded_varint(len(data)) + data


cdef class Record:
    """The prepared Avro record of one SAL topic.

    Holds the topic's last values and its sequence number, and writes them as
    one Kafka message value. What is constant in every message is prepared
    once.

    Parameters
    ----------
    fields : `Sequence` [`tuple` [`str`, `str`, `int`]]
        Name, Avro type and element count of each of the topic's own fields,
        in the order of the schema. A count over 1 makes an array; a fourth
        item, `True`, makes an array also of a single element. The eight
        private fields in front of them are implied.
    schema_id : `int` or `None`
        Schema registry id for the Confluent framing (a zero byte and the id
        as 4 bytes, big-endian) in front of the record. `None`: no framing.
    rev_code : `str`
        Value of private_revCode.
    identity : `str`
        Value of private_identity.
    origin : `int`
        Value of private_origin: the process id.

    Attributes
    ----------
    num_encoded : `int`
        Messages written so far.
    snd_stamp : `float`
        Time of the last message (TAI, unix seconds).
    efd_stamp : `float`
        The same instant (UTC, unix seconds).
    """

    def __cinit__(
        self, fields, *, schema_id: int | None, rev_code: str, identity: str = "MTMount", origin: int
    ) -> None:
        cdef Py_ssize_t first = 0
        self._fields = {}
        self._arrays = set()
        self._strings = []
        for name, avro_type, count, *is_array in fields:
            if avro_type not in KINDS:
                raise ValueError(f"field {name!r}: expected one of {sorted(KINDS)}, got {avro_type!r}")
            if count < 1:
                raise ValueError(f"field {name!r}: expected one element at least, got {count}")
            if name in self._fields:
                raise ValueError(f"expected fields of different names, got {name!r} twice")
            self._fields[name] = (<int>KINDS[avro_type], first, count)
            if count > 1 or any(is_array):
                self._arrays.add(name)
            first += count
        self.field_names = tuple(self._fields)
        self.num_slots = first
        self.slots = <Slot*>PyMem_Calloc(first + 1, sizeof(Slot))
        self.spare = <Slot*>PyMem_Calloc(first + 1, sizeof(Slot))
        # At most two literals and one run of values a field.
        self._ops = <Op*>PyMem_Calloc(3 * len(self._fields) + 1, sizeof(Op))
        if self.slots == NULL or self.spare == NULL or self._ops == NULL:
            raise MemoryError()
        for kind, first, count in self._fields.values():
            if kind == KIND_STRING:
                for i in range(count):
                    self.slots[first + i].i = self.spare[first + i].i = len(self._strings)
                    self._strings.append("")
        self._identity = identity
        self._origin = origin
        self._plan()
        self.set_schema(schema_id, rev_code)

    def __dealloc__(self) -> None:
        PyMem_Free(self.slots)
        PyMem_Free(self.spare)
        PyMem_Free(self._ops)

    def _plan(self) -> None:
        """Work out the operations that write the record's own fields.

        Neighbouring values of one kind, and neighbouring literals (the ends
        and heads of arrays), are merged.
        """
        cdef dict op_codes = {
            <int>KIND_DOUBLE: OP_DOUBLES,
            <int>KIND_FLOAT: OP_FLOATS,
            <int>KIND_LONG: OP_VARINTS,
            <int>KIND_INT: OP_VARINTS,
            <int>KIND_BOOLEAN: OP_BOOLEANS,
            <int>KIND_STRING: OP_STRINGS,
        }
        cdef list runs = []
        cdef bytes literals = b""

        def add(code, first, count):
            if runs and runs[-1][0] == code and runs[-1][1] + runs[-1][2] == first:
                runs[-1][2] += count
            else:
                runs.append([code, first, count])

        for name, (kind, first, count) in self._fields.items():
            if name in self._arrays:
                head = encoded_varint(count)
                add(<int>OP_LITERAL, len(literals), len(head))
                literals += head
            add(<int>op_codes[kind], first, count)
            if name in self._arrays:
                add(<int>OP_LITERAL, len(literals), 1)
                literals += b"\0"
        self._literals = literals
        self._num_ops = len(runs)
        self._body_size = 0
        self._has_variable_size = False
        widths = {<int>OP_LITERAL: 1, <int>OP_DOUBLES: 8, <int>OP_FLOATS: 4, <int>OP_BOOLEANS: 1}
        for i, (code, first, count) in enumerate(runs):
            self._ops[i] = Op(code, first, count)
            if code in widths:
                self._body_size += widths[code] * count
            else:
                self._has_variable_size = True

    def set_schema(self, schema_id: int | None, rev_code: str) -> None:
        """Change what the schema registry decides; see the parameters of the class."""
        self._prefix = b"" if schema_id is None else b"\0" + int(schema_id).to_bytes(4, "big")
        self._tail = encoded_string(rev_code) + encoded_string(self._identity) + encoded_varint(self._origin)
        # The four stamps stand between them; seqNum is added at each encoding.
        self._fixed_size = len(self._prefix) + 32 + len(self._tail) + self._body_size

    @property
    def seq_num(self) -> int:
        """Sequence number of the last message, 0 before the first."""
        return self._seq_num

    @seq_num.setter
    def seq_num(self, value: int) -> None:
        if not 0 <= value <= MAX_SEQ_NUM:
            raise ValueError(f"expected a seq_num of 0 to {MAX_SEQ_NUM}, got {value}")
        self._seq_num = value

    cpdef tuple locate(self, str field_name):
        """Return the kind, the first slot and the element count of a field."""
        try:
            return self._fields[field_name]
        except KeyError:
            raise AttributeError(f"the topic has no field {field_name!r}") from None

    def holds_numbers(self, name: str, count: int) -> bool:
        """Tell whether there is a field of that name for this many numbers (or booleans)."""
        kind, _, num_elements = self._fields.get(name, (<int>KIND_STRING, 0, 0))
        return kind != KIND_STRING and num_elements == count

    def get_field(self, name: str) -> object:
        """Return the value of a field; a list if it is an array.

        Raises
        ------
        AttributeError
            If there is no such field.
        """
        cdef Py_ssize_t first, i
        kind, first, count = self.locate(name)
        if name not in self._arrays:
            return self._value(kind, &self.slots[first])
        return [self._value(kind, &self.slots[first + i]) for i in range(count)]

    def values(self) -> dict[str, object]:
        """Return the values of all fields, by name."""
        return {name: self.get_field(name) for name in self.field_names}

    def set_field(self, name: str, value: object) -> bool:
        """Set one field; see `set_fields`."""
        return self.set_fields({name: value})

    def set_fields(self, fields: Mapping[str, object]) -> bool:
        """Set the values of some fields: all of them, or none if one is bad.

        Values are converted as fastavro does when it writes them: any real
        number for a number (truncated towards zero for an integer), any
        number for a boolean. `None` leaves a field as it is.

        An array takes a sequence. (What the TMA sends as a scalar may be set so where it is an
        array of one.) Return whether any value changed. NaN equals NaN.

        Raises
        ------
        AttributeError
            If there is no such field.
        TypeError
            If a value is of the wrong type.
        OverflowError
            If a value is beyond the range of the field; for an integer, an infinity is.
        ValueError
            If a value is a NaN for an integer, or a sequence has the wrong length.
        """
        cdef Py_ssize_t first, i
        cdef Slot* old
        cdef Slot* new
        cdef bint did_change = False
        cdef dict strings = {}
        cdef list located = []
        for name, value in fields.items():
            place = self.locate(name)
            if value is not None:
                located.append((name, value, place))
        # A decoder leaves the state before last there, or parts of a bad frame.
        memcpy(self.spare, self.slots, self.num_slots * sizeof(Slot))
        try:
            for name, value, (kind, first, count) in located:
                if count == 1 and (name not in self._arrays or not hasattr(value, "__len__")):
                    elements = (value,)
                elif isinstance(value, (str, bytes, dict)):
                    raise TypeError(f"expected a sequence of {count} values, got {value!r}")
                else:
                    elements = tuple(value)
                    if len(elements) != count:
                        raise ValueError(f"expected {count} elements, got {len(elements)}")
                for i in range(count):
                    old = &self.slots[first + i]
                    new = &self.spare[first + i]
                    if kind == KIND_STRING:
                        if not isinstance(elements[i], str):
                            raise TypeError(f"expected a str, got {elements[i]!r}")
                        try:
                            elements[i].encode()
                        except UnicodeEncodeError as error:
                            raise ValueError(str(error)) from None
                        strings[old.i] = elements[i]
                        did_change = did_change or self._strings[old.i] != elements[i]
                    else:
                        self.convert(elements[i], kind, new)
                        if kind == KIND_DOUBLE or kind == KIND_FLOAT:
                            did_change = did_change or not (
                                old.d == new.d or (isnan(old.d) and isnan(new.d))
                            )
                        else:
                            did_change = did_change or old.i != new.i
        except BaseException as error:
            memcpy(self.spare, self.slots, self.num_slots * sizeof(Slot))
            # A subclass of them may want other arguments.
            for kind_of_error in (TypeError, ValueError, OverflowError):
                if isinstance(error, kind_of_error):
                    raise kind_of_error(f"field {name!r}: {error}") from error
            raise
        memcpy(self.slots, self.spare, self.num_slots * sizeof(Slot))
        for index, text in strings.items():
            self._strings[index] = text
        return did_change

    def encode(self, snd_stamp: float, efd_stamp: float) -> bytes:
        """Write the record, with the next sequence number, as the value of a Kafka message.

        Parameters
        ----------
        snd_stamp, efd_stamp : `float`
            Time of the write: TAI, for private_sndStamp and private_kafkaStamp, and the same
            instant in UTC, for private_efdStamp (unix seconds).
        """
        return self.encode_values(snd_stamp, efd_stamp)

    cdef void commit(self) noexcept nogil:
        """Make the spare values, of which a decoder filled its own, the state."""
        self.slots, self.spare = self.spare, self.slots

    cdef bytes encode_values(self, double snd_stamp, double efd_stamp):
        cdef int32_t seq_num = 1 if self._seq_num == MAX_SEQ_NUM else self._seq_num + 1
        cdef Py_ssize_t size = self._fixed_size + varint_size(seq_num)
        if self._has_variable_size:
            size += self._variable_size()
        cdef bytes payload = PyBytes_FromStringAndSize(NULL, size)
        cdef uint8_t* out = <uint8_t*>PyBytes_AS_STRING(payload)
        cdef Py_ssize_t length = len(self._prefix)
        cdef double stamps[4]
        memcpy(out, PyBytes_AS_STRING(self._prefix), length)
        out += length
        self.snd_stamp = snd_stamp
        self.efd_stamp = efd_stamp
        stamps[0] = snd_stamp
        stamps[1] = 0.0
        stamps[2] = efd_stamp
        stamps[3] = snd_stamp
        # Avro's doubles are little-endian IEEE 754: the machine's own form.
        memcpy(out, stamps, 32)
        out = write_varint(out + 32, seq_num)
        length = len(self._tail)
        memcpy(out, PyBytes_AS_STRING(self._tail), length)
        out += length

        cdef const char* literals = PyBytes_AS_STRING(self._literals)
        cdef const Op* op
        cdef const Slot* slot
        cdef float single
        cdef Py_ssize_t i, j
        cdef const char* text
        for i in range(self._num_ops):
            op = &self._ops[i]
            if op.code == OP_LITERAL:
                memcpy(out, literals + op.first, op.count)
                out += op.count
                continue
            slot = &self.slots[op.first]
            if op.code == OP_DOUBLES:
                memcpy(out, slot, 8 * op.count)
                out += 8 * op.count
            elif op.code == OP_VARINTS:
                for j in range(op.count):
                    out = write_varint(out, slot[j].i)
            elif op.code == OP_BOOLEANS:
                for j in range(op.count):
                    out[0] = slot[j].i != 0
                    out += 1
            elif op.code == OP_FLOATS:
                for j in range(op.count):
                    single = <float>slot[j].d
                    memcpy(out, &single, 4)
                    out += 4
            else:
                for j in range(op.count):
                    text = PyUnicode_AsUTF8AndSize(self._strings[slot[j].i], &length)
                    out = write_varint(out, length)
                    memcpy(out, text, length)
                    out += length
        self._seq_num = seq_num
        self.num_encoded += 1
        return payload

    cdef Py_ssize_t _variable_size(self) except -1:
        """The encoded size of all integers and strings [bytes]."""
        cdef Py_ssize_t size = 0, length = 0, i, j
        cdef const Op* op
        for i in range(self._num_ops):
            op = &self._ops[i]
            if op.code == OP_VARINTS:
                for j in range(op.count):
                    size += varint_size(self.slots[op.first + j].i)
            elif op.code == OP_STRINGS:
                for j in range(op.count):
                    PyUnicode_AsUTF8AndSize(self._strings[self.slots[op.first + j].i], &length)
                    size += varint_size(length) + length
        return size

    cdef int convert(self, object value, Kind kind, Slot* slot) except -1:
        """Store a Python number as a slot of that kind."""
        cdef double number
        cdef int64_t integer
        if store_plain(<PyObject*>value, kind, slot):
            return 0
        if isinstance(value, (str, bytes, bytearray)):
            # float("1") would be a number, and numpy.str_ offers __float__.
            raise TypeError(f"expected a number, got {value!r}")
        if kind == KIND_DOUBLE:
            slot.d = value
        elif kind == KIND_FLOAT:
            number = value
            slot.d = <float>number
        elif kind == KIND_BOOLEAN:
            if not hasattr(value, "__float__") and not hasattr(value, "__index__"):
                raise TypeError(f"expected a number, got {value!r}")
            slot.i = 1 if value else 0
        else:
            if hasattr(value, "__index__"):
                integer = value.__index__()
            else:
                number = value
                if isnan(number):
                    raise ValueError(f"expected an integer, got {value!r}")
                number = trunc(number)
                if not -9223372036854775808.0 <= number < 9223372036854775808.0:
                    raise OverflowError(f"expected an Avro long, got {value!r}")
                integer = <int64_t>number
            if kind == KIND_INT and integer != <int32_t>integer:
                raise OverflowError(f"expected an Avro int, got {value!r}")
            slot.i = integer
        return 0

    cdef object _value(self, Kind kind, Slot* slot):
        if kind == KIND_DOUBLE or kind == KIND_FLOAT:
            return slot.d
        if kind == KIND_BOOLEAN:
            return slot.i != 0
        if kind == KIND_STRING:
            return self._strings[slot.i]
        return slot.i
