"""How long the code of users takes, and which call goes on."""

from libc.math cimport INFINITY
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec


cdef double monotonic_time() noexcept:
    """Return what time.monotonic does [s]."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <double>now.tv_sec + 1e-9 * <double>now.tv_nsec


cdef class CallClock:
    """Adds up the time of calls of users' code.

    Attributes
    ----------
    calls : `list` [`tuple` [`float`, `Any`]]
        When the present calls began (as of `time.monotonic`), and what they call; the innermost last.
    spent : `float`
        Time of all calls that have ended [s]; anybody may set it.
    slow_call : `float`
        A call that takes longer is told of [s].
    """

    def __cinit__(self, *args: object, **kwargs: object) -> None:
        self.calls = []
        self.slow_call = INFINITY

    def note_first_call(self) -> None:
        """Do what is to be done when the first call begins."""

    def note_slow_call(self, seconds: float, what: object) -> None:
        """Do what is to be done when a call has ended that took long."""

    def begin(self, what: object) -> None:
        """Note that a call begins."""
        self.begin_call(what)

    def end(self) -> None:
        """Note that it has ended."""
        self.end_call()

    def add(self, seconds: float, what: object) -> None:
        """Note that a call took some time [s]."""
        self.add_seconds(seconds, what)

    cdef int begin_call(self, object what) except -1:
        self.calls.append((monotonic_time(), what))
        if not self._has_begun:
            self._has_begun = True
            self.note_first_call()
        return 0

    cdef int end_call(self) except -1:
        cdef double start
        start, what = self.calls.pop()
        return self.add_seconds(monotonic_time() - start, what)

    cdef int add_seconds(self, double seconds, object what) except -1:
        self.spent += seconds
        if seconds > self.slow_call:
            self.note_slow_call(seconds, what)
        return 0
