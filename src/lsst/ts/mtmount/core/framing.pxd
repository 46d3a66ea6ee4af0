cdef class Block:
    cdef unsigned char* data
    cdef Py_ssize_t capacity
    cdef Py_ssize_t lo
    cdef Py_ssize_t hi

cdef class FrameBuffer:
    cdef Block block
    cdef Py_ssize_t start
    cdef int next_frame_view(self, const unsigned char** frame, Py_ssize_t* length) noexcept nogil
