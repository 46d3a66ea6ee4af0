"""A fatal error of Kafka's client library, brought about."""

import ctypes
from pathlib import Path

from confluent_kafka import KafkaError, Producer

__all__ = ["raise_fatal_error"]

#: In memory, the handle of librdkafka's client follows the head of the Python object.
HANDLE_OFFSET = object.__basicsize__


def raise_fatal_error(producer: Producer) -> None:
    """Have the library take an error for one that makes this producer useless, as its own tests do."""
    line = next(line for line in Path("/proc/self/maps").read_text().splitlines() if "librdkafka" in line)
    library = ctypes.CDLL(line.split(maxsplit=5)[-1])
    function = library.rd_kafka_test_fatal_error
    function.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    handle = ctypes.c_void_p.from_address(id(producer) + HANDLE_OFFSET)
    function(handle, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, b"it is over")
