"""The embedded schema registry: what publishers and readers use of Confluent's REST interface."""

import json
import logging
import re
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

import fastavro

from ...sal.schema_limits import load_schema
from .schema_compatibility import UnknownTypeError, find_conflict

__all__ = ["EmbeddedRegistry"]

LOG = logging.getLogger(__name__)

HOST = "127.0.0.1"
CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

#: Longest body of a request [bytes]; the largest SAL schema has some 100 kB.
MAX_BODY_SIZE = 1 << 20

#: Most brackets in a schema; SAL's largest has some hundred.
MAX_BRACKETS = 10_000

#: An idle connection is closed after this [s].
IDLE_TIMEOUT = 60.0

#: How often the server looks whether it is to stop [s].
STOP_INTERVAL = 0.05


class RequestRefusedError(Exception):
    """A request that the registry refuses: Confluent's code, which begins with the HTTP status, and why."""

    def __init__(self, error_code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.error_code, self.message = int(str(error_code)[:3]), error_code, message


class EmbeddedRegistry:
    """A schema registry inside this process. A context manager.

    It listens on a free loopback port, and answers what registers, looks up
    and reads Avro schemas. Compatibility is ``BACKWARD``, with the latest
    version, unless it is switched off (``NONE``). It is told of what SAL's schemas
    have (primitive types, arrays, records); other ones are refused as a later version.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._texts: list[str] = []  # The schema of id n is element n - 1.
        self._ids: dict[str, int] = {}  # By canonical JSON text.
        self._subjects: dict[str, list[int]] = {}  # Ids; version n is element n - 1.
        self._levels: dict[str, str] = {}
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        if self._server is not None:
            raise RuntimeError("the embedded registry is running already")
        self._server = _Server(self)
        self._server.thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """URL of the registry; RuntimeError if it is not running."""
        if self._server is None:
            raise RuntimeError("the embedded registry is not running")
        return f"http://{HOST}:{self._server.server_port}"

    def close(self) -> None:
        """Stop to serve, and close all connections."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def register(self, subject: str, text: str) -> int:
        """Register a schema, unless it is a version of the subject already; return its id.

        `RequestRefusedError` if it is not an Avro schema, or not compatible with the subject's latest one, or
        if that cannot be told.
        """
        schema, canonical = _parse_schema(text)
        with self._lock:
            schema_id = self._ids.get(canonical)
            versions = self._subjects.get(subject, [])
            if schema_id in versions:
                return schema_id
            if (conflict := self._find_conflict(subject, schema)) is not None:
                message = f"Schema being registered is incompatible with an earlier schema: {conflict}"
                raise RequestRefusedError(409, message)
            if schema_id is None:
                self._texts.append(text)
                schema_id = self._ids[canonical] = len(self._texts)
            self._subjects[subject] = [*versions, schema_id]
            return schema_id

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """Answer a request; return what the answer's JSON holds, or raise `RequestRefusedError`."""
        parts = [unquote(part) for part in path.partition("?")[0].split("/") if part]
        with self._lock:
            match [method, *parts]:
                case ["GET", "subjects"]:
                    return sorted(self._subjects)
                case ["POST", "subjects", subject]:
                    _, canonical = _parse_schema(_get_text(body, "schema", 42201))
                    versions = self._get_versions(subject)
                    if (schema_id := self._ids.get(canonical)) not in versions:
                        raise RequestRefusedError(40403, "Schema not found")
                    return self._describe(subject, versions.index(schema_id) + 1)
                case ["GET", "subjects", subject, "versions"]:
                    return list(range(1, len(self._get_versions(subject)) + 1))
                case ["POST", "subjects", subject, "versions"]:
                    return {"id": self.register(subject, _get_text(body, "schema", 42201))}
                case ["GET", "subjects", subject, "versions", version]:
                    return self._describe(subject, self._read_version(subject, version))
                case ["GET", "schemas", "ids", text]:
                    schema_id = _read_number(text)
                    if not 1 <= schema_id <= len(self._texts):
                        raise RequestRefusedError(40403, f"Schema {text} not found")
                    return {"schema": self._texts[schema_id - 1]}
                case ["POST", "compatibility", "subjects", subject, "versions", "latest"]:
                    schema, _ = _parse_schema(_get_text(body, "schema", 42201))
                    self._get_versions(subject)
                    return {"is_compatible": self._find_conflict(subject, schema) is None}
                case ["PUT", "config", subject]:
                    level = _get_text(body, "compatibility", 42203)
                    if level not in ("BACKWARD", "NONE"):
                        message = f"expected BACKWARD or NONE for compatibility, got {level!r}"
                        raise RequestRefusedError(42203, message)
                    self._levels[subject] = level
                    return {"compatibility": level}
        raise RequestRefusedError(404, "HTTP 404 Not Found")

    def _find_conflict(self, subject: str, schema: Any) -> str | None:
        """Tell what keeps a schema from reading records of the subject's latest one; None if it may."""
        versions = self._subjects.get(subject)
        if not versions or self._levels.get(subject) == "NONE":
            return None
        latest = json.loads(self._texts[versions[-1] - 1])
        try:
            return None if schema == latest else find_conflict(latest, schema)
        except UnknownTypeError as error:
            raise RequestRefusedError(422, f"The schemas cannot be compared: {error}") from None

    def _get_versions(self, subject: str) -> list[int]:
        if subject not in self._subjects:
            raise RequestRefusedError(40401, f"Subject '{subject}' not found.")
        return self._subjects[subject]

    def _read_version(self, subject: str, text: str) -> int:
        num_versions = len(self._get_versions(subject))
        version = num_versions if text == "latest" else _read_number(text)
        if not 1 <= version <= num_versions:
            raise RequestRefusedError(40402, f"Version {text} not found.")
        return version

    def _describe(self, subject: str, version: int) -> dict[str, Any]:
        schema_id = self._subjects[subject][version - 1]
        return {
            "subject": subject,
            "version": version,
            "id": schema_id,
            "schema": self._texts[schema_id - 1],
        }


def _read_number(text: str) -> int:
    """Read a positive number; 0 if the text is not one."""
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,9}", text) else 0


