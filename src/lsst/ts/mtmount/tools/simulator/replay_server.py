"""Recordings, streamed as the TMA sent them."""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

from ...constants import LINE_TERMINATOR, TELEMETRY_TIMEOUT
from ...recording import Message
from ...recording.mcap_channels import OVER_LONG, UNFINISHED
from .replay import Replay
from .stream_server import LINGER_TIMEOUT, StreamServer

__all__ = ["ReplayServer"]

LOG = logging.getLogger(__name__)

#: How many frames are sent at once at most: they are rendered in one go, while other clients wait.
BATCH = 256

#: Frames that are due within this are sent together [s]: the resolution of the event loop's timers.
RESOLUTION = 0.001


class ReplayServer(StreamServer):
    """A TCP server that streams a replay to each of its clients, from its beginning.

    Host, port, ``record`` and ``stay_open`` are as of `TmaSimulator`.

    Notes
    -----
    A frame that the TMA did not complete goes without a terminator, which comes with the next frame. Of an
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
        chunks = self._replay.read_chunks()
        loop = asyncio.get_running_loop()
        start = 0.0
        first: int | None = None
        is_unfinished = False
        # The next chunk is read while this one is sent, and never waited for before that.
        chunk = await asyncio.to_thread(_read_chunk, chunks)
        while chunk is not None:
            reading = asyncio.create_task(asyncio.to_thread(_read_chunk, chunks))
            try:
                position = 0
                while position < len(chunk):
                    if first is None:
                        first, start = chunk[0].log_time, loop.time()
                    due = self._find_due(chunk[position], first)
                    if (delay := start + due - loop.time()) > RESOLUTION:
                        if delay > TELEMETRY_TIMEOUT:
                            LOG.warning("The recording has a pause: the next frame is due in %.0f s", delay)
                        await asyncio.sleep(delay)
                    limit = loop.time() - start + RESOLUTION
                    end = position + 1
                    while (
                        end < min(len(chunk), position + BATCH)
                        # An over-long frame is filled up, to 2 MiB.
                        and chunk[end - 1].topic != OVER_LONG
                        and self._find_due(chunk[end], first) <= limit
                    ):
                        end += 1
                    await self._send(writer, chunk[position:end], is_unfinished)
                    is_unfinished = chunk[end - 1].topic == UNFINISHED
                    position = end
            finally:
                # Also where the client has gone: no thread is left with the file.
                chunk = await reading

    def _find_due(self, message: Message, first: int) -> float:
        """Return when a message is due [s from the start]: at once if the rate is infinity."""
        return (message.log_time - first) / 1e9 / self._replay.rate

    async def _send(self, writer: asyncio.StreamWriter, messages: list[Message], is_unfinished: bool) -> None:
        """Send frames; the one before lacks its terminator if ``is_unfinished``."""
        now = time.time_ns()
        data = b"".join([self._replay.render(message, now) + LINE_TERMINATOR for message in messages])
        if is_unfinished:
            data = LINE_TERMINATOR + data
        if messages[-1].topic == UNFINISHED:
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


def _read_chunk(chunks: Iterator[list[Message]]) -> list[Message] | None:
    return next(chunks, None)
