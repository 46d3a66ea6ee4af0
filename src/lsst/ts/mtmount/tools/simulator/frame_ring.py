"""Frames rendered in advance: a ring of ticks that is streamed over and over.

Where the schedule takes too long to repeat, one part of it after the other is laid out of frames
that were rendered.

Rendering a frame takes far longer than sending it, so it happens once. What
must be right in each frame that is sent are its time stamps: they have a fixed
width, and the ring knows where they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...constants import LINE_TERMINATOR
from .schedule import TICK_INTERVAL, SimulatedTopic, count_cycle_ticks
from .waveforms import INTEGER_TYPES, make_signals

__all__ = ["DEFAULT_RING_TICKS", "NUM_AGES", "STAMP_WIDTH", "FrameRing", "render_ring"]

#: How many ticks a ring has at least [ticks]: 30 s at the full rate.
DEFAULT_RING_TICKS = 600

#: The longest schedule that is made a ring as a whole [ticks]: one minute, some 16 MB of frames.
MAX_CYCLE_TICKS = 1200

#: Parts of a longer one [ticks]: short, as laying one out holds up the stream.
PART_TICKS = 100

#: How many different frames a topic has at least in a schedule of parts.
MIN_FRAMES = 20

#: Number of bytes of a time stamp with six decimals, until the year 2286.
STAMP_WIDTH = len(b"1732400000.123456")

#: Number of different ages of time stamps; age 0 is the frame's own stamp.
NUM_AGES = 16

# No frame has this byte otherwise.
STAMP_HOLE = "~" * STAMP_WIDTH

VALUE_FORMATS = {"boolean": "%s", "double": "%.6f", "float": "%.6f", **dict.fromkeys(INTEGER_TYPES, "%d")}


@dataclass(frozen=True)
class FrameRing:
    """Frames of some whole cycles of the schedule, or of a part of it, with holes for time stamps.

    Frames and ticks are numbered from 0 within the ring.
    """

    topics: tuple[SimulatedTopic, ...]
    data: bytes  #: All frames, back to back
    tick_frames: NDArray[np.int64]  #: First frame of each tick, and at the end the number of frames
    frame_starts: NDArray[np.int64]  #: Offset of each frame, and at the end that of the end
    #: For each frame, and for the end: how many frames of each of the topics come before it. Shape (frames +
    #: 1, topics).
    frame_counts: NDArray[np.int64]
    #: Number of the first time stamp of each frame, and at the end the number of time stamps.
    frame_stamps: NDArray[np.int64]
    stamp_starts: NDArray[np.int64]  #: Offset of each time stamp
    stamp_ages: NDArray[np.int64]  #: Age of each time stamp: 0 for a frame's own, less than `NUM_AGES`
    first_tick: int = 0  #: The tick of the stream with which this part begins
    #: Lays out the part that follows, as long as this one; `None` for whole cycles.
    lay_out_next: Callable[[], FrameRing] | None = None

    @property
    def num_ticks(self) -> int:
        """Number of ticks."""
        return len(self.tick_frames) - 1

    def find_largest_run(self, num_ticks: int) -> int:
        """Return the size of the largest run of this many ticks [bytes]."""
        tick_starts = self.frame_starts[self.tick_frames]
        width = min(num_ticks, self.num_ticks)
        return int((tick_starts[width:] - tick_starts[:-width]).max())


def render_ring(
    topics: Sequence[SimulatedTopic], seed: int = 0, min_ticks: int = DEFAULT_RING_TICKS
) -> FrameRing:
    """Render a ring of frames; `ValueError` if there are no topics.

    Topics come in this order within a tick. The number of ticks is rounded up to whole cycles of
    the schedule; if a cycle is longer than `MAX_CYCLE_TICKS`, this is the first part of it.
    """
    if not topics:
        raise ValueError("expected topics to simulate, got none")
    if seed < 0:
        raise ValueError(f"expected seed of 0 or more, got {seed}")
    cycle = count_cycle_ticks(topics)
    is_whole = cycle <= MAX_CYCLE_TICKS
    num_ticks = -(-min_ticks // cycle) * cycle if is_whole else PART_TICKS
    rendered = [
        _render_frames(
            topic,
            num_ticks // topic.period if is_whole else max(MIN_FRAMES, min_ticks // topic.period),
            seed,
        )
        for topic in topics
    ]
    topic_ages = [_choose_ages(topic, seed) for topic in topics]
    return _lay_out(topics, rendered, topic_ages, 0, num_ticks, is_whole)


def _lay_out(
    topics: Sequence[SimulatedTopic],
    rendered: Sequence[Sequence[str]],
    topic_ages: Sequence[NDArray[np.int64]],
    first_tick: int,
    num_ticks: int,
    is_whole: bool,
) -> FrameRing:
    """Lay out the frames of some ticks; each topic's own ones come over and over."""
    # The schedule: (tick, topic) of each frame, in the order of the stream.
    ticks = np.arange(first_tick, first_tick + num_ticks)
    due = np.argwhere(ticks[:, np.newaxis] % np.array([topic.period for topic in topics]) == 0)
    frames = [
        rendered[index][(first_tick + tick) // topics[index].period % len(rendered[index])]
        for tick, index in due.tolist()
    ]
    data = "".join(frames).encode()
    one_hot = np.arange(len(topics)) == due[:, 1, np.newaxis]
    return FrameRing(
        topics=tuple(topics),
        data=data,
        tick_frames=np.searchsorted(due[:, 0], np.arange(num_ticks + 1)),
        frame_starts=_accumulate([len(frame) for frame in frames]),
        frame_counts=np.vstack([np.zeros((1, len(topics)), np.int64), one_hot]).cumsum(axis=0),
        frame_stamps=_accumulate([len(topic_ages[index]) for index in due[:, 1]]),
        stamp_starts=np.array(
            [match.start() for match in re.finditer(STAMP_HOLE.encode(), data)], dtype=np.int64
        ),
        stamp_ages=np.concatenate([topic_ages[0][:0], *(topic_ages[index] for index in due[:, 1])]),
        first_tick=first_tick,
        lay_out_next=None
        if is_whole
        else partial(
            _lay_out, topics, rendered, topic_ages, first_tick + num_ticks, num_ticks, is_whole=False
        ),
    )


def _accumulate(sizes: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def _render_frames(topic: SimulatedTopic, num_frames: int, seed: int) -> list[str]:
    """Render the frames of one topic that come over and over, with holes for the time stamps."""
    duration = num_frames * topic.period * TICK_INTERVAL
    values = [
        ["true" if value else "false" for value in signal] if member.sal_type == "boolean" else signal
        for member, signal in zip(topic.values, make_signals(topic, num_frames, duration, seed), strict=True)
    ]
    members = "".join(
        f', "{member.name}": {STAMP_HOLE if member.is_stamp else VALUE_FORMATS[str(member.sal_type)]}'
        for member in topic.members
    )
    template = f'{{"topicID": {topic.topic_id}{members}}}{LINE_TERMINATOR.decode()}'
    return [template % frame_values for frame_values in zip(*values, strict=True)]


def _choose_ages(topic: SimulatedTopic, seed: int) -> NDArray[np.int64]:
    """Choose the ages of a topic's time stamps: the same in all its frames."""
    stamps = [member for member in topic.members if member.is_stamp]
    ages = np.random.default_rng([seed, topic.topic_id]).integers(1, NUM_AGES, len(stamps))
    ages[[stamp.is_frame_stamp for stamp in stamps]] = 0
    return ages
