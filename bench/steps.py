"""Measures what each step on the way to the present design bought, and what was tried and left.

Run as ``python -m bench.steps``, or ``make bench-steps``. Each row does the same work as the one
above it, with one thing changed. All figures are the processor's time of all threads for a frame of
the 1x mix, the median of several rounds and its range. The rounds of the rows alternate, so that a slow
minute of the machine meets all of them.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, TypeAlias

from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from lsst.ts.mtmount.core import DeliveryCounter, FrameBuffer, FrameProcessor, ProcessorState
from lsst.ts.mtmount.sal import PRODUCER_DEFAULTS
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP

from .mix import ALTERNATING, MIX, Workload, find_workload
from .pages import write_page
from .producing import FLUSH_TIMEOUT, WAIT, Messages, make_messages, produce_one_by_one
from .results import describe_machine
from .services import Services, report_failure, run_services
from .stand_ins import ignore_delivery, refuse_frame, refuse_topic, take_message

__all__ = ["main"]

NUM_ROUNDS = 7

#: Passes of the mix in a round.
NUM_CORE_PASSES = 40
NUM_PRODUCER_PASSES = 100

#: Frames of one read event when the client is busy: some 1 MiB.
BATCH_SIZE = 900

#: Does the work once, and returns for how many frames.
Work: TypeAlias = Callable[[], int]


def ignore_frame(data: dict[str, Any]) -> None:
    """Stand for a preprocessor that changes nothing."""


def run_core(workload: Workload, *, with_dict: bool = False) -> int:
    """Take the bytes of the mix to messages that go nowhere."""
    buffer = FrameBuffer()
    processor = FrameProcessor(
        take_message, ignore_delivery, on_drop=refuse_frame, on_unsupported=refuse_topic
    )
    workload.add_codecs(processor)
    if with_dict:
        for codec in processor.codecs.values():
            codec.fused = False
            codec.preprocessor = ignore_frame
    for _ in range(NUM_CORE_PASSES):
        for chunk in workload.chunks:
            buffer.feed(chunk)
            processor.process(buffer)
    assert processor.process(buffer) == ProcessorState.NEED_MORE
    assert processor.published == NUM_CORE_PASSES * len(workload.frames)
    return processor.published


def produce_batches(producer: Producer, messages: Messages) -> int:
    """Produce the messages that one read event brings with a call for each topic."""
    deliveries = DeliveryCounter(report_failure)
    num_done = 0
    for start in range(0, NUM_PRODUCER_PASSES * len(messages), BATCH_SIZE):
        batches: dict[str, list[dict[str, bytes]]] = defaultdict(list)
        stop = min(start + BATCH_SIZE, NUM_PRODUCER_PASSES * len(messages))
        for number in range(start, stop):
            topic, value = messages[number % len(messages)]
            batches[topic].append({"value": value, "key": b""})
        for topic, batch in batches.items():
            while (num_taken := producer.produce_batch(topic, batch, 0, deliveries)) < len(batch):
                # The first ones are in; those that found the queue full are marked.
                num_done += num_taken
                batch = [item for item in batch if item.pop("_error", None) is not None]
                producer.poll(WAIT)
            num_done += num_taken
        producer.poll(0)
    producer.flush(FLUSH_TIMEOUT)
    assert deliveries.acknowledged == num_done == NUM_PRODUCER_PASSES * len(messages)
    return num_done


def make_core_steps() -> dict[str, Work]:
    """Make the steps from the wire to the message."""
    mix, alternating = find_workload(MIX), find_workload(ALTERNATING)
    return {
        "a dict as of json.loads, then values gathered from it (the way of preprocessors)": partial(
            run_core, mix, with_dict=True
        ),
        "no dict, two orders that alternate: a template for each": partial(run_core, alternating),
        "one template: comparisons, and numbers read into their slots": partial(run_core, mix),
    }


def make_producer_steps(services: Services) -> dict[str, Work]:
    """Make the steps from the ready message to its acknowledgement."""
    messages = make_messages(services)
    library, ours = services.make_producer({}), services.make_producer(PRODUCER_DEFAULTS)

    def one_by_one(
        producer: Producer,
        *,
        in_c: bool = True,
        by_position: bool = True,
        messages_per_poll: int = BATCH_SIZE,
        reports_success: bool = True,
    ) -> Work:
        def work() -> int:
            produce_one_by_one(
                producer,
                messages,
                NUM_PRODUCER_PASSES,
                in_c=in_c,
                by_position=by_position,
                messages_per_poll=messages_per_poll,
                reports_success=reports_success,
            )
            return NUM_PRODUCER_PASSES * len(messages)

        return work

    return {
        "as documented: keywords, callback in Python, a poll a message": one_by_one(
            library, in_c=False, by_position=False, messages_per_poll=1
        ),
        "a poll a read event": one_by_one(library, in_c=False, by_position=False),
        "deliveries counted in C": one_by_one(library, by_position=False),
        "bound method, arguments by position": one_by_one(library),
        "this package's settings": one_by_one(ours),
        "left: produce_batch, a call for each topic of a read event": partial(
            produce_batches, ours, messages
        ),
        "left: delivery.report.only.error": one_by_one(
            services.make_producer(PRODUCER_DEFAULTS, **{"delivery.report.only.error": True}),
            reports_success=False,
        ),
    }


def measure(steps: dict[str, Work]) -> dict[str, list[float]]:
    """Return the processor's time for a frame [s] in each round, in which all steps take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(NUM_ROUNDS):
        for name, work in steps.items():
            start = time.process_time()
            num_frames = work()
            seconds[name].append((time.process_time() - start) / num_frames)
    return seconds


def make_table(title: str, seconds: dict[str, list[float]]) -> Table:
    """Make a table of the steps: medians, their ranges, and the medians of the ratios of each round."""
    table = Table(title=title, title_justify="left")
    table.add_column("step")
    for head in ("us a frame", "from - to", "of the first"):
        table.add_column(head, justify="right")
    first = next(iter(seconds.values()))
    for name, values in seconds.items():
        ratio = median(value / other for value, other in zip(values, first, strict=True))
        low, high = 1e6 * min(values), 1e6 * max(values)
        table.add_row(name, f"{1e6 * median(values):.2f}", f"{low:.2f} - {high:.2f}", f"{100 * ratio:.0f} %")
    return table


def main() -> int:
    """Measure, and print the tables; return the exit status."""
    console = Console(soft_wrap=True)
    machine = describe_machine()
    tables = [make_table("From the received bytes to the message", measure(make_core_steps()))]
    with run_services(RAW_TELEMETRY_MAP, is_quick=False) as services:
        steps = make_producer_steps(services)
        tables.append(make_table("From the message to its acknowledgement", measure(steps)))
    console.print(*tables)
    path = write_page("steps", "What each step bought", "make bench-steps", tables, machine)
    console.print(f"Written to {path}.", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
