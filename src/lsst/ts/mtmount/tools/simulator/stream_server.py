"""A TCP server that sends each of its clients a stream of its own."""

import asyncio
import errno
import logging
import socket
from abc import ABC, abstractmethod
from functools import partial
from typing import Self

__all__ = ["LINGER_TIMEOUT", "StreamServer"]

LOG = logging.getLogger(__name__)

#: How long a stream that is asked to stop may take to hand over the frames
#: of the ticks that it has begun [s].
STOP_TIMEOUT = 1.0

#: How long a client may take to read the rest and to close [s].
LINGER_TIMEOUT = 10.0

#: What accept(2) says when descriptors or memory run out, or a client has gone already; and how
#: long it is left alone then [s]: the listener stays readable, so that trying at once would spin.
ACCEPT_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED)
ACCEPT_RETRY_INTERVAL = 0.5


class StreamServer(ABC):
    """Listens, and serves each client in a task. A context manager."""

    def __init__(self, host: str, port: int, rate: float) -> None:
        self.host = host
        self.rate = rate  #: Multiple of the full rate, or of the recorded one; may be infinity
        self.num_clients = 0  #: Clients that have connected so far
        self.num_complete = 0  #: Streams that have come to their end and were handed over
        self._requested_port = port
        self._listener: socket.socket | None = None
        self._accept_task: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
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
        return int(self._listener.getsockname()[1])

    @property
    def num_connected(self) -> int:
        """Number of clients that are connected."""
        return len(self._tasks)

    async def start(self) -> None:
        """Start to listen."""
        if self._listener is not None:
            raise RuntimeError("already listening")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, self._requested_port), family=family)
        self._listener.setblocking(False)
        self._accept_task = asyncio.create_task(self._accept_clients(self._listener))
        self._accept_task.add_done_callback(partial(_end_accepting, self._listener))

    async def close(self) -> None:
        """Stop listening, end all streams after a whole tick if their clients allow, disconnect.

        If it is cancelled, they end at once.
        """
        accepting, self._accept_task, self._listener = self._accept_task, None, None
        try:
            if accepting is not None:
                # Its end closes the listener.
                accepting.cancel()
                await asyncio.wait([accepting])
            self._stop_streams()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT)
        finally:
            for task in self._tasks:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def wait_idle(self) -> None:
        """Wait until no client is connected."""
        async with self._change:
            await self._change.wait_for(lambda: not self._tasks)

    async def wait_complete(self, idle_timeout: float | None = None) -> None:
        """Wait until a stream has come to its end and no client is connected.

        Or until no client was connected for ``idle_timeout`` [s].
        """
        async with self._change:
            while self._tasks or not self._is_over():
                try:
                    async with asyncio.timeout(None if self._tasks else idle_timeout):
                        await self._change.wait()
                except TimeoutError:
                    if not self._tasks:
                        LOG.warning("No client is connected for %g s", idle_timeout)
                        return

    @abstractmethod
    async def _serve(self, sock: socket.socket) -> None:
        """Send a stream to a client, count it if it was handed over to its end, and close the socket."""

    def _stop_streams(self) -> None:
        """Have all streams end soon."""
        for task in self._tasks:
            task.cancel()

    def _is_over(self) -> bool:
        """Return whether a stream has come to its end."""
        return self.num_complete > 0

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
            self.num_clients += 1
            self._tasks.add(asyncio.create_task(self._run(sock)))
            await self._notify()

    async def _run(self, sock: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await self._serve(sock)
        finally:
            self._tasks.discard(task)
            await self._notify()

    async def _notify(self) -> None:
        async with self._change:
            self._change.notify_all()


def _end_accepting(listener: socket.socket, task: asyncio.Task[None]) -> None:
    listener.close()
    if not task.cancelled() and (error := task.exception()) is not None:
        LOG.error("No more clients are accepted", exc_info=error)
