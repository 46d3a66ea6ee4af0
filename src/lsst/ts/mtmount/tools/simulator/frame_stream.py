"""One client's stream: the next ticks of a ring, stamped with the time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .frame_ring import NUM_AGES, STAMP_WIDTH, FrameRing

__all__ = ["MAX_CHUNK_TICKS", "STAMP_AGE", "FrameStream", "StreamTotals"]

#: Most ticks that are stamped and handed over at once: about 260 kB of all
#: topics. More would age in memory, fewer would cost more calls.
MAX_CHUNK_TICKS = 20

#: How much older each age of a time stamp is than the one before [s]: the
#: members of a frame were read up to 7.5 ms before it is sent.
STAMP_AGE = 0.0005


@dataclass
class StreamTotals:
    """What was sent, by one stream or by several."""

    frames: NDArray[np.int64]  #: Frames handed over whole, for each of the ring's topics
    num_bytes: int = 0  #: Bytes handed over, those of incomplete frames included
    ticks: int = 0  #: Ticks begun
    late_ticks: int = 0  #: Ticks begun later than they should have been


class FrameStream:
    """Frames of a ring, over and over, with current time stamps.

    Any number of streams may share the ring and the totals. ``next_tick`` is the number of the
    tick that comes next.
    """

    def __init__(self, ring: FrameRing, totals: StreamTotals) -> None:
        self.next_tick = 0
        self.totals = totals
        # First frame of the chunk, and the one after its last.
        self._chunk_frames = (0, 0)
        self._take_ring(ring)

    def _take_ring(self, ring: FrameRing) -> None:
        self._ring = ring
        # There may be no frame in it; a time stamp must fit.
        self._chunk = bytearray(max(ring.find_largest_run(MAX_CHUNK_TICKS), STAMP_WIDTH))
        # Element i is a time stamp at byte i of the chunk. The elements overlap,
        # so that one assignment writes time stamps to any offsets.
        self._stamps: NDArray[np.bytes_] = np.ndarray(
            (len(self._chunk) - STAMP_WIDTH + 1,), f"S{STAMP_WIDTH}", buffer=self._chunk, strides=(1,)
        )

    def prepare(self, num_ticks: int, tai: float) -> memoryview:
        """Prepare the frames of the next ticks: whole ones, valid until the next call.

        Fewer are prepared where it is more than `MAX_CHUNK_TICKS`, or at the end of the ring.
        ``tai`` is the time of sending [TAI unix s].
        """
        ring = self._ring
        if ring.lay_out_next is not None and self.next_tick >= ring.first_tick + ring.num_ticks:
            ring = ring.lay_out_next()
            self._take_ring(ring)
        tick = self.next_tick % ring.num_ticks
        num_ticks = min(num_ticks, MAX_CHUNK_TICKS, ring.num_ticks - tick)
        begin, end = int(ring.tick_frames[tick]), int(ring.tick_frames[tick + num_ticks])
        start, stop = int(ring.frame_starts[begin]), int(ring.frame_starts[end])
        chunk = memoryview(self._chunk)[: stop - start]
        chunk[:] = memoryview(ring.data)[start:stop]
        stamps = slice(ring.frame_stamps[begin], ring.frame_stamps[end])
        by_age = np.array([b"%.6f" % (tai - age * STAMP_AGE) for age in range(NUM_AGES)], f"S{STAMP_WIDTH}")
        self._stamps[ring.stamp_starts[stamps] - start] = by_age[ring.stamp_ages[stamps]]
        self.next_tick += num_ticks
        self.totals.ticks += num_ticks
        self._chunk_frames = (begin, end)
        return chunk

    def account(self, num_bytes: int) -> None:
        """Count what was handed over of the chunk prepared last [bytes]; of frames, whole ones."""
        ring = self._ring
        begin, end = self._chunk_frames
        starts = ring.frame_starts[begin : end + 1]
        whole = begin + int(np.searchsorted(starts, starts[0] + num_bytes, side="right")) - 1
        self.totals.frames += ring.frame_counts[whole] - ring.frame_counts[begin]
        self.totals.num_bytes += num_bytes
