cdef double monotonic_time() noexcept


cdef class CallClock:
    cdef readonly list calls
    cdef public double spent
    cdef public double slow_call
    cdef bint _has_begun

    cdef int begin_call(self, object what) except -1
    cdef int end_call(self) except -1
    cdef int add_seconds(self, double seconds, object what) except -1
