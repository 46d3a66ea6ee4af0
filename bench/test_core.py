"""The whole core: from the received bytes to Kafka messages, which go to a function that drops them."""

import asyncio
from collections.abc import Callable

import orjson

from lsst.ts.mtmount.core import FrameBuffer, FrameProcessor, ProcessorState

from .conftest import Measure
from .contenders import OURS, Contender, Run
from .mix import MIX, TOPIC_NAMES, Workload, find_workload
from .plain import Produce, ProducingPipeline, TypedPipeline, read_frames, split_frames
from .stand_ins import ignore_delivery, refuse_frame, refuse_topic, take_message

STAGE = "core"

#: Where the four stamps of a record are in a message: behind the Confluent framing.
STAMPS = slice(5, 5 + 4 * 8)


def make_run(workload: Workload, process: Callable[[Produce], None], close: Callable[[], object]) -> Run:
    """Prepare what hands all messages of a workload to a producer."""

    def results() -> list[bytes]:
        messages: list[bytes] = []

        def keep_message(kafka_topic: str, value: bytes, key: bytes, partition: int, report: object) -> None:
            messages.append(without_stamps(value))

        process(keep_message)
        return messages

    return Run(lambda: process(take_message), results, len(workload.frames), workload.num_bytes, close)


def without_stamps(message: bytes) -> bytes:
    return message[: STAMPS.start] + message[STAMPS.stop :]


def use_frame_decoder(workload: Workload) -> Run:
    buffer = FrameBuffer()
    processor = FrameProcessor(
        take_message, ignore_delivery, on_drop=refuse_frame, on_unsupported=refuse_topic
    )
    workload.add_codecs(processor)

    def process(produce: Produce) -> None:
        processor.produce = produce
        for chunk in workload.chunks:
            buffer.feed(chunk)
            assert processor.process(buffer) == ProcessorState.NEED_MORE

    return make_run(workload, process, lambda: None)


def use_stream_reader(workload: Workload) -> Run:
    pipeline = ProducingPipeline(workload.topic_ids)
    runner = asyncio.Runner()

    def process(produce: Produce) -> None:
        runner.run(
            read_frames(
                workload.chunks,
                len(workload.frames),
                lambda frame: pipeline.take_frame(frame, produce),
            )
        )

    return make_run(workload, process, runner.close)


def use_bytearray(workload: Workload, pipeline: ProducingPipeline | TypedPipeline) -> Run:
    def process(produce: Produce) -> None:
        for frame in split_frames(workload.chunks):
            pipeline.take_frame(frame, produce)

    return make_run(workload, process, lambda: None)


CONTENDERS = dict.fromkeys(
    [MIX, *TOPIC_NAMES],
    (
        Contender(OURS, use_frame_decoder),
        Contender(
            "bytearray, msgspec typed, fastavro", lambda w: use_bytearray(w, TypedPipeline(w.topic_ids))
        ),
        Contender(
            "bytearray, orjson, fastavro",
            lambda w: use_bytearray(w, ProducingPipeline(w.topic_ids, orjson.loads)),
        ),
        Contender("StreamReader, json, fastavro", use_stream_reader),
    ),
)


def test_core(measure: Measure, workload_name: str, contender: Contender) -> None:
    workload = find_workload(workload_name)
    reference = ProducingPipeline(workload.topic_ids)
    expected: list[bytes] = []
    for frame in workload.frames:
        reference.take_frame(frame, lambda topic, value, *_: expected.append(without_stamps(value)))
    measure(contender.make_run(workload), expected)
