"""The receive buffer: bytes come in in place, frames go out at their terminators."""

from lsst.ts.mtmount.core.drop_reason import DropReason, FrameError

cimport cython
from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBUF_WRITABLE,
    PyBuffer_FillInfo,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.memoryview cimport PyMemoryView_FromObject
from libc.string cimport memchr, memcmp, memcpy, memmove

cdef enum:
    # Decoders may read this far behind the last byte [bytes].
    PADDING = 64
    # The first block, and the one to which an idle buffer returns [bytes].
    SMALL_RECEIVE = 64 * 1024
    # What a busy sender is offered for one receive [bytes]. Its frames reach the producer together:
    # with four times as many of each topic, a request to Kafka carries four times as many messages.
    LARGE_RECEIVE = 1024 * 1024
    # Less room than this is not worth a receive [bytes].
    LEAST_RECEIVE = 16 * 1024
    # Unread bytes that are moved to the front without a thought [bytes].
    CHEAP_MOVE = 4 * 1024


@cython.final
cdef class Block:
    """A piece of memory; its memoryview shows one part of it."""

    def __cinit__(self, Py_ssize_t capacity) -> None:
        self.data = <unsigned char*>PyMem_Calloc(capacity + PADDING, 1)
        if self.data == NULL:
            raise MemoryError(f"no memory for a receive buffer of {capacity} bytes")
        self.capacity = capacity

    def __dealloc__(self) -> None:
        PyMem_Free(self.data)

    def __getbuffer__(self, Py_buffer* buffer, int flags) -> None:
        PyBuffer_FillInfo(buffer, self, self.data + self.lo, self.hi - self.lo, 0, flags)


