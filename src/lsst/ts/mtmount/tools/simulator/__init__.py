"""A stand-in for the Telescope Mount Assembly (TMA): streams its telemetry.

`TmaSimulator` is a TCP server that streams the TMA's topics on the TMA's own
schedule, at any multiple of the full rate.
"""

from .frame_ring import FrameRing, render_ring
from .frame_stream import FrameStream, StreamTotals
from .schedule import TICK_INTERVAL, select_topics
from .tma_simulator import TmaSimulator

__all__ = [
    "TICK_INTERVAL",
    "FrameRing",
    "FrameStream",
    "StreamTotals",
    "TmaSimulator",
    "render_ring",
    "select_topics",
]
