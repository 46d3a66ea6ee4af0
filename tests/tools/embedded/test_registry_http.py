"""The embedded registry, as clients see it that do not mean well."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from lsst.ts.mtmount.tools.embedded import EmbeddedRegistry
from lsst.ts.mtmount.tools.embedded.registry import CONTENT_TYPE, MAX_BODY_SIZE

TIMEOUT = 10


@pytest.fixture
def address(registry: EmbeddedRegistry) -> tuple[str, int]:
    host, _, port = registry.url.removeprefix("http://").partition(":")
    return host, int(port)


@pytest.fixture
def connection(address: tuple[str, int]) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT)
    yield connection
    connection.close()


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
) -> tuple[int, Any]:
    connection.request(method, path, body)
    response = connection.getresponse()
    assert response.headers["Content-Type"] == CONTENT_TYPE
    return response.status, json.loads(response.read())


def converse(address: tuple[str, int], request: bytes) -> tuple[int, Any]:
    """Send plain bytes, and read until the server closes."""
    with socket.create_connection(address, timeout=TIMEOUT) as sock:
        sock.sendall(request)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nonsense", 404),
        ("GET", "/subjects/a/b/c", 404),
        ("GET", "//", 200),
        ("GET", "/subjects/", 200),
        ("GET", "/schemas/ids/x", 404),
        ("GET", "/schemas/ids/-1", 404),
        ("GET", "/schemas/ids/1e3", 404),
        ("GET", "/schemas/ids/" + "9" * 5000, 404),
        ("GET", "/schemas/ids/%D9%A1", 404),
        ("GET", "/subjects/%ff%fe/versions", 404),
        ("DELETE", "/subjects/a", 405),
        ("POST", "/subjects", 405),
        ("PATCH", "/subjects", 501),
    ],
)
def test_odd_requests(connection: http.client.HTTPConnection, method: str, path: str, status: int) -> None:
    answered, answer = exchange(connection, method, path)
    assert answered == status
    if status != 200:
        assert isinstance(answer["error_code"], int)
        assert answer["message"]


def test_odd_target(address: tuple[str, int]) -> None:
    request = b"GET http://[/subjects HTTP/1.1\r\nConnection: close\r\n\r\n"
    assert converse(address, request) == (400, {"error_code": 400, "message": "Invalid IPv6 URL"})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b"9" * 10_000, 400),
        (b"{}", 422),
        (b'{"schema": 3}', 422),
        (b'{"schema": null}', 422),
        (b'{"schema": "\\ud800"}', 422),
        (b'{"schema": "\\"int\\"", "references": [{"name": "a"}]}', 422),
    ],
)
def test_odd_bodies(connection: http.client.HTTPConnection, body: bytes, status: int) -> None:
    for path in ("/subjects/a/versions", "/subjects/a", "/compatibility/subjects/a/versions/latest"):
        answered, answer = exchange(connection, "POST", path, body)
        assert answered == status
        assert answer["message"]
    assert exchange(connection, "GET", "/subjects") == (200, [])


@pytest.mark.parametrize("body", [b"", b"3", b"{}", b'{"compatibility": 3}', b'{"compatibility": "X"}'])
def test_odd_levels(connection: http.client.HTTPConnection, body: bytes) -> None:
    status, _ = exchange(connection, "PUT", "/config", body)
    assert status in (400, 422)
    assert exchange(connection, "GET", "/config") == (200, {"compatibilityLevel": "BACKWARD"})


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: %d\r\n" % (MAX_BODY_SIZE + 1), 413),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n", 413),
        (b"Content-Length: -1\r\n", 400),
        (b"Content-Length: 0x10\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n", 411),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", 411),
    ],
)
def test_bodies_of_no_proper_length(address: tuple[str, int], head: bytes, status: int) -> None:
    answered, answer = converse(address, b"POST /subjects/a HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
    assert answered == status
    assert answer["error_code"] == status


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", 431),
    ],
)
def test_no_proper_http(address: tuple[str, int], request_bytes: bytes, status: int) -> None:
    try:
        answered, answer = converse(address, request_bytes)
    except ConnectionResetError:
        # The server closed while some of the request was still on its way.
        assert len(request_bytes) > 65536
        return
    assert answered == status
    assert answer["error_code"] == status


def test_one_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    assert exchange(connection, "GET", "/") == (200, {})
    sock = connection.sock
    schema = json.dumps({"schema": '"int"'}).encode()
    assert exchange(connection, "POST", "/subjects/a/versions", schema)[1]["id"] == 1
    assert exchange(connection, "POST", "/subjects/a", b"{")[0] == 400
    assert exchange(connection, "GET", "/schemas/types") == (200, ["AVRO"])
    assert exchange(connection, "GET", "/mode") == (200, {"mode": "READWRITE"})
    assert exchange(connection, "GET", "/schemas/ids/1/schema") == (200, "int")
    assert exchange(connection, "GET", "/subjects/a/versions/-1/schema") == (200, "int")
    assert exchange(connection, "GET", "/config/a?defaultToGlobal=true")[0] == 200
    bad = json.dumps({"schema": '"string"'}).encode()
    assert exchange(connection, "POST", "/compatibility/subjects/a/versions?verbose=True", bad) == (
        200,
        {"is_compatible": False, "messages": ["/: string does not read int"]},
    )
    assert connection.sock is sock


def test_close_ends_idle_connections(address: tuple[str, int], registry: EmbeddedRegistry) -> None:
    with socket.create_connection(address, timeout=TIMEOUT) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        registry.close()
        assert sock.recv(1) == b""
    with pytest.raises(RuntimeError, match="not running"):
        _ = registry.url
    registry.close()


def test_starts_once(registry: EmbeddedRegistry) -> None:
    with pytest.raises(RuntimeError, match="already"):
        registry.start()
