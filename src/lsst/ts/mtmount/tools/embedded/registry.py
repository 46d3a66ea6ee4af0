"""The embedded schema registry: Confluent's REST interface over HTTP."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from .rest import answer_request, describe_error
from .schema_store import RequestRefusedError, SchemaStore

__all__ = ["MAX_BODY_SIZE", "EmbeddedRegistry"]

LOG = logging.getLogger(__name__)

HOST = "127.0.0.1"

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

#: Longest body of a request [bytes]. The largest SAL schema has some 100 kB.
MAX_BODY_SIZE = 1 << 20

#: Longest Content-Length that is converted to a number [digits].
MAX_LENGTH_DIGITS = 10

#: An idle connection is closed after this [s].
IDLE_TIMEOUT = 60.0

#: How often the server looks whether it is to stop [s].
STOP_INTERVAL = 0.05


class EmbeddedRegistry:
    """A schema registry inside this process. A context manager.

    It listens on a free loopback port. Deleting, references between schemas and
    types other than Avro are not supported.

    Attributes
    ----------
    store : `SchemaStore`
        What the registry knows.
    """

    def __init__(self) -> None:
        self.store = SchemaStore()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """URL of the registry.

        Raises
        ------
        RuntimeError
            If it is not running.
        """
        if self._server is None:
            raise RuntimeError("the embedded registry is not running")
        return f"http://{HOST}:{self._server.server_port}"

    def start(self) -> None:
        """Start to serve.

        Raises
        ------
        RuntimeError
            If it is running already.
        """
        if self._server is not None:
            raise RuntimeError("the embedded registry is running already")
        self._server = _Server(self.store)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(STOP_INTERVAL,), name="embedded registry", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop to serve, and close all connections."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()
        self._server = self._thread = None


class _Server(ThreadingHTTPServer):
    """Serves each connection in a thread; all of them end with the server."""

    # Wait in server_close for the threads of the connections.
    daemon_threads = False

    def __init__(self, store: SchemaStore) -> None:
        self.store = store
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((HOST, 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        # Forgotten first, so that close_connections touches no closed socket.
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End the connections, so that their threads end."""
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError as error:
                    LOG.debug("The client was faster: %s", error)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Called while the exception is handled.
        if isinstance(sys.exception(), ConnectionError):
            LOG.debug("Connection of %s lost", client_address, exc_info=True)
        else:
            LOG.error("Connection of %s failed", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """Reads the requests of one connection and answers them."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "EmbeddedRegistry"
    sys_version = ""
    timeout = IDLE_TIMEOUT
    # Head and body leave in one piece: in two, the second waits for the client
    # to acknowledge the first.
    wbufsize = -1
    disable_nagle_algorithm = True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no proper HTTP, and end the connection."""
        self.close_connection = True
        # Without a proper version the base class takes the client for one of
        # HTTP/0.9, which gets an answer without a head.
        self.request_version = self.protocol_version
        self._send(HTTPStatus(code), describe_error(code, message or HTTPStatus(code).phrase))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log a request."""
        LOG.debug(format, *args)

    def _answer(self) -> None:
        status, answer = HTTPStatus.OK, None
        try:
            answer = answer_request(self.server.store, self.command, self.path, self._read_body())
        except RequestRefusedError as error:
            status, answer = error.status, describe_error(error.error_code, error.message)
        except (OSError, EOFError):
            raise  # The connection is lost: there is nobody to answer.
        except Exception:
            LOG.exception("Cannot answer %s %s", self.command, self.path)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer = describe_error(50001, "Error in the backend data store")
        self._send(status, answer)

    # The base class calls the method that has the request's name.
    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def _read_body(self) -> bytes:
        """Read the body of a request.

        Raises
        ------
        RequestRefusedError
            If its length is not told, or is too much. The connection is then
            to be closed: there is no telling where the next request begins.
        """
        length = self.headers.get("Content-Length", "0")
        error = None
        if "Transfer-Encoding" in self.headers:
            error = RequestRefusedError(HTTPStatus.LENGTH_REQUIRED, 411, "Content-Length is needed")
        elif not (length.isascii() and length.isdigit()):
            error = RequestRefusedError(HTTPStatus.BAD_REQUEST, 400, "Content-Length is no number")
        elif len(length) > MAX_LENGTH_DIGITS or int(length) > MAX_BODY_SIZE:
            error = RequestRefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 413, f"The body has more than {MAX_BODY_SIZE} bytes"
            )
        if error is not None:
            self.close_connection = True
            raise error
        return self.rfile.read(int(length))

    def _send(self, status: HTTPStatus, answer: Any) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
