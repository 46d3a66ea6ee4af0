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
        Messages given up, each before a call of ``on_failure``.
    failed_by_reason : `dict` [`str`, `int`]
        Of these, by the name of the error, such as ``_MSG_TIMED_OUT``.
    """

    cdef readonly int64_t acknowledged
    cdef readonly int64_t failed
    cdef readonly dict failed_by_reason
    cdef readonly object on_failure

    def __cinit__(self, on_failure) -> None:
        self.failed_by_reason = {}
        self.on_failure = on_failure

    def __call__(self, error: object, message: object) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.failed += 1
            reason = error.name()
            self.failed_by_reason[reason] = self.failed_by_reason.get(reason, 0) + 1
            self.on_failure(error, message)
