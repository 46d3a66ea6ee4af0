"""The telemetry client: from the TMA's socket to SAL messages in Kafka."""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from .client import Client
from .constants import (
    CLOCK_OFFSET_EVENT_INTERVAL,
    LINE_TERMINATOR,
    MAX_FRAME_LENGTH,
    TELEMETRY_PORT,
    TELEMETRY_TIMEOUT,
)
from .core import NEED_CLOCK, NEED_HANDLER, NEED_MORE, QUEUE_FULL
from .counters import Counters
from .frame_pump import DropCallback, FramePump
from .sal import make_controller
from .telemetry_map import TELEMETRY_MAP
from .topic_handler import Preprocessor

__all__ = ["TelemetryClient"]

#: How long the end of the program may wait for Kafka to take what is queued [seconds].
DEFAULT_FLUSH_TIMEOUT = 10.0

#: A timer that fires later than this tells that the event loop was stalled [seconds].
STALLED_LOOP = 0.2


class TelemetryClient(Client):
    """Read telemetry data from the TMA and publish as SAL messages.

    To be made in a running event loop; it starts to connect at once, and
    handles SIGINT and SIGTERM.

    Parameters
    ----------
    host : `str`
        IP address of the TMA's telemetry server.
    port : `int`
        Its port.
    connection_timeout : `float`
        Time limit for connecting [seconds].
    strict : `bool`
        Does a frame that cannot be decoded end the client? By default it
        costs that one frame.
    sal_backend : `str`
        ``"salobj"``: use ``lsst.ts.salobj`` for events and logging.
        ``"builtin"``: use what this package brings. ``"auto"``: salobj where
        it is installed.
    flush_timeout : `float`
        How long `close` waits for Kafka to take what is queued [seconds].
    on_drop : callable or `None`
        Called with the reason (an exception) and the first 200 bytes of each
        dropped frame.

    Attributes
    ----------
    controller : `lsst.ts.mtmount.sal.Controller`
        SAL controller; started first, closed last.
    topic_handlers : `dict` [`int`, `TelemetryTopicHandler`]
        Topic ID: handler of the topic's frames. An entry may be replaced by
        any coroutine function that takes the decoded frame, a dict.
    unsupported_topic_ids : `set` [`int`]
        Topic IDs seen that are none of the TMA's.
    counters : `Counters`
        What became of every frame so far.
    heartbeat_interval : `float`
        Time between two telemetryClientHeartbeat messages [seconds].
    heartbeat_task, read_task, next_clock_offset_task : `asyncio.Task`
        The tasks of `heartbeat_loop` and `read_loop`, and the one that waits
        until another clockOffset event may be written.

    Raises
    ------
    RuntimeError
        If there is no running event loop.
    lsst.ts.mtmount.sal.SettingsError
        If the environment variables for Kafka are missing or wrong.

    Notes
    -----
    Methods with the name ``_preprocess_{sal_topic_name}`` are used to tweak
    telemetry data. They receive one argument: the raw telemetry data as a
    dict, and must modify it in place.
    """

    on_drive_states: ClassVar[frozenset[str]] = frozenset({"Discrete Motion", "Standstill", "Stopping"})

    def __init__(
        self,
        host: str,
        port: int = TELEMETRY_PORT,
        connection_timeout: float = 10,
        *,
        strict: bool = False,
        sal_backend: str = "auto",
        flush_timeout: float = DEFAULT_FLUSH_TIMEOUT,
        on_drop: DropCallback | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.connection_timeout = connection_timeout
        self.flush_timeout = flush_timeout
        self.heartbeat_interval = 1.0
        self.controller = make_controller(sal_backend)
        log = self.controller.log.getChild("TelemetryClient")
        self._pump = FramePump(
            topics={
                sal_topic: getattr(self.controller, f"tel_{sal_topic}")
                for sal_topic, _ in TELEMETRY_MAP.values()
                if hasattr(self.controller, f"tel_{sal_topic}")
            },
            get_preprocessor=self.get_preprocessor,
            publisher=self.controller.publisher,
            log=log,
            strict=strict,
            on_drop=on_drop,
        )
        self.heartbeat_task: asyncio.Task[None] = _make_done_task()
        self.read_task: asyncio.Task[None] = _make_done_task()
        self.next_clock_offset_task: asyncio.Task[None] = _make_done_task()
        self._end_task: asyncio.Task[None] | None = None
        # Set when the read loop has something to do, and why.
        self._attention = asyncio.Event()
        self._pump_state = NEED_MORE
        self._last_frame_time = loop.time()
        self._num_frames_seen = 0
        self._signals = [signal.SIGINT, signal.SIGTERM]
        super().__init__(
            host=host,
            port=port,
            log=log,
            connect_callback=self.connect_callback,
            name="TelemetryClient",
            terminator=LINE_TERMINATOR,
            limit=MAX_FRAME_LENGTH,
        )
        for signal_number in self._signals:
            loop.add_signal_handler(signal_number, self.signal_handler)
        loop.add_signal_handler(signal.SIGUSR1, self.log_counters)

    @classmethod
    async def amain(cls) -> int:
        """Run the program ``run_mtmount_telemetry_client`` with the arguments in `sys.argv`.

        Returns
        -------
        status : `int`
            Exit status: 0 after SIGINT or SIGTERM; 1 when the client could
            not connect, lost the connection or saw no telemetry.
        """
        args = _parse_arguments()
        prefix = "MTMount telemetry client"
        print(f"{prefix}: host={args.host}; port={args.port}", flush=True)
        print(f"{prefix} starting", flush=True)
        client: TelemetryClient | None = None
        dead_letters = contextlib.ExitStack()
        try:
            client = cls(host=args.host, port=args.port, strict=args.strict, sal_backend=args.sal_backend)
            client.log.setLevel(args.loglevel)
            await client.start_task
            if not client.done_task.done():
                print(f"{prefix} running", flush=True)
            await client.done_task
        except Exception as error:
            print(f"{prefix} failed: {error!r}", flush=True)
            return 1
        else:
            print(f"{prefix} done", flush=True)
            return 0
        finally:
            dead_letters.close()
            if client is not None:
                await client.close()
                if args.report is not None:
                    args.report.write_text(json.dumps(client.counters.as_dict(), indent=2) + "\n")

    @property
    def topic_handlers(self) -> Any:
        """Topic ID: handler of the topic's frames."""
        return self._pump.topic_handlers

    @topic_handlers.setter
    def topic_handlers(self, handlers: Any) -> None:
        self._pump.topic_handlers.clear()
        self._pump.topic_handlers.update(handlers)

    @property
    def unsupported_topic_ids(self) -> set[int]:
        """Topic IDs seen that are none of the TMA's."""
        return self._pump.decoder.unsupported_topic_ids

    @property
    def counters(self) -> Counters:
        """What became of every frame so far."""
        return self._pump.counters

    def get_preprocessor(self, sal_topic_name: str) -> Preprocessor | None:
        """Get the preprocessor for this topic, if it exists, else None.

        Parameters
        ----------
        sal_topic_name : `str`
            Name of SAL telemetry topic, e.g. "tel_azimuthDrives", or
            without "tel_".
        """
        preprocessor: Preprocessor | None = getattr(
            self, f"_preprocess_{sal_topic_name.removeprefix('tel_')}", None
        )
        return preprocessor

    async def start(self) -> None:
        """Connect to the telemetry port and start the read loop.

        A failure is logged, closes the client, and becomes the exception of
        ``done_task``.

        Raises
        ------
        RuntimeError
            If already connected.
        """
        if self.connected:
            raise RuntimeError("Already connected")
        try:
            await self.controller.start_task
            self._pump.start()
            await self.controller.evt_telemetryConnected.set_write(connected=False)
            async with asyncio.timeout(self.connection_timeout):
                await super().start()
        except Exception as error:
            if isinstance(error, TimeoutError):
                error = ConnectionError(
                    f"no connection to {self.host}:{self.port} within {self.connection_timeout:g} s"
                )
            self.log.error(f"Could not start: {error!r}")
            self._begin_end(error)
            return
        self._last_frame_time = asyncio.get_running_loop().time()
        self._refresh_clock()
        self._pump.decoder.clock_is_due = True
        self.heartbeat_task = asyncio.create_task(self.heartbeat_loop())
        self.read_task = asyncio.create_task(self.read_loop())

    async def connect_callback(self, client: Client) -> None:
        """Publish whether the client is connected.

        Parameters
        ----------
        client : `Client`
            This client.
        """
        await self.controller.evt_telemetryConnected.set_write(connected=client.connected)

    async def heartbeat_loop(self) -> None:
        """Output telemetryClientHeartbeat telemetry at regular intervals."""
        while self.connected:
            await self.controller.tel_telemetryClientHeartbeat.write()
            self._refresh_clock()
            self._pump.limited_log.flush()
            await asyncio.sleep(self.heartbeat_interval)

    async def read_loop(self) -> None:
        """Read and process status from the low-level controller.

        Frames are taken as they arrive, in `_take_frames`; this loop does
        what cannot be done without waiting, and watches that frames come.
        """
        loop = asyncio.get_running_loop()
        self.set_frame_sink(self._take_frames)
        error: Exception | None = None
        try:
            while error is None:
                remaining = self._last_frame_time + TELEMETRY_TIMEOUT - loop.time()
                if await self._wait_for_attention(remaining):
                    self._attention.clear()
                    if self._pump_state != NEED_MORE:
                        error = await self._do_pending()
                    elif self.stream_ended.done():
                        error = ConnectionError("connection lost")
                elif self._saw_frame():
                    continue
                elif loop.time() - self._last_frame_time - TELEMETRY_TIMEOUT > STALLED_LOOP:
                    # The loop was stalled, not the TMA: give what waits in
                    # the socket a chance.
                    self._last_frame_time = loop.time() - TELEMETRY_TIMEOUT + STALLED_LOOP
                else:
                    error = TimeoutError(f"no telemetry for {TELEMETRY_TIMEOUT} s")
        except Exception as exception:
            self.log.exception("The read loop failed")
            error = exception
        else:
            self.log.error(f"Ending: {error}")
        self._begin_end(error)