def _get_text(body: bytes, member: str, error_code: int) -> str:
    """Return a text in the JSON object that a body must be."""
    try:
        value = json.loads(body)[member]
    except (ValueError, RecursionError) as error:
        raise RequestRefusedError(400, f"expected JSON, got: {error}") from None
    except (KeyError, TypeError):
        value = None
    if not isinstance(value, str):
        message = f"expected a text for {member}, got {type(value).__name__}"
        raise RequestRefusedError(error_code, message)
    return value


def _parse_schema(text: str) -> tuple[Any, str]:
    """Parse a schema; return it as JSON makes it, and its text with the members in one order."""
    try:
        if text.count("{") + text.count("[") > MAX_BRACKETS:
            raise ValueError(f"expected up to {MAX_BRACKETS} brackets, got more")
        schema = load_schema(text)
        fastavro.parse_schema(schema)
        return schema, json.dumps(schema, sort_keys=True)
    # Whatever fastavro makes of a text that comes from outside.
    except Exception as error:
        message = f"Invalid schema: {type(error).__name__}: {error}"
        raise RequestRefusedError(42201, message) from None


class _Server(ThreadingHTTPServer):
    """Serves each connection in a thread; all of them end with the server."""

    # Wait in server_close for the threads of the connections.
    daemon_threads = False

    def __init__(self, registry: EmbeddedRegistry) -> None:
        self.registry = registry
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((HOST, 0), _Handler)
        self.thread = threading.Thread(
            target=self.serve_forever, args=(STOP_INTERVAL,), name="embedded registry", daemon=True
        )

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        # Forgotten first, so that stop touches no closed socket.
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        """Stop to serve; end the connections, so that their threads end."""
        self.shutdown()
        self.thread.join()
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError as error:
                    LOG.debug("The client was faster: %s", error)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Called while the exception is handled.
        level = logging.DEBUG if isinstance(sys.exception(), ConnectionError) else logging.ERROR
        LOG.log(level, "Connection of %s failed", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """Reads the requests of one connection and answers them."""

    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_TIMEOUT
    # Head and body leave in one piece: in two, the second waits for the client
    # to acknowledge the first.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log a request."""
        LOG.debug(format, *args)

    def _answer(self) -> None:
        try:
            status: int = HTTPStatus.OK
            answer = self.server.registry.answer(self.command, self.path, self._read_body())
        except RequestRefusedError as error:
            status, answer = error.status, {"error_code": error.error_code, "message": error.message}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    # The base class calls the method that has the request's name.
    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if _read_number(length) <= MAX_BODY_SIZE and (length == "0" or _read_number(length)):
            return self.rfile.read(int(length))
        # There is no telling where the next request begins.
        self.close_connection = True
        message = f"expected a Content-Length up to {MAX_BODY_SIZE}, got {length[:20]!r}"
        raise RequestRefusedError(413, message)
