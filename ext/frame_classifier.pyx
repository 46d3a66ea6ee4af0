"""From received bytes to frames with their topic and time stamp: what a recorder needs of them."""

import sys

from libc.math cimport NAN

from lsst.ts.mtmount.core.frame_buffer cimport FRAME_HEAD, FrameBuffer
from lsst.ts.mtmount.core.scanner cimport (
    JSON_INTEGER,
    JSON_REAL,
    OUTCOME_OK,
    JsonScanner,
    Member,
    as_double,
    find_member,
    find_topic_id,
    scan_frame,
)

from lsst.ts.mtmount.core.drop_reason import FrameError

# What a frame is.
FRAME_DECODABLE = 0
# No JSON object with a topic ID.
FRAME_UNDECODABLE = 1
# Over the limit: only its first 200 bytes are there.
FRAME_TOO_LONG = 2
# The stream ended before its terminator.
FRAME_UNFINISHED = 3

cdef const char* TIMESTAMP = b"timestamp"
cdef enum:
    TIMESTAMP_LENGTH = 9


cdef class FrameClassifier:
    """Tells of each frame of a stream what it is, its topic and its time stamp.

    Values are not decoded: a frame of a known topic may still lack a field.

    Parameters
    ----------
    terminator : `bytes`
        What ends a frame.
    limit : `int`
        The longest frame that is kept whole [bytes].
    """

    cdef FrameBuffer _buffer
    cdef JsonScanner _scanner

    def __cinit__(self, terminator: bytes, limit: int) -> None:
        self._buffer = FrameBuffer(terminator, limit)
        self._scanner.max_integer_digits = sys.get_int_max_str_digits()

    def feed(self, data: bytes) -> list[tuple[int, object, float, int, bytes]]:
        """Take received bytes; return the frames that they complete.

        Returns
        -------
        frames : `list` [`tuple`]
            Of each: what it is (one of the constants above); the topic ID, or
            None; the time stamp, NaN if there is none [TAI unix s]; the
            length; and the bytes, without the terminator.
        """
        cdef const char* frame = NULL
        cdef Py_ssize_t length = 0
        cdef int code
        cdef list frames = []
        self._buffer.feed(data)
        while True:
            code = self._buffer.next_frame_view(<const unsigned char**>&frame, &length, False)
            if code == 0:
                return frames
            if code == 2:
                frames.append((FRAME_TOO_LONG, None, NAN, length, frame[:min(length, FRAME_HEAD)]))
            else:
                frames.append(self._describe(frame, length))

    def finish(self) -> list[tuple[int, object, float, int, bytes]]:
        """Say that the stream has ended; return the frame that it left unfinished, if there is one."""
        cdef const char* frame = NULL
        cdef Py_ssize_t length = 0
        cdef int code = self._buffer.rest_view(<const unsigned char**>&frame, &length)
        if code == 0:
            return []
        return [
            (FRAME_UNFINISHED, None, NAN, length, frame[:min(length, FRAME_HEAD) if code == 2 else length])
        ]

    cdef tuple _describe(self, const char* frame, Py_ssize_t length):
        cdef Py_ssize_t i
        cdef Member* member
        cdef double timestamp = NAN
        if scan_frame(&self._scanner, frame, length) != OUTCOME_OK:
            return FRAME_UNDECODABLE, None, NAN, length, frame[:length]
        try:
            topic_id = find_topic_id(&self._scanner)
        except FrameError:
            return FRAME_UNDECODABLE, None, NAN, length, frame[:length]
        i = find_member(&self._scanner, TIMESTAMP, TIMESTAMP_LENGTH)
        if i >= 0:
            member = &self._scanner.members[i]
            if member.type == JSON_INTEGER or member.type == JSON_REAL:
                timestamp = as_double(member.value, member.value_end)
        return FRAME_DECODABLE, topic_id, timestamp, length, frame[:length]
