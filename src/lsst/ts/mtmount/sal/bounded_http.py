"""HTTP whose answers are bounded as a whole, in time and in bytes, whatever the server sends."""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Answer", "BoundedConnection", "OversizeError"]


class OversizeError(http.client.HTTPException):
    """An answer has too many bytes."""


class Answer(NamedTuple):
    """An answer to an HTTP request."""

    status: int
    body: bytes
    location: str  #: Where a redirection leads, which is not followed; empty if there is none


class BoundedConnection:
    """A connection to an HTTP server, made on demand and kept.

    The resolver of names has no time-out. Call this in a thread that nobody needs to wait for.
    ``timeout`` bounds connecting, and each request with its whole answer [s]; ``max_bytes`` an
    answer, head and framing included [bytes].
    """

    def __init__(self, host: str, port: int | None, *, is_tls: bool, timeout: float, max_bytes: int) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        # Of the request that is under way.
        self._deadline = 0.0
        self._num_bytes = 0
        self._connection: http.client.HTTPConnection
        if is_tls:
            self._connection = http.client.HTTPSConnection(
                host, port, timeout=timeout, context=ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        self._connection.response_class = self._make_response  # type: ignore[assignment]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Send a request and return the answer.

        A request on a kept connection that the server has ended is sent once
        more, so it must be one that may be repeated. `OSError`, `ValueError` or
        `http.client.HTTPException` if there is no whole answer within the bounds, or a
        broken one; the connection is closed then.
        """
        self._deadline = time.monotonic() + self._timeout
        is_kept = self._connection.sock is not None
        try:
            try:
                return self._exchange(method, path, body, headers)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if not is_kept:
                    raise
                self._connection.close()
                return self._exchange(method, path, body, headers)
        except BaseException:
            self._connection.close()
            raise

    def receive_into(self, sock: socket.socket, buffer: memoryview) -> int:
        """Receive a part of the answer within what is left of the bounds."""
        try:
            sock.settimeout(self._time_left())
            num_bytes = sock.recv_into(buffer)
        except TimeoutError:
            raise TimeoutError(f"no whole answer within {self._timeout:g} s") from None
        self._num_bytes += num_bytes
        if self._num_bytes > self._max_bytes:
            raise OversizeError(f"the answer has over {self._max_bytes} bytes")
        return num_bytes

    def _time_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no whole answer within {self._timeout:g} s")
        return left

    def _make_response(self, sock: socket.socket, **options: Any) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(sock, **options)
        response.fp = io.BufferedReader(_BoundedReader(self, sock, response.fp))
        return response

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = self._connection
        self._num_bytes = 0
        connection.timeout = self._time_left()
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        connection.request(method, path, body, dict(headers))
        with connection.getresponse() as response:
            if (response.length or 0) > self._max_bytes:
                raise OversizeError(f"the answer has over {self._max_bytes} bytes")
            # Not more, whatever a chunk announces: memory for that is taken before it comes.
            data = response.read(self._max_bytes)
            if response.length:
                raise http.client.IncompleteRead(data, response.length)
        return Answer(response.status, data, response.getheader("Location", ""))


class _BoundedReader(io.RawIOBase):
    """Reads an answer for `http.client`. Framing, trailers and interim answers count, too."""

    def __init__(self, connection: BoundedConnection, sock: socket.socket, file: io.BufferedIOBase) -> None:
        self._connection = connection
        self._socket = sock
        # While this file of it is open, the socket is, also if the connection was closed.
        self._file = file

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._connection.receive_into(self._socket, buffer)
