"""HTTP whose answers are bounded as a whole, in time and in bytes, whatever the server sends."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping

__all__ = ["BoundedConnection", "OversizeError"]


class OversizeError(http.client.HTTPException):
    """An answer has too many bytes."""


class Bounds:
    """What is left of the time and bytes of one answer."""

    def __init__(self, timeout: float, max_bytes: int) -> None:
        self.timeout = timeout
        self.max_bytes = max_bytes
        self._deadline = time.monotonic() + timeout
        self._num_bytes = 0

    def time_left(self) -> float:
        """Return the time that is left [s]; raise TimeoutError if none is."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no whole answer within {self.timeout:g} s")
        return left

    def count(self, num_bytes: int) -> None:
        """Count received bytes; raise `OversizeError` if there are too many."""
        self._num_bytes += num_bytes
        if self._num_bytes > self.max_bytes:
            raise OversizeError(f"the answer has over {self.max_bytes} bytes")


class BoundedReader(io.RawIOBase):
    """Reads from a socket within bounds. Framing, trailers and interim answers count, too."""

    def __init__(self, sock: socket.socket, file: io.BufferedIOBase, bounds: Bounds) -> None:
        self._socket = sock
        # While this file of it is open, the socket is, also if the connection was closed.
        self._file = file
        self._bounds = bounds

    def close(self) -> None:
        """Let go of the socket."""
        self._file.close()
        super().close()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Receive into a buffer; see `io.RawIOBase`."""
        self._socket.settimeout(self._bounds.time_left())
        try:
            num_bytes = self._socket.recv_into(buffer)
        except TimeoutError:
            self._bounds.time_left()
            raise
        self._bounds.count(num_bytes)
        return num_bytes


class BoundedConnection:
    """A connection to an HTTP server, made on demand and kept.

    The resolver of names has no time-out. Call this in a thread that nobody needs to wait for.
    ``timeout`` bounds connecting, and each request with its whole answer [s]; ``max_bytes`` an
    answer, head and framing included [bytes].
    """

    def __init__(self, host: str, port: int | None, *, is_tls: bool, timeout: float, max_bytes: int) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._connection: http.client.HTTPConnection
        if is_tls:
            self._connection = http.client.HTTPSConnection(
                host, port, timeout=timeout, context=ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=timeout)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Send a request and return status and body of the answer.

        A request on a kept connection that the server has ended is sent once
        more, so it must be one that may be repeated. `OSError`, `ValueError` or
        `http.client.HTTPException` if there is no whole answer within the bounds, or a
        broken one; the connection is closed then.
        """
        bounds = Bounds(self._timeout, self._max_bytes)
        is_kept = self._connection.sock is not None
        try:
            try:
                return self._exchange(method, path, body, headers, bounds)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if not is_kept:
                    raise
                self._connection.close()
                return self._exchange(method, path, body, headers, bounds)
        except BaseException:
            self._connection.close()
            raise

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], bounds: Bounds
    ) -> tuple[int, bytes]:
        connection = self._connection
        connection.timeout = bounds.time_left()
        if connection.sock is not None:
            connection.sock.settimeout(bounds.time_left())

        class Response(http.client.HTTPResponse):
            def __init__(self, sock: socket.socket, *args: object, **kwargs: object) -> None:
                super().__init__(sock, *args, **kwargs)  # type: ignore[arg-type]
                self.fp = io.BufferedReader(BoundedReader(sock, self.fp, bounds))

        connection.response_class = Response
        connection.request(method, path, body, dict(headers))
        with connection.getresponse() as response:
            try:
                data = response.read()
            except OverflowError:
                # A length or chunk size that no memory can have.
                raise OversizeError(f"the answer has over {self._max_bytes} bytes") from None
            if response.length:
                raise http.client.IncompleteRead(data, response.length)
        return response.status, data
