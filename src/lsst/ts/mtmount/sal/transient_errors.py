"""Which errors are transient, so that waiting helps, and which are not: one classification.

========================================  ======================================================
transient                                 not
========================================  ======================================================
HTTP 408, 425, 429, 5xx but 501 and 505   any other HTTP status
an answer that is cut, empty or too slow  an answer too large, or of no HTTP server
a name that is not (yet) known            an address family or service that does not exist
refused, reset, unreachable, timed out    forbidden by a firewall
a TLS handshake that was cut              a certificate, or no TLS
`TRANSIENT_KAFKA_ERRORS`                  authentication, authorisation, any other error of Kafka
========================================  ======================================================
"""

import errno
import http.client
import socket
import ssl
from http import HTTPStatus

from confluent_kafka import KafkaError

from .bounded_http import OversizeError

__all__ = ["is_tls_error", "is_transient_kafka_error", "is_transient_network_error", "is_transient_status"]

TRANSIENT_STATUSES = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
LASTING_SERVER_STATUSES = frozenset({HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED})

#: A service's name may become known when the service starts.
TRANSIENT_NAME_ERRORS = frozenset(
    {socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_FAIL, socket.EAI_NODATA, socket.EAI_SYSTEM}
)

TRANSIENT_OS_ERRORS = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EPIPE,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.EADDRNOTAVAIL,
        errno.EAGAIN,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
    }
)

TRANSIENT_KAFKA_ERRORS = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
    }
)


def is_transient_status(status: int) -> bool:
    """Return whether a later request may have another status."""
    is_server_error = HTTPStatus.INTERNAL_SERVER_ERROR <= status < 600
    return status in TRANSIENT_STATUSES or (is_server_error and status not in LASTING_SERVER_STATUSES)


def is_transient_network_error(error: Exception) -> bool:
    """Return whether an HTTP request that failed with this error may succeed later."""
    match error:
        case OversizeError():
            return False
        case http.client.RemoteDisconnected() | http.client.IncompleteRead():
            return True
        case http.client.BadStatusLine():
            # The beginning of an answer, or that of something else?
            return "HTTP/".startswith(str(error).lstrip("'\"")[:5])
        case ssl.SSLCertVerificationError():
            return False
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | TimeoutError():
            return True
        case ssl.SSLError():
            return False
        case socket.gaierror():
            return error.errno in TRANSIENT_NAME_ERRORS
        case OSError():
            return error.errno in TRANSIENT_OS_ERRORS
    # http.client's other complaints about an answer.
    return isinstance(error, http.client.HTTPException | ValueError)


def is_tls_error(error: KafkaError) -> bool:
    """Return whether TLS failed. librdkafka may call that a failed transport, by the moment it is noticed."""
    return error.code() == KafkaError._SSL or "certificate verify failed" in error.str()


def is_transient_kafka_error(error: KafkaError) -> bool:
    """Return whether a question to Kafka that failed with this error may succeed later."""
    if is_tls_error(error):
        # A broker that is starting or ending cuts the handshake.
        return "isconnected" in error.str() and "PLAINTEXT" not in error.str()
    return error.code() in TRANSIENT_KAFKA_ERRORS
