"""From the frames of one topic to the rows of a NumPy structured array, without a dict."""

import sys

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy
from libcpp.vector cimport vector

from lsst.ts.mtmount.core.avro_record cimport (
    KIND_BOOLEAN,
    KIND_DOUBLE,
    KIND_FLOAT,
    KIND_INT,
    KIND_LONG,
    Kind,
    Slot,
)
from lsst.ts.mtmount.core.scanner cimport OUTCOME_OK, JsonScanner
from lsst.ts.mtmount.core.topic_codec cimport TopicCodec

from lsst.ts.mtmount.core.drop_reason import FrameError

cdef dict FORMATS = {
    <int>KIND_DOUBLE: "<f8",
    <int>KIND_FLOAT: "<f4",
    <int>KIND_LONG: "<i8",
    <int>KIND_INT: "<i4",
    <int>KIND_BOOLEAN: "?",
}

ARRIVAL_TIME = "arrival_time"


# Where a field's values are in the record, and where they go in a row.
cdef struct Column:
    Kind kind
    Py_ssize_t first
    Py_ssize_t count
    Py_ssize_t offset


cdef class ColumnDecoder:
    """Decodes the frames of one topic into the rows of an array.

    Parameters
    ----------
    codec : `TopicCodec`
        Decodes the frames; its record is changed by that.
    fields : `Iterable` [`str`]
        Fields of the record, in the order of the columns. Strings are not possible.

    Attributes
    ----------
    dtype : `numpy.dtype`
        Type of a row: ``arrival_time`` (``datetime64[ns]``), then the fields;
        an array is a sub-array.
    """

    cdef readonly object dtype
    cdef TopicCodec _codec
    cdef JsonScanner _scanner
    cdef vector[Column] _columns
    cdef Py_ssize_t _row_size

    def __cinit__(self, codec: TopicCodec, fields) -> None:
        # Here, because NumPy takes 13 MB that most programs need not.
        import numpy

        cdef Column column
        cdef list types = [(ARRIVAL_TIME, "<M8[ns]")]
        cdef Py_ssize_t i
        cdef tuple names = tuple(fields)
        self._codec = codec
        self._scanner.max_integer_digits = sys.get_int_max_str_digits()
        for name in names:
            kind, first, count = codec.record.locate(name)
            if kind not in FORMATS:
                raise ValueError(f"field {name!r}: expected numbers or booleans, got strings")
            types.append((name, FORMATS[kind], (count,)) if count > 1 else (name, FORMATS[kind]))
            column.kind, column.first, column.count, column.offset = kind, first, count, 0
            self._columns.push_back(column)
        self.dtype = numpy.dtype(types)
        self._row_size = self.dtype.itemsize
        for i, name in enumerate(names):
            self._columns[i].offset = self.dtype.fields[name][1]

    def decode(self, messages, rows) -> int:
        """Decode frames into the first rows of an array.

        Return how many rows were filled: invalid frames have none.

        Parameters
        ----------
        messages : `list` [`tuple` [`int`, `bytes`]]
            Arrival time [UTC unix ns] and frame.
        rows : `numpy.ndarray`
            Of type ``dtype``, contiguous, with a row for each message.

        Raises
        ------
        ValueError
            If the rows are of another type, or too few.
        """
        cdef Py_buffer view
        cdef Py_ssize_t num_rows = 0
        cdef int64_t arrival
        cdef bytes frame
        cdef char* row
        if rows.dtype != self.dtype or len(rows) < len(messages):
            raise ValueError(
                f"expected {len(messages)} rows of {self.dtype}, got {len(rows)} of {rows.dtype}"
            )
        # Not as it is: the buffer protocol knows no datetime64.
        plain = rows.view("u1")
        PyObject_GetBuffer(plain, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        try:
            for arrival, frame in messages:
                if not self._decode_frame(frame):
                    continue
                # Neither the length of the messages nor that of the rows is what it was, or says it all:
                # another thread may append, and a row may have no elements.
                if (num_rows + 1) * self._row_size > view.len:
                    raise ValueError(f"expected a row for each message, got {num_rows} rows")
                row = <char*>view.buf + num_rows * self._row_size
                memcpy(row, &arrival, sizeof(arrival))
                self._write_row(row)
                num_rows += 1
        finally:
            PyBuffer_Release(&view)
        return num_rows

    cdef bint _decode_frame(self, bytes frame) except -1:
        """Take the frame into the record; false if it is invalid."""
        if self._codec.decode_by_template(&self._scanner, frame, len(frame)) == OUTCOME_OK:
            return True
        try:
            self._codec.decode_frame(frame)
        except FrameError:
            return False
        return True

    cdef void _write_row(self, char* row) noexcept nogil:
        cdef Slot* slot
        cdef Column* column
        cdef char* out
        cdef size_t i
        cdef Py_ssize_t j
        cdef float single
        cdef int32_t integer
        for i in range(self._columns.size()):
            column = &self._columns[i]
            slot = &self._codec.record.slots[column.first]
            out = row + column.offset
            if column.kind == KIND_DOUBLE or column.kind == KIND_LONG:
                # A slot holds both in the array's own form.
                memcpy(out, slot, 8 * column.count)
            elif column.kind == KIND_FLOAT:
                for j in range(column.count):
                    single = <float>slot[j].d
                    memcpy(out + 4 * j, &single, 4)
            elif column.kind == KIND_INT:
                for j in range(column.count):
                    integer = <int32_t>slot[j].i
                    memcpy(out + 4 * j, &integer, 4)
            else:
                for j in range(column.count):
                    out[j] = slot[j].i != 0
