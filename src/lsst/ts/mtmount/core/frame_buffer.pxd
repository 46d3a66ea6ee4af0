cimport cython


cdef enum:
    # How much of an over-long frame is kept for a report [bytes].
    FRAME_HEAD = 200


# Memory of a FrameBuffer. A memoryview of its free tail keeps it alive, so
# that nobody writes into freed memory after the buffer went on to another block.
@cython.final
cdef class Block:
    cdef unsigned char* data
    cdef Py_ssize_t capacity
    # What the next memoryview shows.
    cdef Py_ssize_t lo
    cdef Py_ssize_t hi


@cython.final
cdef class FrameBuffer:
    cdef readonly bytes terminator
    cdef readonly Py_ssize_t limit
    # data[start:end] of the block is unread.
    cdef Block block
    cdef Py_ssize_t start
    cdef Py_ssize_t end
    cdef const unsigned char* _terminator
    cdef Py_ssize_t _terminator_length
    # No terminator starts before this position, or none of `_other`.
    cdef Py_ssize_t _scanned
    cdef bint _scanned_is_other
    cdef bytes _other
    cdef Py_ssize_t _offered
    cdef Py_ssize_t _receive_size
    # Must consumed frames stay where they are, in a block that somebody holds?
    cdef bint is_pinned
    # How much of an over-long frame is gone already; -1: there is none.
    cdef Py_ssize_t _discarded
    cdef Py_ssize_t _head_length
    cdef unsigned char _head[FRAME_HEAD]

    cdef int next_frame_view(
        self, const unsigned char** frame, Py_ssize_t* length, bint leaves_long
    ) noexcept nogil
    cdef int rest_view(self, const unsigned char** frame, Py_ssize_t* length) noexcept nogil
    cdef const unsigned char* unread(self, Py_ssize_t* length) noexcept nogil
    cdef void consume(self, Py_ssize_t n) noexcept nogil
    cdef Py_ssize_t _scan(self, const unsigned char* separator, Py_ssize_t length) noexcept nogil
    cdef void _discard(self, Py_ssize_t n) noexcept nogil
    cdef int _make_room(self, Py_ssize_t n) except -1
