"""The telemetry client: from the TMA's socket to SAL messages in Kafka."""

import asyncio
import dataclasses
import functools
import json
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from confluent_kafka import KafkaError, KafkaException

from .constants import LINE_TERMINATOR, MAX_FRAME_LENGTH, TELEMETRY_PORT, TELEMETRY_TIMEOUT
from .core import FrameBuffer
from .pipeline.counters import Counters
from .pipeline.drop_report import DropCallback
from .pipeline.telemetry_pipeline import TelemetryPipeline
from .pipeline.topic_handlers import Handler, Preprocessor, TopicHandlers
from .program.client_program import run_program
from .program.metrics_server import Snapshot
from .recording import DEFAULT_LIMIT, Recorder
from .resilience import Backoff, DeadLetterFile
from .resilience.argument_types import check_bool, check_callable, check_path, check_result, check_seconds
from .resilience.cancellation import ends_us, is_cancelled
from .resilience.daemon_thread import run_in_daemon_thread
from .resilience.escape import describe_error
from .resilience.guarded_log import guard_logger
from .resilience.signal_handlers import SharedSignalHandlers
from .resilience.slow_await_warning import warn_while_slow
from .sal import Controller, make_sal_backend
from .sal.backend import SalBackend
from .tcp.client import Client, check_connect_callback
from .tcp.connection import TappedConnection, TcpConnection
from .tma_interface import TmaInterface, choose_tma_interface, log_choice

__all__ = ["TelemetryClient"]

#: What the names of the methods begin with that tweak telemetry data.
PREPROCESSOR = "_preprocess_"

#: How long the end of the program may wait for Kafka to take what is queued [seconds].
DEFAULT_FLUSH_TIMEOUT = 10.0

#: How long the tasks of `read_loop` and `heartbeat_loop` may take to end when cancelled [seconds].
TASK_TIMEOUT = 1.0

#: How long the last event and the end of the connection may take [seconds].
DISCONNECT_TIMEOUT = 2.0

#: A heartbeat loop that ends before its time is begun anew after this [seconds].
HEARTBEAT_RETRY_INTERVAL = 1.0

#: How often that is told [seconds].
HEARTBEAT_LOG_INTERVAL = 60.0

#: A timer that fires later than this tells that the event loop was stalled [seconds].
STALLED_LOOP = 0.2


