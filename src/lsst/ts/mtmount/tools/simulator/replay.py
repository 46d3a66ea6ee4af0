"""Recordings, streamed as the TMA sent them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
import math
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from ...constants import LINE_TERMINATOR, MAX_FRAME_LENGTH, TELEMETRY_TIMEOUT
from ...recording import Message, read_messages
from ...recording.mcap_channels import OVER_LONG, TOPIC_PREFIX, UNFINISHED
from ...tma_interface import TmaInterface, load_packaged_tma_interface
from .completion import wait_complete

__all__ = ["Replay", "ReplayServer"]

LOG = logging.getLogger(__name__)

#: How many frames are read at once: two batches of the TMA's longest ones take some 10 MB.
BATCH = 256

#: Frames that are due within this are sent together [s]: the resolution of the event loop's timers.
RESOLUTION = 0.001

#: How long a client may take to read the rest and to close [s].
LINGER_TIMEOUT = 10.0

#: The frame's time stamp and those of its members, as the TMA spells numbers; in a string their
#: quotes would be escaped.
STAMP = re.compile(rb'("(?:timestamp|\w+Timestamp)"\s*:\s*)(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?=\s*[,}])')


class Replay:
    """What is sent of a recording, and when.

    A topic is a SAL name, an ID, or the name of another channel; `ValueError` if it is unknown.

    Parameters
    ----------
    files : `list` [`pathlib.Path`]
        The recordings, in their order.
    rate : `float`
        How many times faster than recorded; infinity: as fast as the client takes it.
    shift_time : `bool`
        Add the time of sending less the recorded arrival to all time stamps?
    first, stop : `int`
        Only frames that were received at or after, and before, this [UTC unix ns].
    interface : `TmaInterface`, optional
        What has the topics; the packaged interface if `None`.
    """

    def __init__(
        self,
        files: list[Path],
        *,
        rate: float = 1.0,
        shift_time: bool = False,
        first: int = 0,
        stop: int = 2**64,
        topics: Iterable[str] | None = None,
        interface: TmaInterface | None = None,
    ) -> None:
        self.files = files
        self.rate = rate
        self.shift_time = shift_time
        self.first = first
        self.stop = stop
        known = interface or load_packaged_tma_interface()
        self._channels = None if topics is None else {_name_channel(topic, known) for topic in topics}

    def read(self) -> Iterator[Message]:
        """Read what is to be sent. Blocks: to be called in a thread. Raises as `read_messages` does."""
        for file in self.files:
            for message in read_messages(file, LOG.warning, wants=self._wants):
                if self.first <= message.log_time < self.stop:
                    yield message

    def render(self, message: Message, now: int) -> bytes:
        """Return the bytes to send for a message at a time [UTC unix ns], without terminator."""
        data = message.data
        if message.topic == OVER_LONG:
            data = _restore_over_long(data)
        elif self.shift_time and message.topic.startswith(TOPIC_PREFIX):
            shift = (now - message.log_time) / 1e9
            data = STAMP.sub(lambda match: match[1] + b"%.6f" % (float(match[2]) + shift), data)
        return data

    def _wants(self, channel: str) -> bool:
        return self._channels is None or channel in self._channels


class ReplayServer:
    """A TCP server that streams a replay to each of its clients, from its beginning.

    Host, port, ``record`` and ``stay_open`` are as of `TmaSimulator`.

    Attributes
    ----------
    num_clients : `int`
        Clients that have connected so far.
    num_complete : `int`
        Streams that were handed over to their end.
    sent : `collections.Counter` [`str`]
        Frames sent so far, by channel.
    bytes_sent : `int`
        Bytes sent so far.
    error : `Exception` or `None`
        Why a recording could not be read.

    Notes
    -----
    A frame that the TMA did not complete goes without a terminator if nothing comes after it. Of an
    over-long one the recorded head comes, filled up to its length, to 2 MiB at most.
    """

    def __init__(
        self,
        replay: Replay,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        record: Callable[[memoryview], object] | None = None,
        stay_open: bool = False,
    ) -> None:
        self.host = host
        self.num_clients = 0
        self.num_complete = 0
        self.sent: Counter[str] = Counter()
        self.bytes_sent = 0
        self.error: Exception | None = None
        self._replay = replay
        self._requested_port = port
        self._record = record
        self._stay_open = stay_open
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._change = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, self._requested_port)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        """Port that the server listens on."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def rate(self) -> float:
        """How many times faster than recorded."""
        return self._replay.rate

    @property
    def frames_sent(self) -> int:
        """Frames sent so far."""
        return self.sent.total()

    async def wait_complete(self, idle_timeout: float | None = None) -> None:
        """Wait until a stream has come to its end and no client is connected.

        Or until no client was connected for ``idle_timeout`` [s].
        """
        await wait_complete(
            self._change,
            lambda: self._tasks,
            lambda: self.num_complete or self.error is not None,
            idle_timeout,
        )

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_clients += 1
        task = asyncio.create_task(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.error = error if isinstance(error, Exception) else None
        self._notice = asyncio.create_task(self._notify())

    async def _notify(self) -> None:
        async with self._change:
            self._change.notify_all()

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._notify()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sending = asyncio.create_task(self._send_all(writer))
        # A client may leave in a pause of the recording.
        leaving = asyncio.create_task(_read_to_end(reader))
        try:
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
                self.num_complete += 1
                if not self._stay_open:
                    writer.write_eof()
                async with asyncio.timeout(LINGER_TIMEOUT):
                    await leaving
        except (ConnectionError, TimeoutError) as error:
            LOG.info("Client lost: %s", error)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            writer.transport.abort()

    async def _send_all(self, writer: asyncio.StreamWriter) -> None:
        messages = self._replay.read()
        loop = asyncio.get_running_loop()
        start = loop.time()
        first: int | None = None
        # The next batch is read while this one is sent.
        batch = await asyncio.to_thread(_read_batch, messages)
        while batch:
            reading = asyncio.create_task(asyncio.to_thread(_read_batch, messages))
            try:
                if first is None:
                    first = batch[0].log_time
                position = 0
                while position < len(batch):
                    due = self._find_due(batch[position], first)
                    if (delay := start + due - loop.time()) > RESOLUTION:
                        if delay > TELEMETRY_TIMEOUT:
                            LOG.warning("The recording has a pause: the next frame is due in %.0f s", delay)
                        await asyncio.sleep(delay)
                    limit = loop.time() - start + RESOLUTION
                    end = position + 1
                    while end < len(batch) and self._find_due(batch[end], first) <= limit:
                        end += 1
                    is_last = end == len(batch) and not await asyncio.shield(reading)
                    await self._send(writer, batch[position:end], is_last)
                    position = end
            finally:
                # Also where the client has gone: no thread is left with the file.
                batch = await reading

    def _find_due(self, message: Message, first: int) -> float:
        """Return when a message is due [s from the start]."""
        if math.isinf(self._replay.rate):
            return 0.0
        return (message.log_time - first) / 1e9 / self._replay.rate

    async def _send(self, writer: asyncio.StreamWriter, messages: list[Message], is_last: bool) -> None:
        now = time.time_ns()
        data = b"".join([self._replay.render(message, now) + LINE_TERMINATOR for message in messages])
        if is_last and messages[-1].topic == UNFINISHED:
            data = data.removesuffix(LINE_TERMINATOR)
        writer.write(data)
        await writer.drain()
        self.bytes_sent += len(data)
        self.sent.update(message.topic for message in messages)
        if self._record is not None:
            self._record(memoryview(data))


async def _read_to_end(reader: asyncio.StreamReader) -> None:
    """Read until the client closes; what it sends is ignored, as the TMA does."""
    while await reader.read(65536):
        continue


def _read_batch(messages: Iterator[Message]) -> list[Message]:
    return list(itertools.islice(messages, BATCH))


def _name_channel(topic: str, interface: TmaInterface) -> str:
    """Return the channel of a topic, given by its SAL name, its ID, or the channel's own name."""
    if topic in interface.by_name:
        return f"{TOPIC_PREFIX}{topic}"
    for known in interface.topics:
        if topic == str(known.topic_id):
            return f"{TOPIC_PREFIX}{known.sal_topic}"
    if topic.startswith("tma_other/"):
        return topic
    raise ValueError(f"expected topics of the TMA, got {topic!r}")


def _restore_over_long(data: bytes) -> bytes:
    """Make a frame of the recorded length and head; as it is if that is not one of ours."""
    try:
        content = json.loads(data)
        head = base64.b64decode(content["head_base64"])
        length = min(int(content["length"]), 2 * MAX_FRAME_LENGTH)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return data
    return head.ljust(length, b"~")
