"""From the received bytes to frames."""

import asyncio

from lsst.ts.mtmount.core import FrameBuffer

from .conftest import Measure
from .contenders import OURS, Contender, Run
from .mix import MIX, TOPIC_NAMES, Workload, find_workload
from .plain import read_frames, split_frames

STAGE = "framing"


def use_frame_buffer(workload: Workload) -> Run:
    buffer = FrameBuffer()

    def work() -> list[bytes]:
        frames = []
        for chunk in workload.chunks:
            buffer.feed(chunk)
            while (frame := buffer.next_frame()) is not None:
                frames.append(frame)
        return frames

    return Run(work, work, len(workload.frames), workload.num_bytes)


def use_bytearray(workload: Workload) -> Run:
    def work() -> list[bytes]:
        return list(split_frames(workload.chunks))

    return Run(work, work, len(workload.frames), workload.num_bytes)


def use_stream_reader(workload: Workload) -> Run:
    runner = asyncio.Runner()

    def work() -> list[bytes]:
        frames: list[bytes] = []
        runner.run(read_frames(workload.chunks, len(workload.frames), frames.append))
        return frames

    return Run(work, work, len(workload.frames), workload.num_bytes, runner.close)


CONTENDERS = dict.fromkeys(
    [MIX, *TOPIC_NAMES],
    (
        Contender(OURS, use_frame_buffer),
        Contender("bytearray.find", use_bytearray),
        Contender("asyncio.StreamReader", use_stream_reader),
    ),
)


def test_framing(measure: Measure, workload_name: str, contender: Contender) -> None:
    workload = find_workload(workload_name)
    measure(contender.make_run(workload), workload.frames)
