"""What the simulated TMA streams in a run, and what must become of its frames."""

import logging
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

from ...constants import TELEMETRY_TIMEOUT
from ...recording import Message, find_files
from ...recording.mcap_channels import OVER_LONG, TOPIC_PREFIX, UNFINISHED
from ...sal.avro_schema import TopicInfo
from ...sal.interface import Interface, load_interface
from ...tma_interface import (
    TMA_INTERFACE_VARIABLE,
    TmaInterface,
    format_table,
    load_packaged_tma_interface,
)
from ..simulator import TICK_INTERVAL, select_topics
from ..simulator.replay import Replay
from .oracle import InvalidFrameError, TopicOracle, decode_frame

__all__ = ["RecordedStream", "SentCounts", "TmaStream", "count_due_frames"]

# The client tells how the interfaces differ; here nobody need be told again.
LOG = logging.getLogger(__name__)
LOG.addHandler(logging.NullHandler())

#: How long the simulator waits for a client that starts, or comes again [s].
SIMULATOR_WAIT = 120.0

#: A topic that comes more seldom is read back alone only if there is no other one [ms].
MAX_SAMPLE_PERIOD_MS = 1000

#: Name of the file with the interface that all programs of a run use.
INTERFACE_FILE = "tma_interface.csv"

#: What frames of topic IDs that the interface lacks are listed as.
UNKNOWN_IDS = "unknown topic IDs"


@dataclass
class SentCounts:
    """Frames that were sent, by what must become of them."""

    #: Frames to be published, by SAL name of the topic.
    published: Counter[str] = field(default_factory=Counter)
    #: Frames of topics that SAL, or the TMA's interface, lacks.
    unsupported: Counter[str] = field(default_factory=Counter)
    invalid: int = 0  #: Frames that no record can be made of: the client must drop them


class TmaStream:
    """Frames that the simulator makes, of the packaged interface by default. The client gets the same.

    `ValueError` if SAL has none of its topics.
    """

    def __init__(self, tma_interface: TmaInterface | None = None) -> None:
        self.tma_interface = tma_interface or load_packaged_tma_interface()
        if not self.topics:
            raise ValueError(f"{self.tma_interface.source}: expected topics that SAL has, got none")

    @cached_property
    def _interface(self) -> Interface:
        return load_interface(LOG, tma_interface=self.tma_interface)

    @cached_property
    def topics(self) -> list[TopicInfo]:
        """The SAL topics of what is sent, as far as SAL has them."""
        found = self._interface.topics
        names = (f"tel_{topic.sal_topic}" for topic in self.tma_interface.topics)
        return [found[name] for name in names if name in found]

    @cached_property
    def unsupported(self) -> list[str]:
        """Names of the topics that are sent and that SAL lacks."""
        supported = {topic.sal_name for topic in self.topics}
        return [name for name in self.tma_interface.by_name if name not in supported]

    def choose_sample(self, wanted: str) -> str:
        """Choose the topic that is read back where not all are: this one, or else that of the least data."""
        names = self._list_sent()
        return wanted if wanted in names else min(names, key=self._estimate_load)

    def _list_sent(self) -> list[str]:
        return [topic.sal_name for topic in self.topics]

    def _estimate_load(self, name: str) -> tuple[bool, float]:
        """Return whether a topic comes too seldom to tell the latency, and how much it sends."""
        topic = self.tma_interface.by_name[name]
        return topic.period_ms > MAX_SAMPLE_PERIOD_MS, len(topic.members) / topic.period_ms

    def write_interface(self, folder: Path) -> dict[str, str]:
        """Write the interface to a file; return the variable that leads the programs of a run to it."""
        if self.tma_interface == load_packaged_tma_interface():
            return {TMA_INTERFACE_VARIABLE: ""}
        path = folder / INTERFACE_FILE
        path.write_text(format_table(self.tma_interface), encoding="ascii")
        return {TMA_INTERFACE_VARIABLE: str(path)}

    def find_duration(self, rate: float, duration: float) -> float:
        """Return how long it takes at a rate [s], if that is asked for a time [s]."""
        return duration

    def make_options(self, rate: float, duration: float, seed: int) -> list[str]:
        """Make the simulator's options."""
        seed_options = ["--seed", str(seed)]
        if math.isinf(duration):
            return seed_options
        return [*seed_options, "--duration", repr(duration), "--wait", str(SIMULATOR_WAIT)]

    def count_sent(self, report: Mapping[str, Any]) -> SentCounts:
        """Count what was sent, by the simulator's report."""
        counts: Mapping[str, int] = report["frames_by_topic"]
        return SentCounts(
            Counter({topic.sal_name: counts[topic.sal_name] for topic in self.topics}),
            Counter({name: counts[name] for name in self.unsupported}),
        )


