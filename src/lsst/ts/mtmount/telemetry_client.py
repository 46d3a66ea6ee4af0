"""The telemetry client: from the TMA's socket to SAL messages in Kafka."""

import asyncio
import json
import logging
import math
import os
import signal
import time
from collections.abc import Callable
from typing import Any, ClassVar

from confluent_kafka import KafkaException

from .constants import (
    CLOCK_OFFSET_EVENT_INTERVAL,
    LINE_TERMINATOR,
    MAX_FRAME_LENGTH,
    TELEMETRY_PORT,
    TELEMETRY_TIMEOUT,
)
from .core import DecoderState, FrameBuffer
from .pipeline.counters import Counters
from .pipeline.telemetry_pipeline import DropCallback, TelemetryPipeline
from .pipeline.topic_handler import Preprocessor
from .program.client_program import run_program
from .program.metrics_server import Snapshot
from .recording import DEFAULT_LIMIT, Recorder
from .resilience import Backoff, DeadLetterFile
from .resilience.writer_thread import run_in_daemon_thread
from .sal import make_sal_backend
from .tcp.client import Client
from .tcp.connection import TappedConnection, TcpConnection
from .tma_interface import TmaInterface, choose_tma_interface, log_choice

__all__ = ["TelemetryClient"]

#: How long the end of the program may wait for Kafka to take what is queued [seconds].
DEFAULT_FLUSH_TIMEOUT = 10.0

#: Share of the flush time-out that publishing the last event may take, where it has to wait.
DISCONNECT_SHARE = 0.5

#: Delivery reports are collected after so many published frames, or by the
#: publisher's own slow timer.
FRAMES_PER_SERVE = 500