@cython.final
cdef class FrameBuffer:
    """Received bytes, and a scan for the ends of frames that sees each byte once.

    `take`, `peek` and `skip` raise ValueError if n is negative or there are fewer bytes.

    Parameters
    ----------
    terminator : `bytes`
        What ends a frame: one or more bytes.
    limit : `int`
        The longest frame, without its terminator [bytes].

    Notes
    -----
    Memory starts at 64 KiB. Where the sender fills what it is offered, 1 MiB
    is offered. Beyond that memory grows only with unread bytes: `next_frame`
    keeps them under ``limit`` and one receive; with the other methods it is
    the caller who stops to receive.
    """

    def __cinit__(self, terminator: bytes = b"\r\n", Py_ssize_t limit=65536) -> None:
        if not terminator:
            raise ValueError("expected a terminator of one byte at least, got b''")
        if limit <= 0:
            raise ValueError(f"expected a positive limit, got {limit}")
        self.terminator = terminator
        self.limit = limit
        self.block = Block(SMALL_RECEIVE)
        self._terminator = <const unsigned char*>PyBytes_AS_STRING(terminator)
        self._terminator_length = PyBytes_GET_SIZE(terminator)
        self._receive_size = SMALL_RECEIVE
        self._discarded = -1

    def __len__(self) -> int:
        """The number of unread bytes."""
        return self.end - self.start

    def __sizeof__(self) -> int:
        """The memory taken, received bytes included [bytes]."""
        return object.__sizeof__(self) + self.block.capacity + PADDING

    def get_buffer(self, Py_ssize_t sizehint=-1) -> memoryview:
        """Offer writable memory to receive into, never empty.

        Of what is wanted [bytes; -1: as is best] at most 1 MiB counts. Pass the number of
        bytes received to `buffer_updated`.
        """
        cdef Block block
        self._make_room(min(max(sizehint, LEAST_RECEIVE), LARGE_RECEIVE))
        block = self.block
        block.lo = self.end
        block.hi = block.capacity
        self._offered = block.hi - block.lo
        return PyMemoryView_FromObject(block)

    def buffer_updated(self, Py_ssize_t nbytes) -> None:
        """Take what was received into the last `get_buffer`.

        ValueError if that much was not offered, or `feed` was called since.
        """
        if not 0 <= nbytes <= self._offered:
            raise ValueError(f"expected {self._offered} bytes at most, as offered, got {nbytes}")
        if nbytes == self._offered:
            self._receive_size = LARGE_RECEIVE
        self._offered = 0
        self.end += nbytes

    def feed(self, data) -> None:
        """Append a copy of bytes."""
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self._offered = 0
            self._make_room(view.len)
            # The bytes may be our own: a slice of what `get_buffer` returned.
            memmove(self.block.data + self.end, view.buf, view.len)
            self.end += view.len
        finally:
            PyBuffer_Release(&view)

    def find(self, separator: bytes | None = None) -> int:
        """Find a separator, by default the terminator.

        Return its offset from the first unread byte, -1 if there is none. A search without
        success is resumed where it stopped.
        """
        cdef bint is_other = separator is not None and separator != self.terminator
        if is_other and separator != self._other:
            if not separator:
                raise ValueError("expected a separator of one byte at least, got b''")
            self._other = separator
            self._scanned = self.start
        if is_other != self._scanned_is_other:
            self._scanned_is_other = is_other
            self._scanned = self.start
        if not is_other:
            return self._scan(self._terminator, self._terminator_length)
        return self._scan(
            <const unsigned char*>PyBytes_AS_STRING(self._other), PyBytes_GET_SIZE(self._other)
        )

    def take(self, Py_ssize_t n) -> bytes:
        """Return and consume the first n unread bytes."""
        data = self.peek(n)
        self.consume(n)
        return data

    def peek(self, Py_ssize_t n) -> bytes:
        """Return the first n unread bytes; they stay unread."""
        self._check_unread(n)
        return PyBytes_FromStringAndSize(<const char*>self.block.data + self.start, n)

    def skip(self, Py_ssize_t n) -> None:
        """Consume the first n unread bytes."""
        self._check_unread(n)
        self.consume(n)

    def readinto(self, target) -> int:
        """Copy and consume as many bytes as fit into writable memory; return how many."""
        cdef Py_buffer view
        cdef Py_ssize_t n
        PyObject_GetBuffer(target, &view, PyBUF_WRITABLE)
        try:
            n = min(view.len, self.end - self.start)
            memmove(view.buf, self.block.data + self.start, n)
            # Before the release, which may run code that reads from here.
            self.consume(n)
        finally:
            PyBuffer_Release(&view)
        return n

    def next_frame(self) -> bytes | None:
        """Return and consume the next frame, without its terminator; `None` if none is complete.

        FrameError if a frame was longer than the limit; it is consumed. (Its bytes are dropped
        as they come, so this is raised at its terminator.)
        """
        cdef const unsigned char* frame = NULL
        cdef Py_ssize_t length = 0
        cdef int code = self.next_frame_view(&frame, &length, False)
        if code == 0:
            return None
        if code == 2:
            raise FrameError(DropReason.TOO_LONG, f"expected {self.limit} bytes at most, got {length}")
        return PyBytes_FromStringAndSize(<const char*>frame, length)

    def _check_unread(self, Py_ssize_t n) -> None:
        if not 0 <= n <= self.end - self.start:
            raise ValueError(f"expected 0 to {self.end - self.start} bytes, as unread, got {n}")

    cdef int next_frame_view(
        self, const unsigned char** frame, Py_ssize_t* length, bint leaves_long
    ) noexcept nogil:
        """Consume the next frame.

        Returns 1: a frame; the pointer, into the buffer, is valid until the
        next `get_buffer` or `feed`. 0: no frame is complete. 2: a frame over
        the limit was dropped; the pointer is to its first FRAME_HEAD bytes,
        or all if fewer, the length its whole length. 3: there is such a frame, and
        ``leaves_long`` leaves it to the next call.
        """
        cdef Py_ssize_t found, unfinished
        if self._scanned_is_other:
            self._scanned_is_other = False
            self._scanned = self.start
        found = self._scan(self._terminator, self._terminator_length)
        if found < 0:
            # The terminator may have begun in the last bytes.
            unfinished = self.end - self.start - (self._terminator_length - 1)
            if unfinished > self.limit or (self._discarded >= 0 and unfinished > 0):
                self._discard(unfinished)
            return 0
        if found > self.limit or self._discarded >= 0:
            if leaves_long:
                return 3
            self._discard(found)
            self.consume(self._terminator_length)
            frame[0] = self._head
            length[0] = self._discarded
            self._discarded = -1
            return 2
        frame[0] = self.block.data + self.start
        length[0] = found
        self.consume(found + self._terminator_length)
        return 1

    cdef int rest_view(self, const unsigned char** frame, Py_ssize_t* length) noexcept nogil:
        """Consume the beginning of a frame that will not be completed.

        Caller has taken all complete frames. Returns as `next_frame_view`
        does; 0: there is nothing left.
        """
        cdef Py_ssize_t left = self.end - self.start
        if self._discarded >= 0:
            self._discard(left)
            frame[0] = self._head
            length[0] = self._discarded
            self._discarded = -1
            return 2
        frame[0] = self.block.data + self.start
        length[0] = left
        self.consume(left)
        return left > 0

    cdef const unsigned char* unread(self, Py_ssize_t* length) noexcept nogil:
        """All unread bytes; valid until the next `get_buffer` or `feed`."""
        length[0] = self.end - self.start
        return self.block.data + self.start

    cdef void consume(self, Py_ssize_t n) noexcept nogil:
        """Caller holds 0 <= n <= unread bytes.

        Nothing moves here: pointers to consumed bytes and an offered tail
        stay valid.
        """
        self.start += n

    cdef Py_ssize_t _scan(self, const unsigned char* separator, Py_ssize_t length) noexcept nogil:
        """Offset of the separator from the first unread byte, -1 if there is none."""
        # memchr for the first byte: glibc's memmem looks at each byte of its own.
        cdef const unsigned char* data = self.block.data
        cdef const unsigned char* hit
        cdef Py_ssize_t position = max(self._scanned, self.start)
        cdef Py_ssize_t stop = self.end - (length - 1)
        while position < stop:
            hit = <const unsigned char*>memchr(data + position, separator[0], stop - position)
            if hit == NULL:
                position = stop
                break
            position = hit - data
            if memcmp(hit + 1, separator + 1, length - 1) == 0:
                self._scanned = position
                return position - self.start
            position += 1
        self._scanned = position
        return -1

    cdef void _discard(self, Py_ssize_t n) noexcept nogil:
        """Drop n bytes of an over-long frame, but keep its head for a report."""
        cdef Py_ssize_t kept
        if self._discarded < 0:
            self._discarded = 0
            self._head_length = 0
        kept = min(n, FRAME_HEAD - self._head_length)
        memcpy(self._head + self._head_length, self.block.data + self.start, kept)
        self._head_length += kept
        self._discarded += n
        self.consume(n)

    cdef int _make_room(self, Py_ssize_t n) except -1:
        """Have room for n more bytes behind the unread ones.

        What is moved is small, or no more than what was consumed, or goes to
        a block with as much room again: O(1) for each byte received.
        """
        cdef Block block = self.block
        cdef Block other
        cdef Py_ssize_t unread = self.end - self.start
        cdef Py_ssize_t capacity = max(max(unread + n, 2 * unread), self._receive_size)
        cdef bint is_short = block.capacity - self.end < n
        cdef bint is_cheap = not self.is_pinned and (
            unread <= CHEAP_MOVE or (is_short and unread <= self.start)
        )
        cdef bint is_small = block.capacity < max(unread + n, self._receive_size)
        cdef bint is_huge = block.capacity > 2 * max(capacity, LARGE_RECEIVE)
        if is_small or is_huge or (is_short and not is_cheap):
            other = Block(capacity)
            memcpy(other.data, block.data + self.start, unread)
            self.block = other
        elif self.start > 0 and is_cheap:
            memmove(block.data, block.data + self.start, unread)
        else:
            return 0
        self._scanned = max(self._scanned - self.start, 0)
        self.start = 0
        self.end = unread
        return 0
