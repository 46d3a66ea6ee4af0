"""Recordings, streamed as the TMA sent them."""

import asyncio
import itertools
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

from ...constants import LINE_TERMINATOR, TELEMETRY_TIMEOUT
from ...recording import Message
from ...recording.mcap_channels import UNFINISHED
from .replay import Replay
from .stream_server import LINGER_TIMEOUT, StreamServer

__all__ = ["ReplayServer"]

LOG = logging.getLogger(__name__)

#: How many frames are read at once: two batches of the TMA's longest ones take some 10 MB.
BATCH = 256

#: Frames that are due within this are sent together [s]: the resolution of the event loop's timers.
RESOLUTION = 0.001


class ReplayServer(StreamServer):
    """A TCP server that streams a replay to each of its clients, from its beginning.

    Host, port, ``record`` and ``stay_open`` are as of `TmaSimulator`.

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
        super().__init__(host, port, replay.rate)
        self.sent: Counter[str] = Counter()  #: Frames sent so far, by channel
        self.bytes_sent = 0  #: Bytes sent so far
        self.error: Exception | None = None  #: Why a recording could not be read
        self._replay = replay
        self._record = record
        self._stay_open = stay_open

    @property
    def frames_sent(self) -> int:
        """Frames sent so far."""
        return self.sent.total()

    def _is_over(self) -> bool:
        return super()._is_over() or self.error is not None

    async def _serve(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
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
        except Exception as error:
            self.error = error
        finally:
            sending.cancel()
            leaving.cancel()
            # First, as the server may be closed, and this be cancelled, meanwhile.
            writer.transport.abort()
            await asyncio.gather(sending, leaving, return_exceptions=True)

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
        """Return when a message is due [s from the start]: at once if the rate is infinity."""
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
