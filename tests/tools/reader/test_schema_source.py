"""How a registry is asked for schemas that wants a password, or fails."""

import base64
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from lsst.ts.mtmount.tools.reader import schema_source
from lsst.ts.mtmount.tools.reader.record_schema import RecordSchema, SchemaError, parse_record_schema
from lsst.ts.mtmount.tools.reader.schema_source import RegistryUnavailableError, SchemaSource

TIMEOUT = 60
SCHEMA = {"type": "record", "name": "brake", "fields": [{"name": "pressure", "type": "double"}]}
#: With characters that must be escaped in a URL.
USER, PASSWORD = "rëader", "p@ss/wo:rd"


class GuardedRegistry(ThreadingHTTPServer):
    """Gives schema 5 to who knows the password, and nothing else."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), GuardedRegistryHandler)
        self.requests: list[str] = []
        self.asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.is_open = True

    def make_url(self, credentials: str) -> str:
        return f"http://{credentials}127.0.0.1:{self.server_port}/base/"


class GuardedRegistryHandler(BaseHTTPRequestHandler):
    server: GuardedRegistry

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.server.asked.put(self.path)
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self.send_error(401)
        elif self.path == "/base/schemas/ids/5":
            self.answer(200, json.dumps({"schema": json.dumps(SCHEMA)}).encode())
        else:
            self.answer(404, json.dumps({"error_code": 40403, "message": "Schema not found"}).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep the test's output clean."""


@pytest.fixture
def registry() -> Iterator[GuardedRegistry]:
    with GuardedRegistry() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(TIMEOUT)


@pytest.fixture
def open_source() -> Iterator[Callable[..., SchemaSource]]:
    """Make sources that are closed at the end."""
    sources = []

    def make(url: str, **options: float) -> SchemaSource:
        sources.append(SchemaSource(url, **options))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


def test_a_password_in_the_url(registry: GuardedRegistry, open_source: Callable[..., SchemaSource]) -> None:
    source = open_source(registry.make_url("r%C3%ABader:p%40ss%2Fwo%3Ard@"))
    for _ in range(2):
        assert json.loads(source.get(5).text) == SCHEMA
    # Asked once.
    assert registry.requests == ["/base/schemas/ids/5"]


@pytest.mark.parametrize("credentials", ["", "somebody@", "somebody:secret@"])
def test_no_password_or_a_wrong_one(
    registry: GuardedRegistry, open_source: Callable[..., SchemaSource], credentials: str
) -> None:
    source = open_source(registry.make_url(credentials))
    with pytest.raises(RegistryUnavailableError, match="401") as caught:
        source.get(5)
    assert "secret" not in str(caught.value)


def test_what_it_does_not_know_is_not_asked_for_again(
    registry: GuardedRegistry, open_source: Callable[..., SchemaSource]
) -> None:
    source = open_source(registry.make_url("r%C3%ABader:p%40ss%2Fwo%3Ard@"), retry_interval=3600)
    for _ in range(3):
        with pytest.raises(SchemaError, match="404"):
            source.get(6)
    # Other schemas are.
    assert json.loads(source.get(5).text) == SCHEMA
    assert registry.requests == ["/base/schemas/ids/6", "/base/schemas/ids/5"]


def test_without_an_interval_it_is_asked_again(
    registry: GuardedRegistry, open_source: Callable[..., SchemaSource]
) -> None:
    source = open_source(registry.make_url("r%C3%ABader:p%40ss%2Fwo%3Ard@"))
    for _ in range(2):
        with pytest.raises(SchemaError, match="404"):
            source.get(6)
    assert len(registry.requests) == 2


def test_a_registry_that_is_away_is_left_alone(open_source: Callable[..., SchemaSource]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), GuardedRegistryHandler) as gone:
        port = gone.server_port
    source = open_source(f"http://127.0.0.1:{port}", retry_interval=3600)
    with pytest.raises(RegistryUnavailableError, match="refused"):
        source.get(5)
    # Whatever the schema: it is not even noticed that somebody listens there again.
    with ThreadingHTTPServer(("127.0.0.1", port), GuardedRegistryHandler):
        for schema_id in (5, 6):
            with pytest.raises(RegistryUnavailableError, match="refused"):
                source.get(schema_id)


