"""Counting of deliveries, as cheap as a delivery callback can be."""

from libc.stdint cimport int64_t


cdef class DeliveryCounter:
    """Counts what became of the messages that were handed to a producer.

    An instance is a delivery callback: it is called with an error (or `None`)
    and the message, once for each message.

    Parameters
    ----------
    on_failure : `Callable`
        Called with the error and the message for each failed delivery.

    Attributes
    ----------
    acknowledged : `int`
        Messages delivered as the producer's settings promise.
    failed : `int`
        Messages given up, each after a call of ``on_failure``.
    """

    cdef readonly int64_t acknowledged
    cdef readonly int64_t failed
    cdef readonly object on_failure

    def __cinit__(self, on_failure) -> None:
        self.on_failure = on_failure

    def __call__(self, error: object, message: object) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.failed += 1
            self.on_failure(error, message)