class RecordedStream(TmaStream):
    """Frames of a recording, or of a folder of recordings. Raises as `Recording` and `TmaStream` do.

    Their time stamps are moved to the time of sending, so that they tell the latency.
    """

    def __init__(self, path: str | os.PathLike[str], tma_interface: TmaInterface | None = None) -> None:
        super().__init__(tma_interface)
        self._path = Path(path)
        self._replay = Replay(find_files(path))
        self._channels: Counter[str] = Counter()
        self._length = self._longest_gap = 0.0
        last: int | None = None
        for message in self._replay.read():
            gap = 0.0 if last is None else (message.log_time - last) / 1e9
            last = message.log_time
            self._length += gap
            self._longest_gap = max(self._longest_gap, gap)
            self._channels[message.topic] += 1
        if not self._channels:
            raise ValueError(f"{path}: expected recorded frames, got none")
        self._sent: dict[int, SentCounts] = {}

    def check_rate(self, rate: float) -> None:
        """Raise ValueError for a rate at which nothing comes for so long that a client ends."""
        if (gap := self._longest_gap / rate) >= TELEMETRY_TIMEOUT:
            raise ValueError(
                f"{self._path}: expected no gap over {TELEMETRY_TIMEOUT} s, which ends a client, "
                f"got one of {gap:.3g} s at {rate:g}x"
            )

    def _list_sent(self) -> list[str]:
        names = super()._list_sent()
        return [name for name in names if self._channels[f"{TOPIC_PREFIX}{name}"]] or names

    def find_duration(self, rate: float, duration: float) -> float:
        """Return how long the recording takes at a rate [s]."""
        return max(self._length / rate, TICK_INTERVAL)

    def make_options(self, rate: float, duration: float, seed: int) -> list[str]:
        """Make the simulator's options."""
        return ["--replay", str(self._path), "--shift-time", "--wait", str(SIMULATOR_WAIT)]

    def count_sent(self, report: Mapping[str, Any]) -> SentCounts:
        """Count what was sent, by its content: the recorder may have had another interface."""
        num_frames: int = report["frames"]
        if num_frames not in self._sent:
            self._sent[num_frames] = self._count_by_content(islice(self._replay.read(), num_frames))
        return self._sent[num_frames]

    def _count_by_content(self, messages: Iterable[Message]) -> SentCounts:
        """Count frames by what becomes of them, as the oracle has it."""
        supported = {topic.sal_name: topic for topic in self.topics}
        # As fitted to SAL, whose fields they have.
        by_id = self._interface.tma_interface.by_id
        oracles = {
            topic_id: TopicOracle(supported[topic.sal_topic].fields, topic.field_members)
            for topic_id, topic in by_id.items()
            if topic.sal_topic in supported
        }
        sent = SentCounts(Counter(dict.fromkeys(supported, 0)))
        for message, following in pairwise(chain(messages, [None])):
            assert message is not None
            try:
                if message.topic == OVER_LONG or (following is None and message.topic == UNFINISHED):
                    raise InvalidFrameError("not whole")
                topic_id, members = decode_frame(message.data)
                if topic_id not in oracles:
                    name = by_id[topic_id].sal_topic if topic_id in by_id else UNKNOWN_IDS
                    sent.unsupported[name] += 1
                    continue
                oracles[topic_id].make_record(members)
            except InvalidFrameError:
                sent.invalid += 1
            else:
                sent.published[by_id[topic_id].sal_topic] += 1
        return sent


def count_due_frames(rate: float, duration: float, stream: TmaStream | None = None) -> int:
    """Count the frames that the simulator sends in ``duration`` [s] and that SAL has topics for.

    ``rate`` is the multiple of the full rate, and finite.
    """
    stream = stream or TmaStream()
    num_ticks = math.ceil(duration * rate / TICK_INTERVAL - 1e-6)
    topics = select_topics([topic.sal_name for topic in stream.topics], stream.tma_interface)
    return sum(len(range(0, num_ticks, topic.period)) for topic in topics)
