"""The frames that the benchmarks run on: the TMA's topics in the proportions of its schedule.

The 1x mix is one whole cycle of the schedule: 5 s of the TMA at its full rate,
1,091 frames of all topics, in the order of the wire. The variable
``BENCH_RECORDING`` puts the frames of a recording in their place.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice

from tests.core.topics import golden_records, packaged_codec

from lsst.ts.mtmount.constants import LINE_TERMINATOR
from lsst.ts.mtmount.core import FrameProcessor, TopicCodec
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP
from lsst.ts.mtmount.tma_interface import load_packaged_tma_interface

__all__ = [
    "ALTERNATING",
    "CHUNK_SIZE",
    "MIX",
    "RECORDING_VARIABLE",
    "SCHEMA_ID",
    "TOPIC_NAMES",
    "Workload",
    "alternate_order",
    "cycle_orders",
    "find_workload",
    "golden_mix",
]

#: Name of the workload that is the whole mix.
MIX = "1x mix"

#: The same, each topic's members in another order than in its frame before.
ALTERNATING = "1x mix, order alternates"

#: SAL names of all topics; a workload of that name is that topic alone.
TOPIC_NAMES = tuple(name for name, _ in RAW_TELEMETRY_MAP.values())

#: Schema registry id that all records are framed with.
SCHEMA_ID = 258

#: The TMA's tick [ms], and the ticks after which its schedule repeats.
TICK_MS = 50
CYCLE_TICKS = 100

#: The time of the first tick [TAI unix s].
START = 1732400000.0

#: Fewest frames of a workload of one topic.
MIN_TOPIC_FRAMES = 40

#: Orders of members that `cycle_orders` makes; decoders remember fewer.
NUM_ORDERS = 5

#: The variable that names a recording, and how many of its frames are taken at most.
RECORDING_VARIABLE = "BENCH_RECORDING"
MAX_RECORDED_FRAMES = 20_000

#: What one receive brings at most under load [bytes].
CHUNK_SIZE = 64 * 1024


@dataclass(frozen=True)
class Workload:
    """Frames that are decoded one after the other.

    Parameters
    ----------
    name : `str`
        `MIX`, `ALTERNATING`, or the SAL name of the only topic.
    frames : `tuple` [`bytes`, ...]
        The frames, without terminators.
    topic_ids : `tuple` [`int`, ...]
        The topic of each.
    """

    name: str
    frames: tuple[bytes, ...]
    topic_ids: tuple[int, ...]

    @cached_property
    def num_bytes(self) -> int:
        """Length of all frames, with terminators [bytes]."""
        return sum(map(len, self.frames)) + len(LINE_TERMINATOR) * len(self.frames)

    @cached_property
    def data(self) -> bytes:
        """The frames as they come over the wire."""
        return b"".join(frame + LINE_TERMINATOR for frame in self.frames)

    @cached_property
    def chunks(self) -> tuple[bytes, ...]:
        """The same in pieces as they are received; most ends are in the middle of a frame."""
        return tuple(self.data[i : i + CHUNK_SIZE] for i in range(0, len(self.data), CHUNK_SIZE))

    def make_codecs(self) -> dict[int, TopicCodec]:
        """Make a fresh codec for each topic."""
        return {topic_id: packaged_codec(topic_id, SCHEMA_ID) for topic_id in set(self.topic_ids)}

    def add_codecs(self, processor: FrameProcessor) -> None:
        """Make a fresh codec for each topic, and add it to a processor."""
        for codec in self.make_codecs().values():
            processor.add_topic(codec)


@cache
def simulated_mix() -> Workload:
    """Let the simulator make one cycle of the schedule."""
    # Here, because instruction counting needs neither the simulator nor NumPy.
    import numpy as np

    from lsst.ts.mtmount.tools.simulator import FrameStream, StreamTotals, render_ring, select_topics

    ring = render_ring(select_topics(), min_ticks=CYCLE_TICKS)
    totals = StreamTotals(np.zeros(len(ring.topics), np.int64))
    stream = FrameStream(ring, totals)
    data = b""
    while stream.next_tick < CYCLE_TICKS:
        data += bytes(stream.prepare(1, START + stream.next_tick * TICK_MS / 1000))
    frames = tuple(data.removesuffix(LINE_TERMINATOR).split(LINE_TERMINATOR))
    return Workload(MIX, frames, tuple(map(read_topic_id, frames)))


@cache
def recorded_mix(path: str) -> Workload:
    """Take the frames of a recording that can be published."""
    from lsst.ts.mtmount.recording import Recording
    from lsst.ts.mtmount.sal.interface import load_packaged_interface
    from lsst.ts.mtmount.tools.load_test.oracle import InvalidFrameError, TopicOracle, decode_frame

    sal = load_packaged_interface().topics
    oracles = {
        topic.topic_id: TopicOracle(sal[f"tel_{topic.sal_topic}"].fields, topic.field_members)
        for topic in load_packaged_tma_interface().topics
    }
    frames, topic_ids = [], []
    for message in islice(Recording(path).frames(), MAX_RECORDED_FRAMES):
        try:
            topic_id, members = decode_frame(message.data)
            oracles[topic_id].make_record(members)
        except (InvalidFrameError, KeyError):
            continue
        frames.append(message.data)
        topic_ids.append(topic_id)
    if not frames:
        raise ValueError(f"{RECORDING_VARIABLE}={path}: expected frames that can be published, got none")
    return Workload(MIX, tuple(frames), tuple(topic_ids))


def read_topic_id(frame: bytes) -> int:
    """Read the topic ID of a simulated frame, its first member."""
    return int(frame[: frame.index(b",")].rpartition(b" ")[2])


@cache
def topic_workload(topic_id: int) -> Workload:
    """Take the frames of one topic from the mix, repeated if there are few."""
    mix = simulated_mix()
    frames = tuple(frame for frame, found in zip(mix.frames, mix.topic_ids, strict=True) if found == topic_id)
    frames *= -(-MIN_TOPIC_FRAMES // len(frames))
    return Workload(RAW_TELEMETRY_MAP[topic_id][0], frames, (topic_id,) * len(frames))


def alternate_order(workload: Workload) -> Workload:
    """Reverse the members of every second frame of each topic, so that its two orders alternate."""
    counts: Counter[int] = Counter()
    frames = []
    # Twice, because an odd number of frames of a topic would begin as it ends.
    for frame, topic_id in zip(workload.frames * 2, workload.topic_ids * 2, strict=True):
        counts[topic_id] += 1
        frames.append(frame if counts[topic_id] % 2 else reverse_members(frame))
    return Workload(ALTERNATING, tuple(frames), workload.topic_ids * 2)


def cycle_orders(workload: Workload) -> Workload:
    """Rotate the members of each topic's frames: more orders than decoders remember."""
    counts: Counter[int] = Counter()
    frames = []
    # So that a whole number of cycles of each topic is there.
    for frame, topic_id in zip(workload.frames * NUM_ORDERS, workload.topic_ids * NUM_ORDERS, strict=True):
        counts[topic_id] += 1
        members = frame.removeprefix(b"{").removesuffix(b"}").split(b", ")
        start = counts[topic_id] % NUM_ORDERS
        frames.append(b"{%s}" % b", ".join(members[start:] + members[:start]))
    return Workload(f"{workload.name}, {NUM_ORDERS} orders", tuple(frames), workload.topic_ids * NUM_ORDERS)


