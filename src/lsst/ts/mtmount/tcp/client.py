"""A TCP client with all read and write methods of the observatory's own."""

import asyncio
import ctypes
import functools
import inspect
import json
import logging
import os
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from ..core import FrameBuffer, StructArrayReader, encode_structs
from ..resilience.argument_types import check_seconds
from ..resilience.cancellation import ends_us, is_cancelled
from ..resilience.escape import describe_error
from ..resilience.forked_loop import note_fork, part_from_parent, stay_in_loop
from ..resilience.guarded_log import guard_logger
from ..resilience.live_object import refuse_to_copy
from ..resilience.rate_limited_log import RateLimitedLog
from ..resilience.slow_await_warning import warn_while_slow
from .connection import FrameSink, TcpConnection, enable_keep_alive
from .done_future import DoneFuture
from .stream_writer import BytesLike
from .tcpip_registration import register_with_tcpip

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Client", "ConnectCallback"]

#: Called with the client when its connection state has changed.
ConnectCallback = Callable[[Any], Awaitable[None]]

#: What a client sends to show that it lives; a terminator follows.
HEARTBEAT = b"heartbeat"

#: How long closing waits for what was written to be sent, and for a connect
#: callback that runs, each [seconds].
CLOSE_TIMEOUT = 5.0

#: How long `Client.disconnect`, which has five steps of such a bound, or a subclass's may take [seconds].
DISCONNECT_LIMIT = 5 * CLOSE_TIMEOUT + 1

#: A subclass's `Client.start`, or a connect callback, that takes longer is worth a warning [seconds].
SLOW = 5.0

_T = TypeVar("_T")

#: Clients that have not ended.
_living: "weakref.WeakSet[Client]" = weakref.WeakSet()