def test_an_answer_that_trickles_is_given_up(open_source: Callable[..., SchemaSource]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        is_over = threading.Event()

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not is_over.wait(0.02):
                    connection.sendall(b"x")

        thread = threading.Thread(target=trickle)
        thread.start()
        source = open_source(f"http://127.0.0.1:{server.getsockname()[1]}", timeout=0.3)
        try:
            with pytest.raises(RegistryUnavailableError, match="no whole answer within 0.3 s"):
                source.get(5)
        finally:
            is_over.set()
            thread.join(TIMEOUT)


class ChangingRegistry(GuardedRegistry):
    """Gives what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = ChangingRegistryHandler
        self.status, self.body = 200, b""


class ChangingRegistryHandler(GuardedRegistryHandler):
    server: ChangingRegistry

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.answer(self.server.status, self.server.body)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"<html>", RegistryUnavailableError),
        (200, b"{}", RegistryUnavailableError),
        (200, b'{"schema": "{}"}', SchemaError),
        # As a registry, and as others where there is none.
        (404, b'{"error_code": 40403, "message": "Schema 5 not found"}', SchemaError),
        (404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}', RegistryUnavailableError),
        (404, b"<html>", RegistryUnavailableError),
        (404, b"[" * 100_000, RegistryUnavailableError),
    ],
)
def test_a_bad_answer_is_remembered_for_some_time_only(
    status: int,
    body: bytes,
    kind: type[Exception],
    open_source: Callable[..., SchemaSource],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(schema_source, "time", SimpleNamespace(monotonic=lambda: now))
    with ChangingRegistry() as server:
        server.status, server.body = status, body
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        source = open_source(f"http://127.0.0.1:{server.server_port}", retry_interval=10)
        try:
            for _ in range(2):
                with pytest.raises(kind):
                    source.get(5)
            assert len(server.requests) == 1
            server.status, server.body = 200, json.dumps({"schema": json.dumps(SCHEMA)}).encode()
            now += 10.1
            assert json.loads(source.get(5).text) == SCHEMA
        finally:
            source.close()
            server.shutdown()
            thread.join(TIMEOUT)


def test_what_is_kept_is_bounded(
    registry: GuardedRegistry, open_source: Callable[..., SchemaSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_source, "MAX_KEPT", 3)
    source = open_source(registry.make_url("r%C3%ABader:p%40ss%2Fwo%3Ard@"), retry_interval=3600)
    for schema_id in range(10, 20):
        with pytest.raises(SchemaError):
            source.get(schema_id)
    assert len(source._failures) == 3


def test_the_thread_goes_on_after_any_error(
    registry: GuardedRegistry, open_source: Callable[..., SchemaSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[Exception] = [MemoryError()]

    def parse(text: str) -> RecordSchema:
        if errors:
            raise errors.pop()
        return parse_record_schema(text)

    now = time.monotonic()
    monkeypatch.setattr(schema_source, "parse_record_schema", parse)
    monkeypatch.setattr(schema_source, "time", SimpleNamespace(monotonic=lambda: now))
    source = open_source(registry.make_url("r%C3%ABader:p%40ss%2Fwo%3Ard@"), retry_interval=10)
    for schema_id in (5, 6):
        assert source.find(schema_id) is None
    # One is asked for after the other.
    assert [registry.asked.get(timeout=TIMEOUT)[-1] for _ in range(2)] == ["5", "6"]
    with pytest.raises(RegistryUnavailableError, match="registry's answer, got MemoryError"):
        source.find(5)
    now += 10.1
    for schema_id in (5, 7):
        assert source.find(schema_id) is None
    assert [registry.asked.get(timeout=TIMEOUT)[-1] for _ in range(2)] == ["5", "7"]
    assert (schema := source.find(5)) is not None
    assert json.loads(schema.text) == SCHEMA
