"""ctypes structures: out of the received bytes, into bytes, and many at once into NumPy."""

import asyncio
import ctypes
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lsst.ts.mtmount.core import FrameBuffer
from lsst.ts.mtmount.core.structs import StructArrayReader, encode_structs, make_dtype, read_struct

from .conftest import Measure
from .contenders import OURS, Contender, Run

STAGE = "structs"

READ, READ_MANY, WRITE = "read one by one", "read 1,000 at once", "write one by one"

NUM_SAMPLES = 1000


class Header(ctypes.Structure):
    """What precedes each sample."""

    _fields_ = [
        ("frame_id", ctypes.c_uint32),
        ("counter", ctypes.c_uint32),
        ("seconds", ctypes.c_int64),
        ("nanoseconds", ctypes.c_int64),
    ]


class AxisSample(ctypes.Structure):
    """A telemetry sample: header, states and readings of 6 axes."""

    _fields_ = [
        ("header", Header),
        ("state", ctypes.c_double),
        ("enabled_substate", ctypes.c_double),
        ("position", ctypes.c_double * 6),
        ("current", ctypes.c_float * 6),
        ("status", ctypes.c_uint16 * 6),
    ]


def make_samples() -> list[AxisSample]:
    """Make samples that differ in every reading."""
    random = np.random.default_rng(0)
    samples = []
    for i in range(NUM_SAMPLES):
        sample = AxisSample(Header(19, i, 1732400000, i * 1_000_000), 2.0, 3.0)
        sample.position[:] = random.normal(size=6).tolist()
        sample.current[:] = random.normal(size=6).tolist()
        sample.status[:] = random.integers(0, 2**16, size=6).tolist()
        samples.append(sample)
    return samples


SAMPLES = make_samples()
DATA = b"".join(map(bytes, SAMPLES))
SIZE = ctypes.sizeof(AxisSample)


def make_run(work: Callable[[], Iterable[Any]], close: Callable[[], object] = lambda: None) -> Run:
    """Prepare a run whose results are the bytes of each sample."""
    return Run(work, lambda: list(map(bytes, work())), NUM_SAMPLES, len(DATA), close)


def read_with_core(_: str) -> Run:
    buffer = FrameBuffer()
    targets = [AxisSample() for _ in range(NUM_SAMPLES)]

    def work() -> list[AxisSample]:
        buffer.feed(DATA)
        for target in targets:
            read_struct(buffer, target)
        return targets

    return make_run(work)


def read_with_ctypes(_: str) -> Run:
    return make_run(lambda: [AxisSample.from_buffer_copy(DATA, i) for i in range(0, len(DATA), SIZE)])


def read_with_stream_reader(_: str) -> Run:
    runner = asyncio.Runner()
    targets = [AxisSample() for _ in range(NUM_SAMPLES)]

    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(DATA)
        for target in targets:
            ctypes.memmove(ctypes.addressof(target), await reader.readexactly(SIZE), SIZE)

    def work() -> list[AxisSample]:
        runner.run(read())
        return targets

    return make_run(work, runner.close)


def read_many_with_core(_: str) -> Run:
    buffer = FrameBuffer()
    reader = StructArrayReader(AxisSample)

    def work() -> Iterable[Any]:
        buffer.feed(DATA)
        return reader.read(buffer, NUM_SAMPLES)

    return make_run(work)


def read_many_with_numpy(_: str) -> Run:
    # As in the core, the bytes come to a buffer first, and the array has a copy of its own.
    dtype = make_dtype(AxisSample)
    received = bytearray()

    def work() -> Iterable[Any]:
        received.extend(DATA)
        array = np.frombuffer(received[: len(DATA)], dtype)
        del received[: len(DATA)]
        return array

    return make_run(work)


def read_many_with_ctypes(_: str) -> Run:
    samples_type = AxisSample * NUM_SAMPLES
    return make_run(lambda: samples_type.from_buffer_copy(DATA))


def write_with_core(_: str) -> Run:
    return make_run(lambda: [encode_structs((sample.header, sample)) for sample in SAMPLES])


def write_with_ctypes(_: str) -> Run:
    return make_run(lambda: [bytes(sample.header) + bytes(sample) for sample in SAMPLES])


CONTENDERS = {
    READ: [
        Contender(OURS, read_with_core),
        Contender("ctypes from_buffer_copy", read_with_ctypes),
        Contender("StreamReader, ctypes.memmove", read_with_stream_reader),
    ],
    READ_MANY: [
        Contender(OURS, read_many_with_core),
        Contender("bytearray, numpy.frombuffer", read_many_with_numpy),
        Contender("ctypes array", read_many_with_ctypes),
        Contender("ctypes from_buffer_copy", read_with_ctypes),
    ],
    WRITE: [Contender(OURS, write_with_core), Contender("ctypes, bytes", write_with_ctypes)],
}


def test_structs(measure: Measure, workload_name: str, contender: Contender) -> None:
    expected = list(map(bytes, SAMPLES))
    if workload_name == WRITE:
        expected = [data[: ctypes.sizeof(Header)] + data for data in expected]
    measure(contender.make_run(workload_name), expected)
