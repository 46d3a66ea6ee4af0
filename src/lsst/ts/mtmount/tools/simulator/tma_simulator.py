"""The simulator's TCP server."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Self

import numpy as np

from ...sal.tai import LEAP_SECOND_TABLE, TaiClock
from ...tma_interface import TmaInterface
from .completion import wait_complete
from .frame_ring import render_ring
from .frame_stream import FrameStream, StreamTotals
from .schedule import select_topics
from .tma_connection import Pace, TmaConnection

__all__ = ["TmaSimulator"]

LOG = logging.getLogger(__name__)

#: How long a stream that is asked to stop may take to hand over the frames
#: of the ticks that it has begun [s].
STOP_TIMEOUT = 1.0

#: What accept(2) says when descriptors or memory run out, or a client has gone already; and how
#: long it is left alone then [s]: the listener stays readable, so that trying at once would spin.
ACCEPT_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED)
ACCEPT_RETRY_INTERVAL = 0.5


class TmaSimulator:
    """A TCP server that streams the TMA's telemetry to each of its clients.

    Any number of clients may connect, one after another or at once. Each gets
    a stream of its own, which begins with tick 0 when it connects.
    The arguments are checked: `ValueError` if one is out of its range, or a topic is unknown.

    Parameters
    ----------
    rate : `float`
        Multiple of the TMA's full rate. 0 or infinity: as fast as the client
        takes it.
    duration : `float`, optional
        A stream ends before the first tick that is due this long after its
        start [s].
    max_ticks : `int`, optional
        A stream ends after this many ticks.
    max_frames : `int`, optional
        A stream ends after this many frames.
    seed : `int`
        What all values depend on; 0 or more.
    record : callable, optional
        Called with all bytes that were handed over, right after that. Those
        of several clients come in turns, in pieces of any size.
    stay_open : `bool`
        At the end of a stream, leave the connection open until the client
        closes it, within a bound?
    interface : `TmaInterface`, optional
        What the TMA sends; the packaged interface if `None`.

    Attributes
    ----------
    num_clients : `int`
        Number of clients that have connected so far.
    num_complete : `int`
        Number of streams that have come to their end and were handed over.
    topics : `tuple` [`SimulatedTopic`, ...]
        The topics that are streamed.

    Notes
    -----
    **Schedule.** A tick is due every 50 ms divided by the rate, counted from
    the start of the stream, so delays do not add up. A wake-up of the event
    loop takes about 1 ms, so above 50 times the full rate each handles all
    ticks due by then.

    **Slow clients.** Nothing is dropped: the stream waits for the client, then
    catches up as fast as the client takes it. A tick that begins after the next
    one was due (or 5 ms late, at high rates) is counted in ``late_ticks``.

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
        max_frames: int | None = None,
        seed: int = 0,
        record: Callable[[memoryview], object] | None = None,
        stay_open: bool = False,
        interface: TmaInterface | None = None,
    ) -> None:
        if math.isnan(rate) or rate < 0:
            raise ValueError(f"expected rate of 0 or more, got {rate}")
        for name, limit in (("duration", duration), ("max_ticks", max_ticks), ("max_frames", max_frames)):
            if limit is not None and not limit > 0:
                raise ValueError(f"expected {name} above 0, got {limit}")
        self.host = host
        self.num_clients = 0
        self.num_complete = 0
        self._requested_port = port
        self._pace = Pace(rate or math.inf, duration or math.inf, max_ticks or math.inf)
        self._max_frames = max_frames
        self._record = record
        self._stay_open = stay_open
        self._ring = render_ring(select_topics(topics, interface), seed)
        self.topics = self._ring.topics
        self._totals = StreamTotals(np.zeros(len(self.topics), np.int64))
        self._clock = TaiClock()
        self._listener: socket.socket | None = None
        self._accept_task: asyncio.Task[None] | None = None
        self._connections: dict[TmaConnection, asyncio.Task[None]] = {}
        self._change = asyncio.Condition()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """Port that the server listens on; `RuntimeError` if it does not listen."""
        if self._listener is None:
            raise RuntimeError("not listening")
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def rate(self) -> float:
        """Multiple of the TMA's full rate; infinity: as fast as the client takes it."""
        return self._pace.rate

    @property
    def num_connected(self) -> int:
        """Number of clients that are connected."""
        return len(self._connections)

    @property
    def sent(self) -> Counter[int]:
        """Frames sent so far, by topic ID."""
        ids = (topic.topic_id for topic in self.topics)
        return Counter(dict(zip(ids, self._totals.frames.tolist(), strict=True)))

    @property
    def frames_sent(self) -> int:
        """Frames sent so far."""
        return int(self._totals.frames.sum())

    @property
    def bytes_sent(self) -> int:
        """Bytes sent so far."""
        return self._totals.num_bytes

    @property
    def ticks(self) -> int:
        """Ticks begun so far."""
        return self._totals.ticks

    @property
    def late_ticks(self) -> int:
        """Ticks that began late so far."""
        return self._totals.late_ticks

    async def start(self) -> None:
        """Start to listen."""
        await LEAP_SECOND_TABLE.load_in_thread()
        self._clock.refresh()
        if self._listener is not None:
            raise RuntimeError("already listening")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, self._requested_port), family=family)
        self._listener.setblocking(False)
        self._accept_task = asyncio.create_task(self._accept_clients(self._listener))
        self._accept_task.add_done_callback(_log_failure)

    async def close(self) -> None:
        """Stop listening, end all streams after a whole tick if their clients allow, disconnect."""
        if self._accept_task is not None:
            self._accept_task.cancel()
            await asyncio.wait([self._accept_task])
            self._accept_task = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in self._connections:
            connection.stop()
        if tasks := list(self._connections.values()):
            _, blocked = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
            for task in blocked:
                task.cancel()
            if blocked:
                await asyncio.wait(blocked)

    async def wait_idle(self) -> None:
        """Wait until no client is connected."""
        async with self._change:
            await self._change.wait_for(lambda: not self._connections)

    async def wait_complete(self, idle_timeout: float | None = None) -> None:
        """Wait until a stream has come to its end and no client is connected.

        Or until no client was connected for ``idle_timeout`` [s].
        """
        await wait_complete(self._change, lambda: self._connections, lambda: self.num_complete, idle_timeout)

    async def _accept_clients(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno not in ACCEPT_ERRORS:
                    raise
                LOG.warning("A client has to wait, as it cannot be accepted: %s", error)
                await asyncio.sleep(ACCEPT_RETRY_INTERVAL)
                continue
            sock.setblocking(False)
            # One write is one tick: it must not wait for the acknowledgement of the last.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = FrameStream(self._ring, self._totals, self._max_frames)
            connection = TmaConnection(
                sock,
                stream,
                self._pace,
                self._totals,
                self._clock,
                record=self._record,
                stay_open=self._stay_open,
            )
            self.num_clients += 1
            self._connections[connection] = asyncio.create_task(self._run(connection))
            async with self._change:
                self._change.notify_all()

    async def _run(self, connection: TmaConnection) -> None:
        try:
            await connection.run()
        finally:
            self.num_complete += connection.is_complete
            del self._connections[connection]
            async with self._change:
                self._change.notify_all()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        LOG.error("No more clients are accepted", exc_info=error)