HANDLED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

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
    reconnect : `bool` or `Backoff`
        Connect again, with that back-off, if the TMA cannot be reached, the
        connection is lost or no telemetry comes? By default that ends the
        client.
    dead_letter : path or `None`
        A file that keeps each dropped frame; see `DeadLetterFile`.
    wait_for_kafka : `float`
        How long to try again, at the start, while Kafka or the schema
        registry cannot be reached [seconds].
    tma_interface : `TmaInterface`, path or `None`
        What the TMA sends; see `choose_tma_interface`. By default the file
        that ``MTMOUNT_TMA_INTERFACE`` names, or else the packaged interface.
    record : path or `None`
        A folder for recordings of all that is received; see `Recorder`.
    record_limit : `int`
        Upper bound for all recordings there [bytes].

    Attributes
    ----------
    controller : `lsst.ts.mtmount.sal.Controller` or `lsst.ts.salobj.Controller`
        SAL controller; started first, closed last.
    topic_handlers : `dict` [`int`, `TelemetryTopicHandler`]
        Topic ID: handler of the topic's frames. An entry may be replaced by
        any coroutine function that takes the decoded frame, a dict.
    unsupported_topic_ids : `set` [`int`]
        Topic IDs seen that are none of the TMA's.
    counters : `Counters`
        What became of every frame so far.
    recorder : `Recorder` or `None`
        What records.
    failure : `Exception` or `None`
        Why the client ended by itself. ``done_task`` raises it if the client
        could not start, or failed; not if the telemetry ended.
    on_end : callable or `None`
        Called when the client begins to end, whatever the reason.
    heartbeat_interval : `float`
        Time between two telemetryClientHeartbeat messages [seconds].
    heartbeat_task, read_task, next_clock_offset_task : `asyncio.Task`
        The tasks of `heartbeat_loop` and `read_loop`, and the one that waits
        until another clockOffset event may be written.

    Raises
    ------
    RuntimeError
        If there is no running event loop.
    lsst.ts.mtmount.tma_interface.TmaInterfaceError
        If the file of the TMA's interface cannot be used.
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
        reconnect: bool | Backoff = False,
        dead_letter: str | os.PathLike[str] | None = None,
        wait_for_kafka: float = 0.0,
        tma_interface: TmaInterface | str | os.PathLike[str] | None = None,
        record: str | os.PathLike[str] | None = None,
        record_limit: int = DEFAULT_LIMIT,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.connection_timeout = connection_timeout
        self.flush_timeout = flush_timeout
        self.heartbeat_interval = 1.0
        self._backoff = Backoff() if reconnect is True else (reconnect or None)
        self._sal = make_sal_backend(sal_backend, choose_tma_interface(tma_interface))
        # It starts as soon as this coroutine waits.
        self._sal.publisher.wait_for_kafka = wait_for_kafka
        self.controller = self._sal.controller
        log = self._sal.log.getChild("TelemetryClient")
        # The client's own, which `Client` makes: --loglevel governs what is logged about frames, too.
        client_log = log.getChild(f"{type(self).__name__}(TelemetryClient)")
        log_choice(self._sal.tma_interface, client_log)
        self._dead_letter = None if dead_letter is None else DeadLetterFile(dead_letter, client_log)
        self.recorder = (
            None
            if record is None
            else Recorder(record, client_log, source=f"{host}:{port}", limit=record_limit)
        )
        self._pipeline = TelemetryPipeline(
            interface=self._sal.tma_interface,
            topics={
                sal_topic: getattr(self.controller, f"tel_{sal_topic}")
                for sal_topic in self._sal.tma_interface.by_name
                if hasattr(self.controller, f"tel_{sal_topic}")
            },
            get_preprocessor=self.get_preprocessor,
            publisher=self._sal.publisher,
            log=client_log,
            strict=strict,
            on_drop=on_drop,
            dead_letter=self._dead_letter,
        )
        self.heartbeat_task: asyncio.Task[None] = _make_done_task()
        self.read_task: asyncio.Task[None] = _make_done_task()
        self.next_clock_offset_task: asyncio.Task[None] = _make_done_task()
        self._end_task: asyncio.Task[None] | None = None
        # Set when the read loop has something to do, and why.
        self._attention = asyncio.Event()
        self._pipeline_state = DecoderState.NEED_MORE
        self._last_frame_time = time.monotonic()
        self._num_frames_seen = 0
        self._clock_offset = math.nan
        self._num_published_at_serve = 0
        self.failure: Exception | None = None
        self.on_end: Callable[[], object] | None = None
        super().__init__(
            host=host,
            port=port,
            log=log,
            connect_callback=self.connect_callback,
            name="TelemetryClient",
            terminator=LINE_TERMINATOR,
            limit=MAX_FRAME_LENGTH,
        )
        for signal_number in (signal.SIGINT, signal.SIGTERM):
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
        return await run_program(cls)

    @property
    def topic_handlers(self) -> Any:
        """Topic ID: handler of the topic's frames."""
        return self._pipeline.topic_handlers

    @topic_handlers.setter
    def topic_handlers(self, handlers: Any) -> None:
        self._pipeline.topic_handlers.clear()
        self._pipeline.topic_handlers.update(handlers)

    @property
    def unsupported_topic_ids(self) -> set[int]:
        """Topic IDs seen that are none of the TMA's."""
        return self._pipeline.decoder.unsupported_topic_ids

    @property
    def counters(self) -> Counters:
        """What became of every frame so far; what Kafka has acknowledged by now is counted first."""
        self._sal.publisher.serve()
        return self._pipeline.counters

    def get_preprocessor(self, sal_topic_name: str) -> Preprocessor | None:
        """Get the preprocessor for this topic, if it exists, else None.

        Parameters
        ----------
        sal_topic_name : `str`
            Name of a SAL telemetry topic, such as ``azimuthDrives`` or
            ``tel_azimuthDrives``.
        """
        preprocessor: Preprocessor | None = getattr(
            self, f"_preprocess_{sal_topic_name.removeprefix('tel_')}", None
        )
        return preprocessor

    async def start(self, **kwargs: Any) -> None:
        """Connect to the telemetry port and start the read loop.

        A failure is logged, closes the client, and becomes the exception of
        ``done_task``.

        Parameters
        ----------
        **kwargs
            Further arguments of `asyncio.open_connection`.

        Raises
        ------
        RuntimeError
            If already connected.
        """
        if self.connected:
            raise RuntimeError("Already connected")
        try:
            if self._dead_letter is not None:
                await run_in_daemon_thread(self._dead_letter.open)
            if self.recorder is not None:
                await run_in_daemon_thread(self.recorder.open)
            await self._sal.start_task
            self._pipeline.start()
            await self._sal.write_event("telemetryConnected", connected=False)
            await self._connect(**kwargs)
        except asyncio.CancelledError:
            if self._end_task is None:
                raise
            # Ended while starting, which is no failure.
            return
        except Exception as error:
            self.log.error(f"Could not start: {error!r}")
            self._begin_end(error, is_exception=True)
            return
        self._refresh_clock()
        self._pipeline.decoder.clock_is_due = True
        self.read_task = asyncio.create_task(self.read_loop())

    async def _connect(self, **kwargs: Any) -> None:
        """Connect, if need be in many attempts, and begin to send heartbeats."""
        while True:
            try:
                async with asyncio.timeout(self.connection_timeout):
                    await super().start(**kwargs)
                break
            except TimeoutError:
                error: OSError = ConnectionError(
                    f"no connection to {self.host}:{self.port} within {self.connection_timeout:g} s"
                )
            except OSError as refusal:
                error = refusal
            if self._backoff is None:
                raise error
            delay = self._backoff.next_delay()
            self._pipeline.limited_log.log(
                "Could not connect",
                logging.WARNING,
                f"Could not connect: {error!r}; the next attempt is in {delay:.2g} s",
            )
            await asyncio.sleep(delay)
            self._prepare_connection()
        self.heartbeat_task = asyncio.create_task(self.heartbeat_loop())

    async def _connect_again(self, reason: Exception, backoff: Backoff) -> None:
        """Leave a connection that brings no more telemetry, and make another one."""
        self.heartbeat_task.cancel()
        await self.disconnect()
        self._prepare_connection()
        delay = backoff.next_delay()
        self.log.warning(f"{reason}; connecting again in {delay:.2g} s")
        await asyncio.sleep(delay)
        await self._connect()

    async def connect_callback(self, client: Client) -> None:
        """Publish whether the client is connected.

        Parameters
        ----------
        client : `Client`
            This client.
        """
        await self._sal.write_event("telemetryConnected", connected=client.connected)

    async def heartbeat_loop(self) -> None:
        """Output telemetryClientHeartbeat telemetry at regular intervals."""
        # An older SAL interface may lack it.
        heartbeat = getattr(self.controller, "tel_telemetryClientHeartbeat", None)
        while self.connected:
            try:
                if heartbeat is not None:
                    await heartbeat.write()
                self._refresh_clock()
                if (fatal := self._sal.publisher.fatal_error) is not None:
                    # No message will ever be taken again by this producer.
                    self._begin_end(KafkaException(fatal), is_exception=True)
            except Exception as error:
                # One heartbeat less is no reason to stop the telemetry.
                self._pipeline.limited_log.log(
                    "Heartbeat failed", logging.ERROR, f"Heartbeat failed: {error!r}"
                )
            self._pipeline.limited_log.flush()
            await asyncio.sleep(self.heartbeat_interval)

    async def read_loop(self) -> None:
        """Read and process status from the low-level controller.

        Frames are taken as they arrive, in `_take_frames`; this loop does
        what cannot be done without waiting, and watches that frames come.
        """
        error: Exception
        try:
            error = await self._read_to_end()
            while self._backoff is not None and _is_loss(error):
                await self._connect_again(error, self._backoff)
                error = await self._read_to_end()
            self.log.error(f"Ending: {error}")
            # The end of the telemetry is no fault of the client's.
            is_exception = not _is_loss(error)
        except Exception as exception:
            self.log.exception("The read loop failed")
            error = exception
            is_exception = True
        self._begin_end(error, is_exception=is_exception)

    async def _read_to_end(self) -> Exception:
        """Read from one connection until no more telemetry comes; return why."""
        num_frames_before = self._pipeline.decoder.frames
        self._last_frame_time = time.monotonic()
        self.set_frame_sink(self._take_frames)
        self.stream_ended.add_done_callback(lambda _: self._attention.set())
        error: Exception | None = None
        while error is None:
            deadline = self._last_frame_time + TELEMETRY_TIMEOUT
            if await self._wait_for_attention(deadline - time.monotonic()):
                if self._pipeline_state != DecoderState.NEED_MORE:
                    error = await self._do_pending()
                elif self.stream_ended.done():
                    error = ConnectionError("the TMA closed the connection")
            elif self._saw_frame():
                self._last_frame_time = max(self._last_frame_time, self.last_receive_time)
            elif time.monotonic() > deadline + STALLED_LOOP:
                # The loop was stalled, which is no fault of the TMA's:
                # what waits in the socket gets a chance.
                self._last_frame_time = time.monotonic() - TELEMETRY_TIMEOUT + STALLED_LOOP
            else:
                error = TimeoutError(f"no telemetry for {TELEMETRY_TIMEOUT} s")
        if self._backoff is not None and self._pipeline.decoder.frames != num_frames_before:
            # A server that takes the connection and sends nothing is no success.
            self._backoff.reset()
        if _is_loss(error):
            self._pipeline.drop_rest(self._buffer)
        return error

    def signal_handler(self) -> None:
        """Handle signals such as SIGTERM."""
        self.log.info("Got a signal to end")
        self._begin_end(None)

    def log_counters(self) -> None:
        """Log what became of every frame so far; called on SIGUSR1."""
        self.log.info(f"Counters: {json.dumps(self.counters.as_dict())}")

    def take_snapshot(self) -> Snapshot:
        """Return the figures that ``--metrics-port`` serves."""
        recorder = self.recorder
        return Snapshot(
            counters=self.counters,
            topic_frames={
                codec.kafka_topic.rpartition(".")[2]: codec.record.num_encoded
                for codec in self._pipeline.decoder.codecs.values()
            },
            connected=self.connected,
            last_frame_time=self.last_receive_time,
            kafka_stalled=self._sal.publisher.measure_stall(),
            clock_offset=self._clock_offset,
            recorded=0 if recorder is None else recorder.num_recorded,
            not_recorded=0 if recorder is None else recorder.num_dropped,
        )

    def describe_loss(self) -> str:
        """Tell what has not reached Kafka yet; from any thread."""
        counters = self._pipeline.counters
        return (
            f"{counters.in_flight} telemetry messages that Kafka did not acknowledge, and the events and log "
            f"messages that it did not take; counters: {json.dumps(counters.as_dict())}"
        )

    async def close(self) -> None:
        """Stop reading, publish that, let Kafka take what is queued, and end.

        Bounded by ``flush_timeout``. Also closes the controller.
        """
        self._begin_end(None)
        assert self._end_task is not None
        await asyncio.shield(self._end_task)

    def _take_frames(self) -> bool:
        """Publish what is whole in the buffer; called after each receive.

        Returns
        -------
        may_go_on : `bool`
            False if the read loop has something to do first.
        """
        self._pipeline_state = self._pipeline.take_frames(self._buffer)
        num_published = self._pipeline.decoder.published
        if num_published - self._num_published_at_serve >= FRAMES_PER_SERVE:
            # Reports that nobody collects take up room in the queue.
            self._num_published_at_serve = num_published
            self._sal.publisher.serve()
        if self._pipeline_state == DecoderState.NEED_MORE:
            return True
        self._attention.set()
        return False

    async def _wait_for_attention(self, patience: float) -> bool:
        """Wait until the read loop has something to do; False if it has not by then."""
        try:
            async with asyncio.timeout(max(patience, 0)):
                await self._attention.wait()
        except TimeoutError:
            return False
        self._attention.clear()
        return True

    def _saw_frame(self) -> bool:
        """Did any frame come since this was last asked?"""
        num_frames = self._pipeline.decoder.frames
        is_new = num_frames != self._num_frames_seen
        self._num_frames_seen = num_frames
        return is_new

    async def _do_pending(self) -> Exception | None:
        """Do what the frames wait for, and go on with them.

        Returns
        -------
        error : `Exception` or `None`
            Why the client has to end.
        """
        if self._pipeline_state == DecoderState.QUEUE_FULL:
            self._pipeline.limited_log.log(
                "Kafka queue full",
                logging.WARNING,
                "The Kafka producer's queue is full; reading telemetry is paused",
            )
            await self._sal.publisher.wait_for_room()
        elif self._pipeline_state == DecoderState.NEED_HANDLER:
            await self._pipeline.handle_pending()
        elif self._pipeline_state == DecoderState.NEED_CLOCK:
            await self._write_clock_offset(self._pipeline.decoder.pending_clock)
        else:
            return self._pipeline.fatal_error
        # The pause was this client's, not the TMA's.
        self._last_frame_time = time.monotonic()
        self._pipeline_state = DecoderState.NEED_MORE
        self.resume_frames()
        return None

    async def _write_clock_offset(self, timestamp: float) -> None:
        """Publish how far the TMA's clock is from ours, and wait with the next one."""
        self._clock_offset = timestamp - self._sal.clock.now()
        await self._sal.write_event("clockOffset", offset=self._clock_offset)
        self.next_clock_offset_task = asyncio.create_task(self._wait_for_next_clock_offset())

    async def _wait_for_next_clock_offset(self) -> None:
        await asyncio.sleep(CLOCK_OFFSET_EVENT_INTERVAL)
        self._pipeline.decoder.clock_is_due = True

    def _refresh_clock(self) -> None:
        """Tell the decoder how to stamp records; leap seconds may come."""
        clock = self._sal.clock
        clock.refresh()
        self._pipeline.decoder.set_clock(clock.use_clock_tai, clock.tai_minus_utc)

    def _make_connection(self, buffer: FrameBuffer) -> TcpConnection:
        if self.recorder is None:
            return super()._make_connection(buffer)
        return TappedConnection(buffer, self._on_sink_error, self.recorder)

    def _on_sink_error(self, error: Exception) -> None:
        self.log.error("Taking frames failed", exc_info=error)
        self._begin_end(error, is_exception=True)

    def _begin_end(self, failure: Exception | None, *, is_exception: bool = False) -> None:
        """Begin to end the client, once.

        Parameters
        ----------
        failure : `Exception` or `None`
            Why, unless somebody wants it.
        is_exception : `bool`
            Does ``done_task`` get it as its exception?
        """
        if self._end_task is None:
            if self.on_end is not None:
                self.on_end()
            self.failure = failure
            self._end_task = asyncio.create_task(self._end(failure if is_exception else None))

    async def _end(self, error: Exception | None) -> None:
        """Stop, publish that, flush, and set ``done_task`` done."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.flush_timeout
        self.should_be_connected = False
        try:
            tasks = [self.start_task, self.heartbeat_task, self.read_task, self.next_clock_offset_task]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self.set_frame_sink(None)
            try:
                # Publishing the event may have to wait for room in the queue.
                async with asyncio.timeout(DISCONNECT_SHARE * self.flush_timeout):
                    await self.disconnect()
            except Exception:
                self.log.exception("Could not disconnect cleanly")
            self._pipeline.close(self._buffer)
            await self._sal.close(max(deadline - loop.time(), 0.0))
            self.log_counters()
        except Exception as exception:
            self.log.exception("Could not end cleanly")
            self.failure = error = error or exception
        finally:
            if self._dead_letter is not None:
                await run_in_daemon_thread(self._dead_letter.close)
            if self.recorder is not None:
                await run_in_daemon_thread(self.recorder.close)
            # Not before: a signal must not cut off the flush.
            for signal_number in HANDLED_SIGNALS:
                loop.remove_signal_handler(signal_number)
            self._set_done(error)


def _is_loss(error: Exception) -> bool:
    """Does an error mean no more than that the telemetry has ended?"""
    return isinstance(error, (ConnectionError, TimeoutError))


def _make_done_task() -> asyncio.Task[None]:
    """Make a task that has nothing to do, so that attributes are never None."""
    return asyncio.create_task(asyncio.sleep(0))
