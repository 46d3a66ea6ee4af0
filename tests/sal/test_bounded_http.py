"""Servers that send too slowly, too much, too little, or something else."""

import functools
import gzip
import itertools
import re
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest

from lsst.ts.mtmount.sal import RegistryError, SchemaRegistry
from lsst.ts.mtmount.sal.schema_registry import MAX_RESPONSE, RegistryNotReadyError

from ..thread_server import serve

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
TIMEOUT = 0.3

#: How long a bounded request may take on a busy computer [s].
LONG = 60.0


def receive_request(connection: socket.socket) -> None:
    """Receive a request whole: to close with bytes unread would reset the connection."""
    request = b""
    # TLS begins with 0x16, and is no request.
    while b"\r\n\r\n" not in request and not request.startswith(b"\x16"):
        request += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = request.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    length = int(found[1]) if found else 0
    while len(body) < length and (data := connection.recv(65536)):
        body += data


@contextmanager
def server(send: Callable[[], Iterable[bytes]]) -> Iterator[str]:
    """Serve one connection at a time with pieces of an answer; then close it. Gives the URL."""
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.settimeout(LONG)
        receive_request(connection)
        for piece in send():
            connection.sendall(piece)
            if ended.is_set():
                return

    with serve(answer) as port:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            ended.set()


def trickle(text: bytes) -> Iterator[bytes]:
    """Send a byte now and then, each long before a time-out."""
    for byte in itertools.cycle(text):
        yield bytes([byte])
        time.sleep(TIMEOUT / 10)


def ask(url: str, timeout: float = TIMEOUT) -> tuple[RegistryError, int]:
    """Register a schema, which must fail in bounded time; return the error and the peak of memory [bytes]."""
    begin = time.monotonic()
    tracemalloc.start()
    try:
        with SchemaRegistry(url, timeout=timeout) as registry, pytest.raises(RegistryError) as raised:
            registry.register("subject", {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begin < timeout + LONG
    assert url in str(raised.value)
    assert len(str(raised.value)) < 1000
    return raised.value, peak


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda: trickle(b"H"), id="head, a byte at a time"),
        pytest.param(
            lambda: itertools.chain([HEAD + b"Content-Length: 99\r\n\r\n"], trickle(b" ")), id="body"
        ),
        pytest.param(
            lambda: itertools.chain([HEAD, b"Content-Length: 2\r\n"], trickle(b"X: y\r\n")), id="header lines"
        ),
        pytest.param(lambda: itertools.chain([CHUNKED, b"0\r\n"], trickle(b"X: y\r\n")), id="trailers"),
        pytest.param(lambda: itertools.chain([CHUNKED], trickle(b"1\r\n \r\n")), id="chunks"),
        pytest.param(lambda: trickle(b"HTTP/1.1 100 Continue\r\n\r\n"), id="100 Continue"),
    ],
)
def test_time_is_bounded(send: Callable[[], Iterable[bytes]]) -> None:
    with server(send) as url:
        error, _ = ask(url)
    assert isinstance(error, RegistryNotReadyError)


#: Sizes that memory may have, may not, and that are no size of memory [bytes].
HUGE_SIZES = (10**9, 10**14, 2**62, 10**20)


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda: itertools.repeat(100 * b"HTTP/1.1 100 Continue\r\n\r\n"), id="100 Continue"),
        pytest.param(
            lambda: itertools.chain([CHUNKED, b"0\r\n"], itertools.repeat(100 * b"X: y\r\n")), id="trailers"
        ),
        pytest.param(
            lambda: itertools.chain([CHUNKED, b"-1\r\n"], itertools.repeat(65536 * b"x")), id="chunk of -1"
        ),
        pytest.param(
            lambda: itertools.chain([CHUNKED], itertools.repeat(10_000 * b"1\r\nx\r\n")), id="tiny chunks"
        ),
        *(
            pytest.param(
                functools.partial(list, [HEAD, b"Content-Length: %d\r\n\r\nx" % size]), id=f"length of {size}"
            )
            for size in HUGE_SIZES
        ),
        *(
            pytest.param(functools.partial(list, [CHUNKED, b"%x\r\nx" % size]), id=f"chunk of {size}")
            for size in HUGE_SIZES
        ),
        pytest.param(
            lambda: itertools.chain([HEAD, b"\r\n"], itertools.repeat(65536 * b"x")), id="until the end"
        ),
    ],
)
def test_bytes_are_bounded(send: Callable[[], Iterable[bytes]]) -> None:
    with server(send) as url:
        error, peak = ask(url, timeout=60.0)
    # From Python 3.14 on, http.client counts headers by itself, and reads a huge length piece by piece.
    assert re.search(rf"over {MAX_RESPONSE} bytes|got more than 100 |the answer was cut off", str(error))
    assert peak < 5 * MAX_RESPONSE


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.", id="cut status line"),
        pytest.param(HEAD + b"Content-Le", id="cut head"),
        pytest.param(HEAD + b'Content-Length: 99\r\n\r\n{"id": 1', id="cut body"),
        pytest.param(CHUNKED + b'20\r\n{"id": 1', id="cut chunk"),
        pytest.param(CHUNKED + b"-5\r\nxxxxx\r\n", id="chunk of -5"),
        pytest.param(CHUNKED + b"zz\r\n", id="chunk of zz"),
        pytest.param(HEAD + b"Content-Length: 0\r\n\r\n", id="empty"),
        pytest.param(HEAD + b"Content-Length: 6\r\n\r\n<html>", id="HTML"),
        pytest.param(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(10**8)), id="gzip bomb"),
        pytest.param(HEAD + b"\r\n" + b'{"id": ' + 5000 * b"9" + b"}", id="huge id"),
        pytest.param(HEAD + b"\r\n" + 50_000 * b"[", id="deep nesting"),
        pytest.param(HEAD + 200 * b"X: y\r\n" + b"\r\n{}", id="many headers"),
        pytest.param(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", id="408"),
        pytest.param(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", id="429"),
    ],
)
def test_a_broken_answer_means_not_ready(answer: bytes) -> None:
    with server(lambda: [answer]) as url:
        error, _ = ask(url)
    assert isinstance(error, RegistryNotReadyError), error


def test_redirections_are_not_followed() -> None:
    with server(lambda: [b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"]) as url:
        error, _ = ask(url)
    assert not isinstance(error, RegistryNotReadyError)
    assert "HTTP status 302" in str(error)


def test_an_answer_may_end_with_the_connection() -> None:
    with server(lambda: [HEAD, b"\r\n", b'{"id"', b": 12}"]) as url, SchemaRegistry(url) as registry:
        assert [registry.register("subject", {}) for _ in range(2)] == [12, 12]


def test_the_tma_in_the_place_of_the_registry() -> None:
    frame = b'{"topicID": 6, "timestamp": ' + 5000 * b"1" + b"}\r\n"
    with server(lambda: [frame]) as url:
        error, _ = ask(url)
    text = str(error)
    assert not isinstance(error, RegistryNotReadyError)
    assert 'expected HTTP, got {"topicID": 6' in text
    assert "is LSST_SCHEMA_REGISTRY_URL the registry's?" in text


def test_http_in_the_place_of_https() -> None:
    with server(lambda: [b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as url:
        error, _ = ask(url.replace("http:", "https:"))
    assert "is it http:// instead of https://?" in str(error)
