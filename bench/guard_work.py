"""What the instruction guard counts: passes of one kind of work over a fixed input.

Run as ``python -m bench.guard_work WORK FRAMES``. The passes lie between two calls
of `os.getppid`, at which valgrind can be told to begin a new count.
"""

import ctypes
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial

from lsst.ts.mtmount.core import (
    ColumnDecoder,
    FrameBuffer,
    FrameProcessor,
    ProcessorState,
    StructArrayReader,
    encode_structs,
)

from .mix import CHUNK_SIZE, Workload, alternate_order, cycle_orders, golden_mix
from .stand_ins import ignore_delivery, refuse_frame, refuse_topic, take_message

__all__ = ["WORKS", "Pass", "main"]

#: Does the work once for each frame of a workload.
Pass = Callable[[], None]

SND_STAMP, EFD_STAMP = 1732400000.25, 1732399963.25


class Receiver:
    """Receives a workload into a buffer, in place as a socket does.

    The copy is the kernel's, whose instructions do not count.
    """

    def __init__(self, workload: Workload, buffer: FrameBuffer) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._file.write(workload.data)
        self._buffer = buffer
        self._num_bytes = workload.num_bytes

    def receive_all(self) -> Iterator[None]:
        """Receive chunk after chunk, and let the caller take the frames in between."""
        offset = 0
        while offset < self._num_bytes:
            with self._buffer.get_buffer() as tail:
                received = os.preadv(self._file.fileno(), [tail[:CHUNK_SIZE]], offset)
            self._buffer.buffer_updated(received)
            offset += received
            yield


def make_core_pass(workload: Workload, *, accept_incomplete: bool = False) -> Pass:
    """From the received bytes to the producer: what the client does with each receive."""
    buffer = FrameBuffer()
    receiver = Receiver(workload, buffer)
    processor = FrameProcessor(
        take_message, ignore_delivery, on_drop=refuse_frame, on_unsupported=refuse_topic
    )
    workload.add_codecs(processor)
    for codec in processor.codecs.values():
        codec.accept_incomplete = accept_incomplete

    def run() -> None:
        for _ in receiver.receive_all():
            if processor.process(buffer) != ProcessorState.NEED_MORE:
                raise RuntimeError("the processor stopped before the end of the chunk")

    return run


def make_framing_pass(workload: Workload) -> Pass:
    """From the received bytes to frames."""
    buffer = FrameBuffer()
    receiver = Receiver(workload, buffer)

    def run() -> None:
        for _ in receiver.receive_all():
            while buffer.next_frame() is not None:
                pass

    return run


def make_decode_pass(workload: Workload) -> Pass:
    """From frames to the values of records."""
    codecs = workload.make_codecs()
    jobs = [
        (codecs[topic_id].decode_frame, frame)
        for topic_id, frame in zip(workload.topic_ids, workload.frames, strict=True)
    ]

    def run() -> None:
        for decode, frame in jobs:
            decode(frame)

    return run


def make_encode_pass(workload: Workload) -> Pass:
    """From the values of records to messages."""
    codecs = workload.make_codecs()
    for topic_id, frame in zip(workload.topic_ids, workload.frames, strict=True):
        codecs[topic_id].decode_frame(frame)
    jobs = [codecs[topic_id].record.encode for topic_id in workload.topic_ids]

    def run() -> None:
        for encode in jobs:
            encode(SND_STAMP, EFD_STAMP)

    return run


def make_dict_pass(workload: Workload) -> Pass:
    """From frames to dicts and then to the values of records: the way of preprocessors."""
    codecs = workload.make_codecs()
    for codec in codecs.values():
        codec.fused = False
    jobs = [
        (codecs[topic_id], frame) for topic_id, frame in zip(workload.topic_ids, workload.frames, strict=True)
    ]

    def run() -> None:
        for codec, frame in jobs:
            codec.gather(codec.load_frame(frame))

    return run


def make_columns_pass(workload: Workload) -> Pass:
    """From the frames of a recording to the columns of an array."""
    # Here, because the other passes need no NumPy.
    import numpy as np

    messages: dict[int, list[tuple[int, bytes]]] = {}
    for topic_id, frame in zip(workload.topic_ids, workload.frames, strict=True):
        messages.setdefault(topic_id, []).append((0, frame))
    decoders = {
        topic_id: ColumnDecoder(codec, codec.record.field_names)
        for topic_id, codec in workload.make_codecs().items()
    }
    rows = {topic_id: np.empty(len(batch), decoders[topic_id].dtype) for topic_id, batch in messages.items()}

    def run() -> None:
        for topic_id, batch in messages.items():
            decoders[topic_id].decode(batch, rows[topic_id])

    return run


class CountedReadings(ctypes.Structure):
    """A structure as others send it: counters, a time and readings."""

    _fields_ = [
        ("counter", ctypes.c_uint32),
        ("state", ctypes.c_uint32),
        ("time", ctypes.c_double),
        ("position", ctypes.c_double * 6),
        ("status", ctypes.c_uint16 * 6),
    ]


def make_read_structs_pass(workload: Workload) -> Pass:
    """Structures into an array, as many at once as the workload has frames."""
    count = len(workload.frames)
    data = bytes(count * ctypes.sizeof(CountedReadings))
    buffer = FrameBuffer()
    reader = StructArrayReader(CountedReadings)

    def run() -> None:
        buffer.feed(data)
        reader.read(buffer, count)

    return run


def make_write_structs_pass(workload: Workload) -> Pass:
    """Structures into bytes, one for each frame of the workload."""
    samples = [CountedReadings(counter) for counter in range(len(workload.frames))]

    def run() -> None:
        for sample in samples:
            encode_structs((sample,))

    return run


def keep_order(workload: Workload) -> Workload:
    """Leave each topic's members in their order."""
    return workload


#: Kind of work: what makes a pass, and what becomes of the order of the members.
WORKS: dict[str, tuple[Callable[[Workload], Pass], Callable[[Workload], Workload]]] = {
    "core": (make_core_pass, keep_order),
    "core, incomplete accepted": (partial(make_core_pass, accept_incomplete=True), keep_order),
    "core, order alternates": (make_core_pass, alternate_order),
    "framing": (make_framing_pass, keep_order),
    "decode": (make_decode_pass, keep_order),
    "decode, order alternates": (make_decode_pass, alternate_order),
    "decode, general path": (make_decode_pass, cycle_orders),
    "dict": (make_dict_pass, keep_order),
    "columns": (make_columns_pass, keep_order),
    "encode": (make_encode_pass, keep_order),
    "read structs": (make_read_structs_pass, keep_order),
    "write structs": (make_write_structs_pass, keep_order),
}


def main(work: str, num_frames: int) -> None:
    """Do one kind of work for at least so many frames, between two calls of `os.getppid`.

    Prints how many frames they were.
    """
    gc.disable()
    mix = golden_mix("six")
    make_pass, arrange = WORKS[work]
    workload = arrange(mix)
    run = make_pass(workload)
    # Warms up.
    run()
    num_passes = -(-num_frames // len(workload.frames))
    os.getppid()
    for _ in range(num_passes):
        run()
    os.getppid()
    print(num_passes * len(workload.frames))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
