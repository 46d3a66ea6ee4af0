"""Measures how the cost grows with the size of a frame and with the number of clients in one process.

Run as ``python -m bench.growth``, or ``make bench-growth``. Nothing may grow by more than in proportion: a
frame's time by its size, a client's by the others'. (Above some 110 kB a frame of numbers has more members
than a template holds, 4096, so that the general decoder takes it: a step.) A chart goes to
``doc/benchmarks/growth.svg``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure
from rich.console import Console

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.constants import LINE_TERMINATOR, MAX_FRAME_LENGTH
from lsst.ts.mtmount.core import FrameBuffer, FrameProcessor, ProcessorState
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP

from .charts import OUR_COLOUR, save
from .mix import find_workload
from .services import run_command, run_services
from .stand_ins import ignore_delivery, refuse_frame, refuse_topic, take_message

__all__ = ["main"]

CHART = Path(__file__).parents[1] / "doc" / "benchmarks" / "growth.svg"

#: Sizes of a frame [bytes]; the topic with the shortest ones, with more and more members that no field takes.
SIZES = (200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
TOPIC = "mainPowerSupply"

#: What a round decodes at least [bytes], and how many rounds there are.
ROUND_SIZE = 4_000_000
NUM_ROUNDS = 9

#: Numbers of clients, the multiple of the full rate that each gets, and for how long [s].
CLIENTS = (1, 2, 4, 8)
RATE = 10
DURATION = 4.0

#: Frames with more members are always taken by the general decoder: no template holds so many.
MAX_TEMPLATE_SIZE = 4096 * 27

#: A cost is in proportion if it exceeds that of the smallest by no more than this factor.
TOLERANCE = 1.25


def make_frame(size: int) -> bytes:
    """Make a frame of about this size."""
    frame = find_workload(TOPIC).frames[0]
    spare = b', "spare%07d": 12.345678'
    num_spare = max(size - len(frame), 0) // len(spare % 0)
    return frame.removesuffix(b"}") + b"".join(spare % number for number in range(num_spare)) + b"}"


def measure_frame(size: int) -> tuple[int, float]:
    """Return the true size of a frame, and the processor's time for it [s], the median of all rounds."""
    frame = make_frame(size)
    workload = find_workload(TOPIC)
    buffer = FrameBuffer(LINE_TERMINATOR, MAX_FRAME_LENGTH)
    processor = FrameProcessor(
        take_message, ignore_delivery, on_drop=refuse_frame, on_unsupported=refuse_topic
    )
    workload.add_codecs(processor)
    num_frames = max(ROUND_SIZE // len(frame), 1)
    data = (frame + LINE_TERMINATOR) * max(min(num_frames, 65536 // len(frame)), 1)
    per_feed = data.count(LINE_TERMINATOR)
    times = []
    for _ in range(NUM_ROUNDS + 1):
        start = time.process_time()
        for _ in range(-(-num_frames // per_feed)):
            buffer.feed(data)
            assert processor.process(buffer) == ProcessorState.NEED_MORE
        times.append((time.process_time() - start) / (-(-num_frames // per_feed) * per_feed))
    return len(frame), median(times[1:])


async def measure_clients(num_clients: int, port: int) -> float:
    """Run so many clients at once; return the processor's time for a frame [s]."""
    clients = [TelemetryClient("127.0.0.1", port, sal_backend="builtin") for _ in range(num_clients)]
    try:
        await asyncio.gather(*(client.start_task for client in clients))
        # The first second is for templates and connections.
        await asyncio.sleep(1.0)
        frames = sum(client.counters.frames for client in clients)
        start = time.process_time()
        await asyncio.sleep(DURATION)
        used = time.process_time() - start
        return used / (sum(client.counters.frames for client in clients) - frames)
    finally:
        await asyncio.gather(*(client.close() for client in clients))


def draw(sizes: Sequence[tuple[int, float]], clients: Sequence[tuple[int, float]]) -> Figure:
    """Draw both in one chart, with lines of proportion."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    x, y = zip(*((size / 1000, 1e6 * seconds) for size, seconds in sizes), strict=True)
    left.loglog(x, y, "o-", color=OUR_COLOUR, label="measured")
    left.loglog(x, [y[0] * size / x[0] for size in x], "--", color="0.6", label="in proportion to the first")
    left.set(xlabel="size of a frame [kB]", ylabel="processor's time [us]", title="core: one frame")
    left.legend()
    x, y = zip(*((number, 1e6 * seconds) for number, seconds in clients), strict=True)
    right.plot(x, y, "o-", color=OUR_COLOUR)
    right.set(
        xlabel="clients in one process",
        ylabel="processor's time for a frame [us]",
        title=f"whole client at {RATE}x each",
    )
    right.set_ylim(bottom=0)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and draw; return the exit status: 1 if something grows out of proportion."""
    argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__).parse_args(arguments)
    console = Console(highlight=False)
    sizes = [measure_frame(size) for size in SIZES]
    for size, seconds in sizes:
        console.print(
            f"frame of {size:9,} bytes: {1e6 * seconds:9.2f} us, {1e9 * seconds / size:.2f} ns a byte"
        )
    clients = []
    mock_tma = str(Path(sys.executable).with_name("run_mock_tma_telemetry"))
    with (
        run_services(RAW_TELEMETRY_MAP, is_quick=False) as services,
        run_command(mock_tma, "--port", "0", "--rate", str(RATE)) as tma,
    ):
        assert tma.stdout is not None
        port = int(tma.stdout.readline().partition("port=")[2].partition(";")[0])
        os.environ.update(services.environment)
        for number in CLIENTS:
            seconds = asyncio.run(measure_clients(number, port))
            clients.append((number, seconds))
            console.print(f"{number} clients: {1e6 * seconds:.2f} us a frame")
    save(draw(sizes, clients), CHART)
    console.print(f"Drawn in {CHART.relative_to(CHART.parents[2])}.")
    # Each way of decoding by itself, against the smallest frame that it takes.
    by_template = [seconds / size for size, seconds in sizes if size <= MAX_TEMPLATE_SIZE]
    general = [seconds / size for size, seconds in sizes if size > MAX_TEMPLATE_SIZE]
    is_linear = all(max(found) <= TOLERANCE * found[0] for found in (by_template, general))
    is_linear &= max(seconds for _, seconds in clients) <= TOLERANCE * clients[0][1]
    console.print("Nothing grows out of proportion." if is_linear else "SOMETHING GROWS OUT OF PROPORTION.")
    return 0 if is_linear else 1


if __name__ == "__main__":
    sys.exit(main())
