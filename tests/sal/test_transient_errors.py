"""Each row of the table of what passes by itself, and what does not."""

import errno
import http.client
import socket
import ssl
import types

import pytest
from confluent_kafka import KafkaError

from lsst.ts.mtmount.sal import transient_errors
from lsst.ts.mtmount.sal.bounded_http import OversizeError
from lsst.ts.mtmount.sal.transient_errors import (
    is_transient_kafka_error,
    is_transient_network_error,
    is_transient_status,
)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 599])
def test_passing_statuses(status: int) -> None:
    assert is_transient_status(status)


@pytest.mark.parametrize(
    "status", [100, 201, 204, 301, 302, 400, 401, 403, 404, 405, 409, 415, 422, 501, 505, 600]
)
def test_lasting_statuses(status: int) -> None:
    assert not is_transient_status(status)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        BrokenPipeError(errno.EPIPE, "broken pipe"),
        TimeoutError("timed out"),
        TimeoutError(errno.ETIMEDOUT, "timed out"),
        OSError(errno.EHOSTUNREACH, "no route"),
        OSError(errno.ENETUNREACH, "no network"),
        OSError(errno.EMFILE, "too many files"),
        socket.gaierror(socket.EAI_AGAIN, "try again"),
        socket.gaierror(socket.EAI_NONAME, "unknown"),
        socket.gaierror(socket.EAI_FAIL, "failed"),
        ssl.SSLEOFError(),
        ssl.SSLZeroReturnError(),
        http.client.RemoteDisconnected("no answer"),
        http.client.IncompleteRead(b""),
        http.client.BadStatusLine("HTTP"),
        http.client.BadStatusLine(""),
        http.client.BadStatusLine("HTTP/1.1 abc"),
        http.client.LineTooLong("header line"),
        http.client.HTTPException("got more than 100 headers"),
        ValueError("read length must be non-negative or -1"),
    ],
    ids=repr,
)
def test_passing_network_errors(error: Exception) -> None:
    assert is_transient_network_error(error)


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLCertVerificationError("self-signed certificate"),
        ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
        socket.gaierror(socket.EAI_FAMILY, "family"),
        socket.gaierror(socket.EAI_SERVICE, "service"),
        PermissionError(errno.EPERM, "firewall"),
        OSError(errno.EINVAL, "invalid"),
        OversizeError("too large"),
        http.client.BadStatusLine('{"topicID": 6}'),
        http.client.BadStatusLine("220 mail.example.org ESMTP"),
    ],
    ids=repr,
)
def test_lasting_network_errors(error: Exception) -> None:
    assert not is_transient_network_error(error)


@pytest.mark.parametrize("code", sorted(transient_errors.TRANSIENT_KAFKA_ERRORS))
def test_passing_kafka_errors(code: int) -> None:
    assert is_transient_kafka_error(KafkaError(code))


@pytest.mark.parametrize(
    "name",
    [
        "_AUTHENTICATION",
        "SASL_AUTHENTICATION_FAILED",
        "UNSUPPORTED_SASL_MECHANISM",
        "TOPIC_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        "POLICY_VIOLATION",
        "INVALID_CONFIG",
        "TOPIC_EXCEPTION",
        "UNSUPPORTED_VERSION",
        "_INVALID_ARG",
    ],
)
def test_lasting_kafka_errors(name: str) -> None:
    assert not is_transient_kafka_error(KafkaError(getattr(KafkaError, name)))


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (KafkaError._SSL, "SSL handshake failed: certificate verify failed", False),
        (KafkaError._TRANSPORT, "error:0A000086:SSL routines::certificate verify failed", False),
        (KafkaError._TRANSPORT, "error:0A000126:SSL routines::unexpected eof while reading", True),
        (
            KafkaError._SSL,
            "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
            False,
        ),
        (KafkaError._SSL, "SSL handshake failed: Disconnected while reading", True),
    ],
)
def test_kafka_with_tls(code: int, reason: str, expected: bool) -> None:
    error = types.SimpleNamespace(code=lambda: code, str=lambda: reason)
    assert is_transient_kafka_error(error) is expected  # type: ignore[arg-type]
