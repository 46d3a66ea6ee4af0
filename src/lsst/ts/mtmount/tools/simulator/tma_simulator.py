"""The simulated TMA: streams frames that it makes, on the TMA's schedule."""

import math
import socket
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from ...sal.tai import LEAP_SECOND_TABLE, TaiClock
from ...tma_interface import TmaInterface
from .frame_ring import render_ring
from .frame_stream import FrameStream, StreamTotals
from .schedule import select_topics
from .stream_server import StreamServer
from .tick_pace import Pace
from .tma_connection import TmaConnection

__all__ = ["TmaSimulator"]


class TmaSimulator(StreamServer):
    """A TCP server that streams the TMA's telemetry to each of its clients.

    Any number of clients may connect, one after another or at once. Each gets
    a stream of its own, which begins with tick 0 when it connects.
    The arguments are checked: `ValueError` if one is out of its range, or a topic is unknown.

    ``rate`` is a multiple of the TMA's full rate; 0 or infinity: as fast as the client takes it. A stream
    ends before the first tick that is due ``duration`` [s] after its start, and after ``max_ticks``,
    if these are given; with ``stay_open``, the connection is then left open until the client
    closes it, within a bound. All values depend on ``seed``. ``record`` is called with all bytes that were
    handed over, right after that; those of several clients come in turns, in pieces of any size.

    Notes
    -----
    **Schedule.** A tick is due every 50 ms divided by the rate, counted from
    the start of the stream, so delays do not add up. A wake-up of the event
    loop takes about 1 ms, so above 50 times the full rate each handles all
    ticks due by then.

    **Slow clients.** Nothing is dropped: the stream waits for the client, then
    catches up as fast as the client takes it. A tick that begins after the next
    one was due (or 5 ms late, at high rates) is counted in ``totals.late_ticks``.

    **Time stamps.** The frames of one tick, or of up to 20 ticks where many are
    due, get the current TAI when the first of them is about to be handed over.

    **End.** A stream ends with a whole tick: the server closes its side (unless
    it is to stay open), and waits, within a bound, for the client to close.

    **Counts.** A frame counts as sent when the operating system has taken all
    of its bytes.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        rate: float = 1.0,
        topics: Iterable[int | str] | None = None,
        duration: float | None = None,
        max_ticks: int | None = None,
        seed: int = 0,
        record: Callable[[memoryview], object] | None = None,
        stay_open: bool = False,
        interface: TmaInterface | None = None,
    ) -> None:
        if math.isnan(rate) or rate < 0:
            raise ValueError(f"expected rate of 0 or more, got {rate}")
        for name, limit in (("duration", duration), ("max_ticks", max_ticks)):
            if limit is not None and not limit > 0:
                raise ValueError(f"expected {name} above 0, got {limit}")
        self._pace = Pace(rate or math.inf, duration or math.inf, max_ticks or math.inf)
        super().__init__(host, port, self._pace.rate)
        self._record = record
        self._stay_open = stay_open
        self._ring = render_ring(select_topics(topics, interface), seed)
        self.topics = self._ring.topics  #: The topics that are streamed
        self.totals = StreamTotals(np.zeros(len(self.topics), np.int64))  #: What was sent to all clients
        self._clock = TaiClock()
        self._connections: set[TmaConnection] = set()

    @property
    def sent(self) -> Counter[int]:
        """Frames sent so far, by topic ID."""
        ids = (topic.topic_id for topic in self.topics)
        return Counter(dict(zip(ids, self.totals.frames.tolist(), strict=True)))

    @property
    def frames_sent(self) -> int:
        """Frames sent so far."""
        return int(self.totals.frames.sum())

    @property
    def bytes_sent(self) -> int:
        """Bytes sent so far."""
        return self.totals.num_bytes

    async def start(self) -> None:
        """Start to listen."""
        await LEAP_SECOND_TABLE.load_in_thread()
        self._clock.refresh()
        await super().start()

    async def _serve(self, sock: socket.socket) -> None:
        connection = TmaConnection(
            sock,
            FrameStream(self._ring, self.totals),
            self._pace,
            self._clock,
            record=self._record,
            stay_open=self._stay_open,
        )
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self.num_complete += connection.is_complete
            self._connections.discard(connection)

    def _stop_streams(self) -> None:
        for connection in self._connections:
            connection.stop()