class Client:
    """A TCP client.

    It connects once, as soon as it is made; await ``start_task`` before
    reading or writing. It is an asynchronous context manager, which does
    that, and closes.

    Parameters
    ----------
    host, port : `str` or `None`, `int` or `None`
        Host name or IP address, and port. Blank ``host``: closed from the start.
    log : `logging.Logger`
        Parent of the client's logger.
    connect_callback : coroutine function or `None`
        Called with this client at each change of `connected`. If it raises,
        that is logged.
    monitor_connection_interval : `float`
        If positive, ``connect_callback`` is called when the connection is
        lost, even if nobody reads. (That is noticed at once, not at such
        intervals.) [seconds]
    name : `str`
        Name, for the logger.
    encoding : `str`
        Encoding of the str and JSON methods.
    terminator : `bytes`
        What ends the data of the str and JSON methods. It is looked for
        among the encoded bytes: beware of UTF-16 and UTF-32, where other
        characters may be made of the same bytes.
    run_heartbeat_send_task, heartbeat_send_sleep : `bool`, `float`
        Send ``b"heartbeat"`` and the terminator at once and at this interval [seconds]?
    limit : `int`
        The longest data of a method that looks for a terminator [bytes].
    **kwargs
        Further arguments of `asyncio.open_connection`, ``ssl`` for example.

    Attributes
    ----------
    should_be_connected : `bool`
        True from the connection until `close`: tells a lost connection from
        a closed one.
    start_task : `asyncio.Future`
        Done when connected, or with the exception if that fails.
    done_task : `asyncio.Future`
        Done when closed. Cannot be cancelled; see `DoneFuture`.
    heartbeat_send_task : `asyncio.Future`
        Sends heartbeats; done if they were not wanted.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.
    RuntimeError
        If there is no running event loop, unless ``host`` is blank.

    Notes
    -----
    All read methods raise

    * ConnectionError if the client is not connected, or the connection is lost before there is enough;
    * asyncio.IncompleteReadError, if they have to read a number of bytes or up to a separator and the other
      end closes before; its ``partial`` has the bytes that came;
    * asyncio.LimitOverrunError, if there are more than ``limit`` bytes before the separator; they can
      still be read by other methods.

    A read that is cancelled, by a time-out for example, loses nothing. All write methods raise
    ConnectionError if the client is not connected, or the connection turns out to be lost.
    """

    __reduce_ex__ = refuse_to_copy

    def __init__(
        self,
        host: str | None,
        port: int | None,
        log: logging.Logger,
        connect_callback: ConnectCallback | None = None,
        monitor_connection_interval: float = 0.1,
        name: str = "",
        encoding: str = "utf-8",
        terminator: bytes = b"\r\n",
        run_heartbeat_send_task: bool = False,
        heartbeat_send_sleep: float = 1.0,
        *,
        limit: int = 65536,
        **kwargs: Any,
    ) -> None:
        register_with_tcpip(Client)
        if host != "":
            asyncio.get_running_loop()
        check_connect_callback(connect_callback)
        _check_encoding(encoding)
        if not isinstance(terminator, bytes) or not terminator:
            raise ValueError(f"expected one or more bytes as terminator, got {terminator!r}")
        if run_heartbeat_send_task:
            heartbeat_send_sleep = check_seconds("heartbeat_send_sleep", heartbeat_send_sleep)
        self.host = host
        self.port = port
        self.log = guard_logger(log.getChild(f"{type(self).__name__}({name})"))
        # A server may take connections and end them at once, again and again.
        self._connection_log = RateLimitedLog(self.log)
        self.name = name
        self.encoding = encoding
        self.terminator = terminator
        self.monitor_connection_interval = monitor_connection_interval
        self.run_heartbeat_send_task = run_heartbeat_send_task
        self.heartbeat_send_sleep = heartbeat_send_sleep
        self.should_be_connected = False
        self._connect_callback = connect_callback
        self._connect_kwargs = kwargs
        self._was_connected = False
        # Each call of the connect callback has a task, and a future that is done when nobody has to wait
        # for it any more: it has ended, or waits for the closing itself.
        self._callbacks: dict[asyncio.Task[Any], asyncio.Future[None]] = {}
        self._is_closed_by_callback = False
        self._connect_task: asyncio.Task[None] | None = None
        # Nothing connects once this is true.
        self._is_closing = False
        self._close_task: asyncio.Task[None] | None = None
        self._abandon_task: asyncio.Task[None] | None = None
        self._end_error: Exception | None = None
        self._limit = limit
        self._prepare_connection()
        self._monitor_connection_task: asyncio.Future[None] = _make_done_future()
        self.heartbeat_send_task: asyncio.Future[None] = _make_done_future()
        self.done_task: asyncio.Future[None] = DoneFuture(lambda: self._abandon("done_task was cancelled"))
        self.start_task: asyncio.Future[None]
        if host == "":
            self._reader.feed_eof()
            self.start_task = _make_done_future()
            self.done_task.set_result(None)
        else:
            self.start_task = asyncio.create_task(self._run_start())
            self.start_task.add_done_callback(self._note_start)
            self._guard_task = asyncio.create_task(self._guard())
            _living.add(self)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have a constructor that raises leave no client that nobody can close."""
        super().__init_subclass__(**kwargs)
        owner = _find_constructing_class(cls.__mro__)
        if owner is cls:
            cls.__init__ = _close_on_failure(vars(cls)["__init__"])  # type: ignore[method-assign]
        elif not issubclass(owner, Client):
            # A mixin's, which was not seen here.
            cls.__init__ = _close_on_failure(_call_next_constructor(cls, owner))  # type: ignore[method-assign]

    def __repr__(self) -> str:
        if "_connection" not in vars(self):
            # An error of the constructor may show it.
            return f"<{type(self).__name__} being made>"
        state = "connected" if self.connected else "closed" if self._is_closing else "not connected"
        return f"<{type(self).__name__} {self.name!r} {self.host}:{self.port} {state}>"

    async def __aenter__(self) -> Self:
        has_ended = self.done_task.done() and self._is_closing
        try:
            await self.start_task
            if self._is_closing:
                # Where a start that failed is told by this one only, it is raised here.
                await self.done_task
        except BaseException:
            await self.close()
            raise
        if has_ended:
            raise RuntimeError("Closed; a client connects only once")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Return True if self._reader and self._writer are connected.

        After the other end has closed its side that holds until the bytes
        received before are read. If the other end vanishes without a word,
        it may take the operating system minutes to notice.
        """
        return self._connection.is_connected

    @property
    def stream_ended(self) -> "asyncio.Future[Exception | None]":
        """Done when the connection has ended and the frame sink has taken all frames.

        The result is what broke the connection, or None.
        """
        return self._connection.stream_ended

    @property
    def last_receive_time(self) -> float:
        """When bytes were received last, by `time.monotonic` [seconds]; 0 if never."""
        return self._connection.last_receive_time

    @property
    def has_frame_sink(self) -> bool:
        """Whether received bytes go to a frame sink, instead of to the read methods."""
        return self._connection.has_sink

    async def start(self, **kwargs: Any) -> None:
        """Connect, or wait until that is done. The constructor calls this.

        If a caller gives up waiting, by a time-out for example, the client is closed.
        ``kwargs`` are further arguments of `asyncio.open_connection`.

        Raises
        ------
        RuntimeError
            If the client has connected before, or is closed.
        OSError
            If it cannot connect, or is closed meanwhile (ConnectionError).
        """
        if self._is_closing:
            raise RuntimeError("Closed; a client connects only once")
        self._check_loop()
        task = self._connect_task
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._connect_task = asyncio.create_task(self._start_once(**kwargs))
            if self._guard_task.done():
                # An earlier attempt has failed.
                self._guard_task = asyncio.create_task(self._guard())
        elif task.done() or asyncio.current_task() in self._callbacks:
            # The start waits for the connect callback, which must not wait for it.
            raise RuntimeError("Already connected; a client connects only once")
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            self._abandon("the start was cancelled")
            raise
        if task.cancelled():
            raise ConnectionError("Closed while connecting")
        task.result()

    async def close(self) -> None:
        """Close the connected client socket, if any, and set done_task done.

        Call connect_callback if a client was connected.
        """
        self.should_be_connected = False
        await self._close_once()
        self._monitor_connection_task.cancel()

    async def basic_close(self) -> None:
        """Close the connected client socket, if any, and set done_task done.

        Like close except does not clear self.should_be_connected,
        nor cancel self._monitor_connection_task.
        """
        await self._close_once()

    async def disconnect(self) -> None:
        """Close the socket, if there is one, and call the connect callback.

        What was written before is sent, within a bound of time. ``done_task``
        is left alone.
        """
        self._is_disconnecting = True
        self._writer.close()
        try:
            # Do not cut it off; it may be reporting that the connection was lost.
            current = asyncio.current_task()
            callbacks = [released for task, released in self._callbacks.items() if task is not current]
            if callbacks:
                await asyncio.wait(callbacks, timeout=CLOSE_TIMEOUT)
            await _cancel(self.heartbeat_send_task, CLOSE_TIMEOUT)
            if not await self._connection.shut_down(CLOSE_TIMEOUT):
                self.log.warning("The other end did not take what was written; dropped the connection")
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.call_connect_callback()
        except TimeoutError:
            self.log.warning(f"connect_callback did not end within {CLOSE_TIMEOUT:g} s")
        finally:
            for task, released in self._callbacks.items():
                if task is not asyncio.current_task() and not released.done():
                    task.cancel()

    async def call_connect_callback(self) -> None:
        """Call self.__connect_callback, if it is not None and the connection state has changed."""
        connected = self.connected
        if connected == self._was_connected:
            return
        self._was_connected = connected
        self.log.debug(f"{connected=}")
        if self._connect_callback is None:
            return
        # In a task of its own: who finds that the connection is lost may be cancelled.
        coroutine = self._run_connect_callback(self._connect_callback)
        task = asyncio.create_task(coroutine, name="connect_callback")
        released = self._callbacks[task] = asyncio.get_running_loop().create_future()
        task.add_done_callback(self._release_callback)
        await asyncio.wait([released])

    # What a subclass may use.

    async def _start_once(self, **kwargs: Any) -> None:
        """Do all that `start` does; runs in a task of its own, which `close` cancels if it waits too long."""
        await self._open_connection(**kwargs)
        await self.call_connect_callback()

    async def _open_connection(self, **kwargs: Any) -> None:
        """Connect, without a call of the connect callback."""
        self._connection_log.log("Connecting", logging.INFO, f"Connecting to {self.host}:{self.port}")
        connection = self._connection
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: connection,
            self.host,  # type: ignore[arg-type]  # None goes with `sock`
            self.port,  # type: ignore[arg-type]
            **self._connect_kwargs,
            **kwargs,
        )
        try:
            if self._is_closing:
                raise ConnectionError("Closed while connecting")
            enable_keep_alive(transport.get_extra_info("socket"))
            self.should_be_connected = True
            if self.monitor_connection_interval > 0:
                monitor = asyncio.create_task(self._monitor_connection(), name="monitor of the connection")
                monitor.add_done_callback(self._note_early_end)
                self._monitor_connection_task = monitor
            if self.run_heartbeat_send_task:
                sender = asyncio.create_task(self._send_heartbeats(), name="heartbeat_send_task")
                sender.add_done_callback(self._note_early_end)
                self.heartbeat_send_task = sender
            self._connection_log.log("Connected", logging.INFO, f"Connected to {self.host}:{self.port}")
        except BaseException:
            transport.abort()
            raise

    def _prepare_connection(self) -> None:
        """Get ready to connect, with nothing received yet."""
        self._is_disconnecting = False
        self._buffer = FrameBuffer(self.terminator, self._limit)
        self._connection = self._make_connection(self._buffer)
        self._reader = self._connection.reader
        self._writer = self._connection.writer

    def _make_connection(self, buffer: FrameBuffer) -> TcpConnection:
        """Make the connection that receives into a buffer."""
        return TcpConnection(buffer, self._on_sink_error)

    async def _close_once(self) -> None:
        """Close, in a task of its own that no caller's cancellation stops."""
        self._check_loop()
        self._is_closing = True
        # Before the task is made, which some task factories run at once.
        self._note_closing_callback()
        if self._close_task is None and not self.done_task.done():
            self._begin_close(self._run_close)
        await self._wait_for_close()

    def _begin_close(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run what sets ``done_task`` done in a task; anew, if that was cancelled before its first step."""

        def begin_again(_: asyncio.Task[None]) -> None:
            if not self.done_task.done():
                self._begin_close(close)

        self._close_task = self._create_task(close())
        self._close_task.add_done_callback(begin_again)

    def _create_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Make a task; ``done_task`` may be cancelled while the event loop does not run."""
        return self.done_task.get_loop().create_task(coroutine)

    async def _wait_for_close(self) -> None:
        """Wait for the task that closes; it does not wait for a connect callback that calls this."""
        if self.done_task.done():
            return
        self._note_closing_callback()
        if asyncio.current_task() is not self._close_task:
            await asyncio.wait([self.done_task])

    def _note_closing_callback(self) -> None:
        """Let nobody wait for a connect callback that waits for the closing itself."""
        current = asyncio.current_task()
        if current in self._callbacks:
            assert current is not None
            self._is_closed_by_callback = True
            _release(self._callbacks[current])

    async def _run_close(self) -> None:
        """Stop a start that is under way, disconnect, and set ``done_task`` done."""
        task = asyncio.current_task()
        try:
            await self._stop_start(CLOSE_TIMEOUT)
            async with asyncio.timeout(DISCONNECT_LIMIT):
                await self.disconnect()
        except BaseException as error:
            if ends_us(error, task):
                raise
            self.log.exception("Could not close cleanly")
        finally:
            # Whatever became of the above.
            self._connection.abort()
            self._set_done(None)

    def _leave_to_parent(self) -> None:
        """Be closed in a process that was forked: connection, Kafka and files are the parent's.

        Whatever unwinds there, `asyncio.run` for example, must not shut down what both share.
        """
        part_from_parent(self.done_task.get_loop(), self._connection.transport)
        self._is_closing = True
        self._set_done(None)

    async def _stop_start(self, timeout: float) -> None:  # noqa: ASYNC109
        """End a start that is under way; one that only waited for the connect callback ends by itself.

        Either may take ``timeout`` [seconds].
        """
        if self._connect_task is None:
            self.start_task.cancel()
            return
        if self._is_closed_by_callback:
            await asyncio.wait([self._connect_task], timeout=timeout)
        await _cancel(self._connect_task, timeout)

    def _abandon(self, reason: str) -> None:
        """Close in the background, because somebody gave up waiting for this client."""
        if self._is_closing or self._abandon_task is not None:
            return
        self._close_in_background()
        self.log.info(f"Closing: {reason}")

    def _close_in_background(self) -> None:
        self._abandon_task = self._create_task(self.close())
        self._abandon_task.add_done_callback(self._note_failure)

    def _on_sink_error(self, error: Exception) -> None:
        """End the client, because frames can no longer be taken."""
        self._end_error = error
        self._close_in_background()
        self.log.error("Taking frames failed; closing", exc_info=error)

    def _set_done(self, error: Exception | None) -> None:
        """Set ``done_task`` done, once."""
        if self.done_task.done():
            return
        _living.discard(self)
        error = error or self._end_error
        if error is None:
            self.done_task.set_result(None)
        else:
            self.done_task.set_exception(error)
            # It was logged; nobody has to await the task.
            self.done_task.exception()

    # For this class only.

    async def _run_start(self) -> None:
        # Not before the constructors have ended, whatever the task factory.
        await asyncio.sleep(0)
        if self._is_closing:
            return
        name = f"{type(self).__name__}.start"

        def is_due() -> bool:
            # While it connects, it tells by itself what it waits for.
            return self.connected or self._connect_task is None or self._connect_task.done()

        with warn_while_slow(self.log, f"{name} has not ended", SLOW, is_due):
            try:
                await self.start()
            except asyncio.CancelledError as error:
                if is_cancelled():
                    raise
                raise RuntimeError(f"{name} failed: {describe_error(error)}") from error
        if self._connect_task is None and not self._is_closing:
            self.log.warning(f"{name} has returned, and does not connect")

    def _note_start(self, task: "asyncio.Future[None]") -> None:
        if task.cancelled():
            self._abandon("start_task was cancelled")
        elif self._is_closing:
            # Nobody has to know that it was closed first.
            task.exception()

    async def _guard(self) -> None:
        """Close when the event loop ends: `asyncio.run` cancels all tasks then, and waits for them.

        If it could not connect, there is nothing to close.
        """
        try:
            start = self._connect_task or self.start_task
            await asyncio.wait([start])
            if self._is_closing or start.cancelled() or start.exception() is None:
                await self._wait_until_done()
        except asyncio.CancelledError:
            self._abandon("the event loop ends")
            await self._wait_until_done()
            raise

    async def _wait_until_done(self) -> None:
        # In a forked process it is done, and no loop may be running.
        if not self.done_task.done():
            await asyncio.wait([self.done_task])

    def _note_failure(self, task: "asyncio.Task[Any]") -> None:
        """Log what a task raised that nobody awaits."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error(f"{task.get_name()} failed: {describe_error(error)}", exc_info=error)

    def _note_early_end(self, task: "asyncio.Task[Any]") -> None:
        """Log also that somebody else has cancelled a task that lives as long as the connection."""
        self._note_failure(task)
        is_ours = self._is_disconnecting or self._is_closing or self._abandon_task is not None
        if task.cancelled() and not is_ours:
            self.log.warning(f"{task.get_name()} was cancelled; it is not begun anew")

    def _release_callback(self, task: "asyncio.Task[None]") -> None:
        _release(self._callbacks.pop(task))
        self._note_failure(task)

    async def _run_connect_callback(self, callback: ConnectCallback) -> None:
        task = asyncio.current_task()
        # Not before it is known, whatever the task factory.
        await asyncio.sleep(0)
        try:
            with warn_while_slow(self.log, "connect_callback has been running", SLOW):
                await callback(self)
        except BaseException as error:
            # Who wants to leave the process waits for the closing.
            is_leaving = self._is_closing and isinstance(error, KeyboardInterrupt | SystemExit)
            if ends_us(error, task) and not is_leaving:
                raise
            self.log.exception("connect_callback failed")

    def set_frame_sink(self, sink: FrameSink | None) -> None:
        """Hand frames to a function as they are received, instead of to the read methods.

        What is buffered already is handed over at once. After the end of the
        stream see `stream_ended`. RuntimeError if a read is waiting.

        Parameters
        ----------
        sink : callable or `None`
            Takes frames from the buffer, and returns true, or false to pause
            receiving until `resume_frames` is called; it may be called before
            that, with what was received already. If it raises, that is
            logged, the client is closed, and ``done_task`` has the exception.
            `None`: leave the bytes to the read methods.
        """
        self._connection.set_sink(sink)

    def resume_frames(self) -> None:
        """Call the frame sink for what is buffered; receive again if it can take more."""
        self._connection.run_sink()

    async def read(self, n: int) -> bytes:
        """Read up to n bytes.

        If n is -1 then block until the other end closes its writer, then return all data seen.
        """
        return await self._run_read(self._reader.read(n), bytes)

    async def readexactly(self, n: int) -> bytes:
        """Read exactly n bytes."""
        return await self._run_read(self._reader.readexactly(n), bytes)

    async def readline(self) -> bytes:
        r"""Read a sequence of bytes ending with ``\n``, or partial data at the end of the stream.

        ValueError if the line is longer than the limit; it is discarded.
        """
        return await self._run_read(self._reader.readline(), bytes)

    async def readuntil(self, separator: BytesLike | tuple[BytesLike, ...] = b"\n") -> bytes:
        """Read data from the stream until separator is found, and return it with the separator.

        Of several separators, a tuple, the first to end counts. The default matches the
        standard library, rather than using terminator; see also `read_str`.
        """
        return await self._run_read(self._reader.readuntil(separator), bytes)

    async def read_str(self) -> str:
        """Read until self.terminator, strip the terminator, and decode the data as self.encoding.

        UnicodeError if that fails.
        """
        terminator = self.terminator
        frame = await self._run_read(self._reader.read_frame(terminator), lambda frame: frame + terminator)
        return frame.decode(self.encoding)

    async def read_json(self) -> Any:
        """Read data with `read_str`, and decode it from JSON.

        json.JSONDecodeError if that fails; its message has the data.
        """
        text = await self.read_str()
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise json.JSONDecodeError(f"{error.msg} in {text}", error.doc, error.pos) from None

    async def read_into(self, struct: ctypes.Structure | ctypes.Union) -> None:
        """Read binary data into a `ctypes.Structure` or `ctypes.Union`."""
        await self._run_read(self._reader.read_into(struct), lambda _: bytes(struct))

    async def read_array(self, structs: StructArrayReader, count: int) -> "npt.NDArray[np.void]":
        """Read many structures at once, into a structured array of shape (count,).

        The type of structure is prepared as a `StructArrayReader`; ValueError if ``count`` is negative.
        """
        array: npt.NDArray[np.void] = await self._run_read(
            self._reader.read_array(structs, count), lambda array: array.tobytes()
        )
        return array

    async def write(self, data: BytesLike) -> None:
        """Write data and call drain."""
        self._check_connected()
        await self._send(data)

    async def writelines(self, lines: Iterable[BytesLike]) -> None:
        """Write an iterable of bytes and call drain."""
        self._check_connected()
        await self._send(b"".join(lines))

    async def write_from(self, *structs: ctypes.Structure | ctypes.Union) -> None:
        r"""Write binary data from `ctypes.Structure`\ s or Unions; TypeError if one is neither."""
        self._check_connected()
        await self._send(encode_structs(structs))

    async def write_str(self, line: str) -> None:
        """Encode the str as self.encoding, append self.terminator, and write it.

        TypeError if ``line`` is not a str; UnicodeError if encoding fails.
        """
        self._check_connected()
        if not isinstance(line, str):
            raise TypeError(f"expected a str, got {line!r}")
        await self._send(line.encode(self.encoding) + self.terminator)

    async def write_json(self, data: Any) -> None:
        """Encode data as JSON, and write the result with `write_str`.

        TypeError or ValueError if the data cannot be json-encoded.
        """
        self._check_connected()
        await self.write_str(json.dumps(data))

    async def _run_read(self, reading: Coroutine[Any, Any, _T], to_bytes: Callable[[_T], bytes]) -> _T:
        """Read, if connected, and report it if the connection turns out to be lost.

        A read that is cancelled while that is reported puts back what it had
        taken; ``to_bytes`` returns that.
        """
        try:
            self._check_connected()
            if self._connection.has_sink:
                raise RuntimeError("cannot read: frames are handed to a sink")
        except Exception:
            reading.close()
            raise
        try:
            result = await reading
        except asyncio.IncompleteReadError as error:
            await self._report_loss(error.partial)
            raise
        except OSError as error:
            await self.call_connect_callback()
            raise _as_connection_error(error) from error
        if not self.connected:
            await self._report_loss(to_bytes(result))
        return result

    async def _report_loss(self, taken: bytes) -> None:
        try:
            await self.call_connect_callback()
        except asyncio.CancelledError:
            self._reader.unread(taken)
            raise

    async def _send(self, data: BytesLike) -> None:
        """Write and drain, and report it if the connection turns out to be lost."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            await self.call_connect_callback()
            raise _as_connection_error(error) from error

    def _check_loop(self) -> None:
        loop = self.done_task.get_loop()
        if not self.done_task.done() and loop is not asyncio.get_running_loop():
            raise RuntimeError(f"expected a call in the event loop of {self!r}, got one in another")

    def _check_connected(self) -> None:
        self._check_loop()
        if not self.connected:
            raise ConnectionError("Not connected")

    async def _monitor_connection(self) -> None:
        """Wait for the end of the connection and report it."""
        connection = self._connection
        while connection.is_connected:
            connection.state_changed.clear()
            await connection.state_changed.wait()
        if not self._is_disconnecting:
            await self.call_connect_callback()

    async def _send_heartbeats(self) -> None:
        """Send heartbeats until the connection is lost."""
        while self.connected:
            try:
                await self.write(HEARTBEAT + self.terminator)
            except ConnectionError as error:
                if not self._is_disconnecting:
                    self.log.warning(f"Could not send a heartbeat: {describe_error(error)}")
                return
            await asyncio.sleep(self.heartbeat_send_sleep)


register_with_tcpip(Client)


def _leave_to_parent() -> None:
    clients = list(_living)
    if clients:
        stay_in_loop()
    for client in clients:
        client._leave_to_parent()


os.register_at_fork(before=note_fork, after_in_child=_leave_to_parent)


def check_connect_callback(connect_callback: object) -> None:
    """Raise TypeError for what is neither a coroutine function nor None."""
    if connect_callback is not None and not inspect.iscoroutinefunction(connect_callback):
        raise TypeError(f"expected a coroutine function as connect_callback, got {connect_callback!r}")


def _close_on_failure(constructor: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(constructor)
    def construct(self: Client, *args: Any, **kwargs: Any) -> None:
        try:
            constructor(self, *args, **kwargs)
        except BaseException:
            if "start_task" in vars(self) and not self.done_task.done():
                self._abandon("the constructor failed")
            raise

    return construct


class _AnyProtocol(Protocol):
    """Has the constructor that `Protocol` gives to each that has none of its own."""


def _find_constructing_class(classes: Sequence[type]) -> type:
    """Return the first class that has a constructor.

    That of a protocol does nothing but look for the next one, and not even that where a subclass has one.
    """
    protocol_constructor = vars(_AnyProtocol)["__init__"]
    constructors = ((cls, vars(cls).get("__init__", protocol_constructor)) for cls in classes)
    return next(cls for cls, constructor in constructors if constructor is not protocol_constructor)


def _call_next_constructor(cls: type[Client], owner: type) -> Callable[..., None]:
    """Return a constructor that does what a class without one inherits, from ``owner`` as far as known."""

    @functools.wraps(vars(owner)["__init__"])
    def construct(self: Client, *args: Any, **kwargs: Any) -> None:
        # Not by super(): a protocol's does not go on.
        classes = type(self).__mro__
        following = _find_constructing_class(classes[classes.index(cls) + 1 :])
        vars(following)["__init__"](self, *args, **kwargs)

    return construct


def _check_encoding(encoding: str) -> None:
    try:
        "".encode(encoding)
    except (LookupError, TypeError) as error:
        raise ValueError(f"expected a known encoding, got {encoding!r}") from error


def _as_connection_error(error: OSError) -> ConnectionError:
    """Make a loss of the connection what it is: TimeoutError, for example, if no probe was answered."""
    return (
        error
        if isinstance(error, ConnectionError)
        else ConnectionError(f"Connection lost: {describe_error(error)}")
    )


def _make_done_future() -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.Future()
    future.set_result(None)
    return future


def _release(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


async def _cancel(task: "asyncio.Future[Any]", timeout: float) -> None:  # noqa: ASYNC109
    """Cancel a task, if it is another one, and wait until it has ended, or for so long [seconds]."""
    if task.done() or task is asyncio.current_task():
        return
    task.cancel()
    await asyncio.wait([task], timeout=timeout)
