cdef class Block:
    pass
cdef class FrameBuffer:
    cdef int next_frame_view(self, const unsigned char** frame, Py_ssize_t* length) noexcept nogil:
        return 0