class TelemetryClient(Client):
    """Read telemetry data from the TMA and publish as SAL messages.

    Make it in a running event loop. It connects at once, and handles
    SIGINT and SIGTERM if the loop is that of the main thread.

    Parameters
    ----------
    host : `str`
        IP address of the TMA's telemetry server.
    port : `int`
        Its port.
    connection_timeout : `float`
        Time limit for connecting [seconds].
    strict : `bool`
        End the client at a frame that cannot be decoded? By default that frame
        is dropped.
    sal_backend : `str`
        ``"salobj"``: use ``lsst.ts.salobj`` for events and logging.
        ``"builtin"``: use what this package brings. ``"auto"``: salobj if
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
    handle_signals : `bool`
        Handle SIGINT and SIGTERM by `signal_handler`, and SIGUSR1 by
        `log_counters`? Only the main thread can; in another one, that is
        logged once. They are handled as before when the client has ended,
        but a handler of ``loop.add_signal_handler``, which asyncio has no
        way to read, is not put back. `amain` ends the client at SIGINT and
        SIGTERM in any case.
    accept_incomplete : `bool`
        Publish a frame that lacks members? Their fields keep their values.
        By default such a frame is dropped.

    Attributes
    ----------
    controller : `lsst.ts.mtmount.sal.Controller` or `lsst.ts.salobj.Controller`
        SAL controller; started first, closed last.
    topic_handlers : `dict` [`int`, `TelemetryTopicHandler`]
        Topic ID: handler of the topic's frames. An entry may be replaced by
        any coroutine function that takes the decoded frame, a dict.
    unsupported_topic_ids : `set` [`int`]
        Topic IDs seen that are not the TMA's.
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
    TypeError
        If `connect_callback` is not a coroutine function, a preprocessor is one,
        or an argument is of the wrong type.
    ValueError
        If ``host`` or a path is empty, or a time or limit is negative.
    lsst.ts.mtmount.sal.SettingsError
        If the environment variables for Kafka are missing or wrong.

    Notes
    -----
    Methods with the name ``_preprocess_{sal_topic_name}`` are used to tweak
    telemetry data. They receive one argument: the raw telemetry data as a
    dict, and must modify it in place.

    `close` takes ``flush_timeout`` and 9 s at most: 2 s for a start that is
    under way, 2 s for the tasks, 2 s for the last event and the connection,
    1 s for ``on_drop``, ``flush_timeout`` for what is queued, and 2 s to give
    up the rest. ``dead_letter`` adds 1 s, ``record`` 5 s, and salobj its own
    end, up to 12 s. Whatever does not end in time is left, and logged. Code
    that blocks the event loop has no bound.
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
        tma_interface: TmaInterface | str | bytes | os.PathLike[str] | None = None,
        record: str | os.PathLike[str] | None = None,
        record_limit: int = DEFAULT_LIMIT,
        handle_signals: bool = True,
        accept_incomplete: bool = False,
    ) -> None:
        asyncio.get_running_loop()
        if host == "":
            raise ValueError("host: expected a host name or an IP address, got ''")
        # What can be wrong is found before anything is made that would have to be undone.
        check_connect_callback(self.connect_callback)
        for name in ("signal_handler", "log_counters"):
            check_callable(name, getattr(self, name))
        interface = choose_tma_interface(tma_interface)
        preprocessors = self._find_preprocessors(interface)
        if dead_letter is not None:
            dead_letter = check_path("dead_letter", dead_letter)
        if record is not None:
            record = check_path("record", record)
        if not isinstance(record_limit, int):
            raise TypeError(f"record_limit: expected a number of bytes, got {record_limit!r}")
        if record_limit <= 0:
            raise ValueError(f"record_limit: expected 1 byte or more, got {record_limit}")
        if on_drop is not None:
            check_callable("on_drop", on_drop)
        if reconnect and not isinstance(reconnect, Backoff | bool):
            raise TypeError(f"reconnect: expected a bool or a Backoff, got {reconnect!r}")
        strict = check_bool("strict", strict)
        handle_signals = check_bool("handle_signals", handle_signals)
        accept_incomplete = check_bool("accept_incomplete", accept_incomplete)
        self.connection_timeout = check_seconds("connection_timeout", connection_timeout)
        self.flush_timeout = check_seconds("flush_timeout", flush_timeout)
        wait_for_kafka = check_seconds("wait_for_kafka", wait_for_kafka)
        self.heartbeat_interval = 1.0
        self.failure: Exception | None = None
        self.on_end: Callable[[], object] | None = None
        self._backoff = Backoff() if reconnect is True else (reconnect or None)
        self._num_frames_seen = 0
        self._signals: SharedSignalHandlers | None = None
        self._sal = make_sal_backend(sal_backend, interface)
        try:
            # It starts as soon as this coroutine waits.
            self._sal.publisher.wait_for_kafka = wait_for_kafka
            loop = asyncio.get_running_loop()
            self._sal.publisher.health.on_fatal = lambda error: loop.call_soon_threadsafe(
                self._end_without_producer, error
            )
            self.controller: Controller = self._sal.controller
            log = self._sal.log.getChild("TelemetryClient")
            # The client's own, which `Client` makes: --loglevel governs what is logged about frames, too.
            client_log = guard_logger(log.getChild(f"{type(self).__name__}(TelemetryClient)"))
            log_choice(interface, client_log)
            self._dead_letter = None if dead_letter is None else DeadLetterFile(dead_letter, client_log)
            self.recorder = (
                None
                if record is None
                else Recorder(
                    record,
                    client_log,
                    source=f"{host}:{port}",
                    limit=record_limit,
                    tma_interface=interface,
                )
            )
            self._pipeline = TelemetryPipeline(
                self._sal,
                preprocessors=preprocessors,
                log=client_log,
                strict=strict,
                on_drop=on_drop,
                dead_letter=self._dead_letter,
                accept_incomplete=accept_incomplete,
            )
            self.heartbeat_task: asyncio.Task[None] = _make_done_task()
            self.read_task: asyncio.Task[None] = _make_done_task()
            self._watch_task: asyncio.Task[None] = _make_done_task()
            if handle_signals and SharedSignalHandlers.is_possible():
                self._signals = SharedSignalHandlers(
                    {
                        signal.SIGINT: self._handle_signal,
                        signal.SIGTERM: self._handle_signal,
                        signal.SIGUSR1: self.log_counters,
                    }
                )
            elif handle_signals:
                client_log.info("Not in the main thread: signals are not handled")
            super().__init__(
                host=host,
                port=port,
                log=log,
                connect_callback=self.connect_callback,
                name="TelemetryClient",
                terminator=LINE_TERMINATOR,
                limit=MAX_FRAME_LENGTH,
            )
        except BaseException:
            if self._signals is not None:
                self._signals.remove()
            _close_in_background(self._sal)
            raise
        for name in dir(type(self)):
            if name.startswith(PREPROCESSOR) and name.removeprefix(PREPROCESSOR) not in interface.by_name:
                self.log.warning(f"{name} is never called: the TMA has no such topic")

    @classmethod
    async def amain(cls) -> int:
        """Run the program ``run_mtmount_telemetry_client`` with the arguments in `sys.argv`.

        Return the exit status: 0 after SIGINT or SIGTERM; 1 when the client could not
        connect, lost the connection or saw no telemetry. If 3 s after a signal the client
        has not begun to end, as with a `signal_handler` of a subclass, it is closed.
        """
        return await run_program(cls)

    @property
    def handles_signals(self) -> bool:
        """Whether SIGINT and SIGTERM are handled by `signal_handler`."""
        return self._signals is not None

    @property
    def topic_handlers(self) -> TopicHandlers:
        """Topic ID: handler of the topic's frames."""
        return self._pipeline.topic_handlers

    @topic_handlers.setter
    def topic_handlers(self, handlers: Mapping[int, Handler]) -> None:
        self._pipeline.topic_handlers.replace(handlers)

    @property
    def unsupported_topic_ids(self) -> set[int]:
        """Topic IDs seen that are not the TMA's."""
        return self._pipeline.unsupported_topic_ids

    @property
    def next_clock_offset_task(self) -> asyncio.Task[None]:
        """Waits until another clockOffset event may be written."""
        return self._pipeline.clock_offset.next_task

    @property
    def counters(self) -> Counters:
        """What became of every frame so far; what Kafka has acknowledged by now is counted first."""
        self._sal.publisher.serve()
        counters = self._pipeline.counters
        if self.recorder is None:
            return counters
        return dataclasses.replace(
            counters,
            recorded_frames=self.recorder.num_recorded,
            recorder_dropped=self.recorder.num_dropped,
        )

    def get_preprocessor(self, sal_topic_name: str) -> Preprocessor | None:
        """Get the preprocessor for a topic such as ``azimuthDrives`` or ``tel_azimuthDrives``, else None."""
        name = PREPROCESSOR + sal_topic_name.removeprefix("tel_")
        preprocessor: Preprocessor | None = getattr(self, name, None)
        return preprocessor

    def _find_preprocessors(self, interface: TmaInterface) -> dict[str, Preprocessor]:
        preprocessors = {}
        for sal_topic in interface.by_name:
            if (preprocessor := self.get_preprocessor(f"tel_{sal_topic}")) is not None:
                try:
                    check_callable("preprocessor", preprocessor)
                except TypeError as error:
                    raise TypeError(f"topic {sal_topic}: {error}") from None
                preprocessors[sal_topic] = preprocessor
        return preprocessors

    async def start(self, **kwargs: Any) -> None:
        """Connect to the telemetry port and start the read loop, or wait until that is done.

        A failure is logged, closes the client, and becomes the exception of
        ``done_task``. RuntimeError if already connected, or closed. ``kwargs`` as of `Client.start`.
        """
        await super().start(**kwargs)

    async def _start_once(self, **kwargs: Any) -> None:
        try:
            if self._dead_letter is not None:
                await run_in_daemon_thread(self._dead_letter.open)
            if self.recorder is not None:
                await run_in_daemon_thread(self.recorder.open)
            # Its own end is told to it by its `close`: it must not hear of ours before.
            await asyncio.wait([self._sal.start_task])
            self._sal.start_task.result()
            self._pipeline.start()
            await self._sal.write_event("telemetryConnected", connected=False)
            if self._backoff is not None:
                # It says that the program lives.
                self._begin_heartbeats()
            await self._connect(**kwargs)
        except (Exception, asyncio.CancelledError) as error:
            # A cancellation that is not ours: somebody has cancelled what this waits for.
            if not self._is_closing:
                self._fail_to_start(error)
        else:
            self._watch_task = asyncio.create_task(self._watch(), name="telemetry watch")
            self._watch_task.add_done_callback(self._note_watch_end)

    def _note_start(self, task: "asyncio.Future[None]") -> None:
        super()._note_start(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._is_closing:
            # What `start` of a subclass raised.
            self._fail_to_start(error)

    def _note_watch_end(self, task: asyncio.Task[None]) -> None:
        if not self._is_closing:
            error = None if task.cancelled() else task.exception()
            reason = "cancelled" if error is None else describe_error(error)
            self._begin_end(RuntimeError(f"could not watch the telemetry: {reason}"), is_exception=True)
            self.log.error("The watch over the telemetry has ended before its time", exc_info=error)

    def _fail_to_start(self, error: BaseException) -> None:
        description = describe_error(error)
        failure = error if isinstance(error, Exception) else RuntimeError(f"could not start: {description}")
        self._begin_end(failure, is_exception=True)
        self.log.error(f"Could not start: {description}")

    async def _connect(self, **kwargs: Any) -> None:
        """Connect, if need be in many attempts, and begin to send heartbeats."""
        while True:
            try:
                async with asyncio.timeout(self.connection_timeout):
                    await self._open_connection(**kwargs)
                break
            except TimeoutError:
                error: OSError = ConnectionError(
                    f"no connection to {self.host}:{self.port} within {self.connection_timeout:g} s"
                )
            except OSError as refusal:
                error = _name_address(refusal, f"{self.host}:{self.port}")
            if self._backoff is None:
                raise error
            delay = self._backoff.next_delay()
            self._pipeline.limited_log.log(
                "Could not connect",
                logging.WARNING,
                f"Could not connect: {describe_error(error)}; the next attempt is in {delay:.2g} s",
            )
            await asyncio.sleep(delay)
            self._prepare_connection()
        await self.call_connect_callback()
        if self.heartbeat_task.done():
            self._begin_heartbeats()

    async def _connect_again(self, reason: Exception, backoff: Backoff) -> None:
        """Leave a connection that brings no more telemetry, and make another one."""
        await self.disconnect()
        self._prepare_connection()
        delay = backoff.next_delay()
        self._connection_log.log(
            "Connection lost", logging.WARNING, f"{reason}; connecting again in {delay:.2g} s"
        )
        await asyncio.sleep(delay)
        await self._connect()

    async def connect_callback(self, client: Client) -> None:
        """Publish whether the client is connected."""
        await self._sal.write_event("telemetryConnected", connected=client.connected)

    async def heartbeat_loop(self) -> None:
        """Output telemetryClientHeartbeat telemetry at regular intervals."""
        # An older SAL interface may lack it.
        heartbeat = getattr(self.controller, "tel_telemetryClientHeartbeat", None)
        while self._is_heartbeat_due:
            try:
                if heartbeat is not None:
                    await heartbeat.write()
                self._pipeline.clock_offset.refresh()
            except Exception as error:
                # One heartbeat less is no reason to stop the telemetry.
                self._pipeline.limited_log.log(
                    "Heartbeat failed", logging.ERROR, f"Heartbeat failed: {describe_error(error)}"
                )
            self._pipeline.flush_logs()
            self._connection_log.flush()
            await asyncio.sleep(self.heartbeat_interval)

    @property
    def _is_heartbeat_due(self) -> bool:
        """While connected; with ``reconnect`` as long as the client lives."""
        return not self._is_closing and (self.connected or self._backoff is not None)

    def _begin_heartbeats(self) -> None:
        self.heartbeat_task = asyncio.create_task(self._run_heartbeat_loop(), name="heartbeat_task")
        self.heartbeat_task.add_done_callback(self._note_heartbeat_end)

    def _note_heartbeat_end(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._is_heartbeat_due:
            how = "was cancelled" if error is None else f"failed: {describe_error(error)}"
            self.log.error(f"heartbeat_task {how}; there are no more heartbeats")

    async def _run_heartbeat_loop(self) -> None:
        """Run the heartbeat loop, again if it ends before its time: the telemetry goes on without it."""
        last_told = -math.inf
        heartbeat = getattr(self.controller, "tel_telemetryClientHeartbeat", None)
        num_seen = 0 if heartbeat is None else heartbeat.record.num_encoded
        task = asyncio.current_task()

        def is_silent() -> bool:
            nonlocal num_seen
            if heartbeat is None:
                return False
            num_before, num_seen = num_seen, heartbeat.record.num_encoded
            return bool(num_seen == num_before)

        while self._is_heartbeat_due:
            how = "returned"
            try:
                with warn_while_slow(
                    self.log, "heartbeat_loop has published nothing", HEARTBEAT_LOG_INTERVAL, is_silent
                ):
                    await self.heartbeat_loop()
            except BaseException as error:
                if ends_us(error, task):
                    raise
                how = f"failed: {describe_error(error)}"
            if self._is_heartbeat_due and time.monotonic() - last_told >= HEARTBEAT_LOG_INTERVAL:
                last_told = time.monotonic()
                self.log.error(f"heartbeat_loop {how}; it is begun anew every second")
            await asyncio.sleep(HEARTBEAT_RETRY_INTERVAL)

    async def read_loop(self) -> None:
        """Read and process status from the low-level controller, until the connection ends.

        Frames are taken as they arrive; this loop does what cannot be done
        without waiting. It is run again for each connection.
        """
        pipeline = self._pipeline
        buffer = self._buffer
        self.set_frame_sink(lambda: pipeline.take(buffer))
        self.stream_ended.add_done_callback(lambda _: pipeline.wake_up.set())
        while True:
            await pipeline.wake_up.wait()
            if not pipeline.is_paused and self.stream_ended.done():
                return
            await pipeline.resolve()
            self.resume_frames()

    async def _watch(self) -> None:
        """Run the read loop for one connection after the other; end the client when it has to."""
        while True:
            reason = await self._read_to_end()
            if self._backoff is None or not _is_loss(reason):
                break
            try:
                await self._connect_again(reason, self._backoff)
            except Exception as error:
                self.log.exception("Could not connect again")
                reason = error
                break
        # The end of the telemetry is no fault of the client's.
        self._begin_end(reason, is_exception=not _is_loss(reason))
        self.log.error(f"Ending: {str(reason) or repr(reason)}")

    async def _read_to_end(self) -> Exception:
        """Read from one connection until no more telemetry comes; return why."""
        num_used_before = self._pipeline.num_used
        self.read_task = asyncio.create_task(self.read_loop())
        reason = await self._wait_for_end()
        self.read_task.cancel()
        await asyncio.wait([self.read_task], timeout=TASK_TIMEOUT)
        if self._backoff is not None and self._pipeline.num_used != num_used_before:
            # A server that takes the connection and sends nothing of use is no success.
            self._backoff.reset()
        if _is_loss(reason):
            self._pipeline.drop_rest(self._buffer)
        return reason

    async def _wait_for_end(self) -> Exception:
        """Wait until the read loop ends, or no telemetry comes; return why."""
        start = last = time.monotonic()
        while True:
            deadline = last + TELEMETRY_TIMEOUT
            await asyncio.wait([self.read_task], timeout=max(deadline - time.monotonic(), 0))
            if self.read_task.done():
                return self._describe_end()
            if self._saw_telemetry(last):
                last = max(last, self.last_receive_time)
            elif self._pipeline.is_paused:
                # The pause is this client's, not the TMA's.
                last = time.monotonic()
            elif self._pipeline.last_pause_end > last:
                last = self._pipeline.last_pause_end
            elif time.monotonic() > deadline + STALLED_LOOP:
                # The loop was stalled, which is no fault of the TMA's:
                # what waits in the socket gets a chance.
                last = time.monotonic() - TELEMETRY_TIMEOUT + STALLED_LOOP
            else:
                return TimeoutError(self._describe_silence(start, last))

    def _describe_end(self) -> Exception:
        """Tell why the read loop has ended."""
        lost = ConnectionError("the TMA closed the connection")
        is_lost = self.stream_ended.done() or not self.connected
        if self.read_task.cancelled():
            return RuntimeError("the task of read_loop was cancelled, or raised CancelledError")
        error = self.read_task.exception()
        if error is None:
            return lost if is_lost else RuntimeError("read_loop returned although connected")
        if is_lost and isinstance(error, ConnectionError | EOFError):
            return lost
        self.log.error("The read loop failed", exc_info=error)
        # A loss is what the TMA does; what a loop raises is an error of the loop, whatever its class.
        if isinstance(error, Exception) and not _is_loss(error):
            return error
        return RuntimeError(f"read_loop failed: {describe_error(error)}")

    def _saw_telemetry(self, since: float) -> bool:
        """Did a frame come since this was last asked, or bytes, if the read loop reads by itself?"""
        num_frames = self._pipeline.num_frames
        is_new = num_frames != self._num_frames_seen
        self._num_frames_seen = num_frames
        return is_new or (not self.has_frame_sink and self.last_receive_time > since)

    def _describe_silence(self, start: float, last: float) -> str:
        text = f"no telemetry for {TELEMETRY_TIMEOUT} s"
        if self.last_receive_time > last:
            return f"{text}: bytes come, but no end of a frame, which is \\r\\n"
        if self.last_receive_time < start:
            return (
                f"{text}: connected, but no frame ever came; is {self.host}:{self.port} the telemetry port?"
            )
        return text

    def signal_handler(self) -> None:
        """Handle signals such as SIGTERM."""
        self._begin_end(None)
        self.log.info("Got a signal to end")

    def _handle_signal(self) -> None:
        try:
            self.signal_handler()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            self._begin_end(None)
            self.log.exception("signal_handler failed; ending all the same")

    def log_counters(self) -> None:
        """Log what became of every frame so far; called on SIGUSR1."""
        self.log.info(f"Counters: {json.dumps(self.counters.as_dict())}")

    def take_snapshot(self) -> Snapshot:
        """Return the figures that ``--metrics-port`` serves."""
        return Snapshot(
            counters=self.counters,
            topic_frames=self._pipeline.topic_frames,
            connected=self.connected,
            last_frame_time=self.last_receive_time,
            kafka_stalled=self._sal.publisher.measure_stall(),
            clock_offset=self._pipeline.clock_offset.offset,
            tma_interface=self._sal.tma_interface.source,
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

        Also closes the controller. Bounded, see Notes of the class.
        """
        self.should_be_connected = False
        await self.basic_close()

    async def basic_close(self) -> None:
        """Do what `close` does, but leave ``should_be_connected`` alone."""
        self._check_loop()
        self._begin_end(None)
        await self._wait_for_close()

    def _abandon(self, reason: str) -> None:
        if not self._is_closing:
            self._begin_end(None)
            self.log.info(f"Closing: {reason}")

    def _make_connection(self, buffer: FrameBuffer) -> TcpConnection:
        if self.recorder is None:
            return super()._make_connection(buffer)
        return TappedConnection(buffer, self._on_sink_error, self.recorder)

    def _on_sink_error(self, error: Exception) -> None:
        self._begin_end(error, is_exception=True)
        self.log.error("Taking frames failed", exc_info=error)

    def _begin_end(self, failure: Exception | None, *, is_exception: bool = False) -> None:
        """Begin to end the client, once.

        ``failure`` tells why, unless somebody wants it; with ``is_exception``, ``done_task``
        gets it as its exception.
        """
        if self._is_closing:
            return
        self.failure = failure
        self._is_closing = True
        self._sal.note_end()
        self._begin_close(functools.partial(self._end, failure if is_exception else None))
        if self.on_end is not None:
            try:
                check_result("on_end", self.on_end())
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                self.log.exception("on_end failed")

    def _end_without_producer(self, error: KafkaError) -> None:
        """End the client, as no message will ever be taken again by its producer."""
        self._begin_end(KafkaException(error), is_exception=True)

    def _leave_to_parent(self) -> None:
        super()._leave_to_parent()
        self._sal.publisher.leave_to_parent()

    async def _end(self, error: Exception | None) -> None:
        """Stop, publish that, flush, and set ``done_task`` done."""
        try:
            # Not before the assignment of this task, whatever the task factory.
            await self._run_step("begin to end", asyncio.sleep(0))
            await self._run_step("stop the start", self._stop_start(TASK_TIMEOUT))
            await self._run_step("stop the tasks", self._stop_tasks())
            await self._run_step("disconnect", self._disconnect_in_time())
            self._connection.abort()
            self._connection_log.flush(force=True)
            await self._run_step("count what was not published", self._pipeline.close(self._buffer))
            failure = await self._run_step("close the controller", self._sal.close(self.flush_timeout))
            if failure is not None:
                self.failure = error = error or failure
            if self._dead_letter is not None:
                await self._run_step("close dead letters", run_in_daemon_thread(self._dead_letter.close))
            if self.recorder is not None:
                await self._run_step("close the recording", run_in_daemon_thread(self.recorder.close))
            # What was recorded is counted, too.
            TelemetryClient.log_counters(self)
        finally:
            # Not before: a signal must not cut off the flush.
            if self._signals is not None:
                self._signals.remove()
            self._set_done(error)

    async def _run_step(self, what: str, step: Awaitable[object]) -> Exception | None:
        """Run a step of the end; what it raises is logged, returned, and stops none of the others."""
        task = asyncio.current_task()
        assert task is not None
        try:
            await step
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                # The event loop ends; it waits for this task.
                task.uncancel()
                in_flight = self._pipeline.counters.in_flight
                self.log.warning(
                    f"Told not to wait: did not {what}; {in_flight} messages are not acknowledged"
                )
                return None
            if ends_us(error, task):
                raise
            self.log.exception(f"Could not {what}")
            return error if isinstance(error, Exception) else RuntimeError(describe_error(error))
        return None

    async def _disconnect_in_time(self) -> None:
        """Disconnect, and publish that, which may have to wait for room in the queue."""
        self._connection.set_sink(None)
        try:
            async with asyncio.timeout(DISCONNECT_TIMEOUT) as limit:
                await self.disconnect()
        except TimeoutError:
            if not limit.expired():
                raise
            what = "connect_callback" if self._callbacks else "disconnect"
            self.log.error(f"{what} did not end within {DISCONNECT_TIMEOUT:g} s; ending without it")

    async def _stop_tasks(self) -> None:
        """Cancel what runs; leave what does not end in time."""
        # The start ends by itself when what it waits for is stopped; it may make the others until then.
        await asyncio.wait([self.start_task], timeout=TASK_TIMEOUT)
        tasks = {
            "start": self.start_task,
            "watch": self._watch_task,
            "heartbeat_loop": self.heartbeat_task,
            "read_loop": self.read_task,
        }
        for task in tasks.values():
            task.cancel()
        _, left = await asyncio.wait(tasks.values(), timeout=TASK_TIMEOUT)
        for name, task in tasks.items():
            if task in left:
                self.log.error(f"{name} did not end within {TASK_TIMEOUT:g} s; ending without it")


def _is_loss(error: Exception) -> bool:
    """Does an error mean no more than that the telemetry has ended?"""
    return isinstance(error, (ConnectionError, TimeoutError))


def _name_address(error: OSError, address: str) -> OSError:
    """Return an error of a connection with a text that names its address, of the same class."""
    text = f"no connection to {address}: {describe_error(error)}"
    if isinstance(error, socket.gaierror):
        return socket.gaierror(error.errno, text)
    # Of several attempts asyncio keeps the numbers in the text only.
    return OSError(error.errno, text) if error.errno else ConnectionError(text)


def _make_done_task() -> asyncio.Task[None]:
    """Make a task that has nothing to do, so that attributes are never None."""
    return asyncio.create_task(asyncio.sleep(0))


#: Controllers that are closed although nobody waits for that.
_background_tasks: set[asyncio.Task[None]] = set()


def _close_in_background(sal: SalBackend) -> None:
    """Undo the making of a backend that has not started."""
    has_begun = False

    async def close() -> None:
        nonlocal has_begun
        has_begun = True
        await sal.close(0)

    def note_end(task: asyncio.Task[None]) -> None:
        _background_tasks.discard(task)
        if not has_begun:
            # The event loop ends at once, and has cancelled it before its first step.
            _close_in_background(sal)

    task = asyncio.create_task(close())
    _background_tasks.add(task)
    task.add_done_callback(note_end)