def reverse_members(frame: bytes) -> bytes:
    """Reverse the order of a simulated or golden frame's members."""
    members = frame.removeprefix(b"{").removesuffix(b"}").split(b", ")
    return b"{%s}" % b", ".join(reversed(members))


def find_workload(name: str) -> Workload:
    """Return the workload of that name: `MIX`, `ALTERNATING`, or the SAL name of a topic."""
    if name == MIX:
        recording = os.environ.get(RECORDING_VARIABLE)
        return recorded_mix(recording) if recording else simulated_mix()
    if name == ALTERNATING:
        return alternate_order(simulated_mix())
    return topic_workload(next(i for i, (topic, _) in RAW_TELEMETRY_MAP.items() if topic == name))


def golden_mix(case: str) -> Workload:
    """Put the golden frames of one case into the order of the schedule.

    The input of the instruction counts: it does not change with the simulator.
    """
    frames = {
        record["topic_id"]: record["line"].encode() for record in golden_records() if record["case"] == case
    }
    topic_ids = order_by_schedule(
        [(topic.topic_id, topic.period_ms) for topic in load_packaged_tma_interface().topics]
    )
    return Workload(f"{MIX}, golden frames", tuple(frames[i] for i in topic_ids), tuple(topic_ids))


def order_by_schedule(periods: Sequence[tuple[int, int]]) -> list[int]:
    """Return the topic ID of each frame of one cycle; ``periods``: topic IDs and periods [ms]."""
    return [
        topic_id
        for tick in range(CYCLE_TICKS)
        for topic_id, period_ms in periods
        if tick * TICK_MS % period_ms == 0
    ]
