"""Client of a schema registry that speaks Confluent's REST interface.

Only the calls that a publisher and ``--check`` need. It is synchronous: call it from
a thread. (The client of confluent-kafka takes more memory for its imports: doc/explanation/architecture.md.)
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from ..resilience.escape import describe_error, escape
from .avro_schema import TopicInfo, compute_rev_code, have_same_substance
from .bounded_http import BoundedConnection
from .registry_url import RegistryUrl
from .transient_errors import is_transient_network_error, is_transient_status

__all__ = ["RegisteredSchema", "RegistryError", "RegistryNotReadyError", "SchemaRegistry"]

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

#: Upper bound of an answer [bytes]. The largest schema has some 100 kB.
MAX_RESPONSE = 4 * 1024 * 1024

#: So much of what the registry says is shown in an error [characters], and
#: so much is searched for passwords first: one must not be cut in two.
MAX_SHOWN = 200
MAX_REDACTED = 10_000

#: HTTP statuses of answers that name another address.
REDIRECTIONS = (301, 302, 303, 307, 308)

#: How a registry says that a subject or its version is not there (subject, version, schema). Any other 404
#: is of a wrong path, or of another server.
ABSENT_CODES = (40401, 40402, 40403)


class RegistryError(RuntimeError):
    """The schema registry cannot be reached, or refuses. The text shows no password."""


class RegistryNotReadyError(RegistryError):
    """The schema registry cannot be reached, or is in trouble itself: later it may answer."""


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """What a schema registry knows of the schema of a topic."""

    schema_id: int  #: Id of the schema, for the Confluent framing
    rev_code: str  #: Revision code of that very schema


class SchemaRegistry:
    """Client of a schema registry, over one connection. A context manager.

    Its methods raise `RegistryError` if the registry cannot be reached, refuses, or
    does not answer as it should.

    User name and password in the URL are used for HTTP basic authentication; `ValueError` if it
    cannot be used. ``timeout`` bounds connecting, and each answer as a whole [s]; ``redact`` takes
    further passwords out of what the registry says.
    """

    def __init__(self, url: str, *, timeout: float = 10.0, redact: Callable[[str], str] = str) -> None:
        address = RegistryUrl.parse(url)
        self.url = str(address)
        self._base_path = address.path
        self._headers = {"Accept": f"{CONTENT_TYPE}, application/json", "Content-Type": CONTENT_TYPE}
        self._secrets = address.secrets
        if address.authorization is not None:
            self._headers["Authorization"] = address.authorization
        self._redact = redact
        self._connection = BoundedConnection(
            address.host,
            address.port,
            is_tls=address.scheme == "https",
            timeout=timeout,
            max_bytes=MAX_RESPONSE,
        )

    def __repr__(self) -> str:
        return f"SchemaRegistry({self.url!r})"

    def __enter__(self) -> SchemaRegistry:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    def provide_schema(self, topic: TopicInfo, subject: str, *, is_exact: bool) -> RegisteredSchema:
        """Get the id of a topic's schema; register the schema if need be.

        If the schema is not exactly the observatory's, and the subject's latest one
        differs from it in descriptions only, that one serves: a shared registry gets no
        needless version.
        """
        schema = topic.avro_schema()
        if not is_exact:
            latest = self.get_latest(subject)
            try:
                if latest is not None and have_same_substance(latest[1], schema):
                    return RegisteredSchema(latest[0], compute_rev_code(latest[1]))
            except RecursionError:
                raise self._reject(f"gave a schema for {subject} that is nested too deeply", "") from None
        return RegisteredSchema(self.register(subject, schema), topic.rev_code)

    def get_latest(self, subject: str) -> tuple[int, Any] | None:
        """Return id and content of a subject's latest schema, None if it has none."""
        status, answer = self._request("GET", f"/subjects/{quote(subject, safe='')}/versions/latest")
        if status == http.HTTPStatus.NOT_FOUND and _is_absent(answer):
            return None
        self._expect_ok(status, answer, f"tell the latest schema of {subject}")
        try:
            return _read_id(answer), json.loads(answer["schema"])
        except (KeyError, TypeError, ValueError, RecursionError):
            raise self._reject(f"gave no schema for {subject}", answer) from None

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """Register a schema, or find it if it is there, and return its id."""
        status, answer = self._request(
            "POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": json.dumps(schema)}
        )
        self._expect_ok(status, answer, f"register the schema of {subject}")
        try:
            return _read_id(answer)
        except (KeyError, TypeError, ValueError):
            raise self._reject(f"gave no schema id for {subject}", answer) from None

    def is_compatible(self, subject: str, schema: Mapping[str, Any]) -> bool:
        """Ask whether a schema could be registered after a subject's latest one; it is not registered."""
        status, answer = self._request(
            "POST",
            f"/compatibility/subjects/{quote(subject, safe='')}/versions/latest",
            {"schema": json.dumps(schema)},
        )
        action = f"compare the schema of {subject}"
        self._expect_ok(status, answer, action)
        if not isinstance(answer, dict) or not isinstance(answer.get("is_compatible"), bool):
            raise self._reject(f"did not {action}", answer)
        is_compatible: bool = answer["is_compatible"]
        return is_compatible

    def _expect_ok(self, status: int, answer: Any, action: str) -> None:
        if status != http.HTTPStatus.OK:
            message = answer.get("message") if isinstance(answer, dict) else answer
            kind = RegistryNotReadyError if is_transient_status(status) else RegistryError
            shown = self._show(message or "") or "without a text"
            raise kind(f"The schema registry {self.url} did not {action}: HTTP status {status}, {shown}")

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Send one request; return the status and the answer's JSON (or text, if it is none).

        Of a redirection, the text says where it leads.
        """
        content = None if body is None else json.dumps(body).encode()
        try:
            status, data, location = self._connection.request(
                method, f"{self._base_path}{path}", content, self._headers
            )
        except (OSError, ValueError, http.client.HTTPException) as error:
            kind = RegistryNotReadyError if is_transient_network_error(error) else RegistryError
            raise kind(f"The schema registry {self.url} cannot be reached: {self._describe(error)}") from None
        if location and status in REDIRECTIONS:
            return status, f"redirected to {_hide_secrets(location)}"
        try:
            return status, json.loads(data)
        except (ValueError, RecursionError):
            return status, data.decode(errors="replace")

    def _describe(self, error: Exception) -> str:
        """Say what went wrong, and what to do about it where that is known."""
        match error:
            case http.client.RemoteDisconnected():
                return "it closed the connection without an answer (is that Kafka's address?)"
            case http.client.BadStatusLine() if not is_transient_network_error(error):
                return f"expected HTTP, got {self._show(error)} (is LSST_SCHEMA_REGISTRY_URL the registry's?)"
            case ssl.SSLError() if "WRONG_VERSION_NUMBER" in str(error):
                return "expected TLS, got something else: is it http:// instead of https://?"
            case socket.gaierror():
                return f"{urlsplit(self.url).hostname}: {error.strerror}"
            case http.client.IncompleteRead():
                return "the answer was cut off"
            case OSError():
                return self._show(describe_error(error))
        return self._show(str(error) or type(error).__name__)

    def _reject(self, action: str, answer: Any) -> RegistryNotReadyError:
        """Make the error for an answer of status 200 that cannot be used: later there may be a better one."""
        return RegistryNotReadyError(
            f"The schema registry {self.url} {action}: {self._show(answer) or 'nothing'}"
        )

    def _show(self, answer: Any) -> str:
        """Return the beginning of what the registry said, as it may be shown."""
        text = self._redact(str(answer)[:MAX_REDACTED])
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return escape(text, MAX_SHOWN)


def _is_absent(answer: Any) -> bool:
    """Return whether an answer of status 404 is a registry's, about what it does not have."""
    return isinstance(answer, dict) and answer.get("error_code") in ABSENT_CODES


def _hide_secrets(location: str) -> str:
    """Take the user, the password, and query and fragment, which may hold a token, out of a URL.

    What is before the last "@" may be a password, whatever its characters: rather hide too much.
    """
    scheme, slashes, rest = location.partition("//")
    _, user, rest = rest.rpartition("@")
    return f"{scheme}{slashes}{'***@' if user else ''}{rest}".partition("?")[0].partition("#")[0]


def _read_id(answer: Any) -> int:
    """Return the schema id in an answer; it must fit into the Confluent framing."""
    schema_id = answer["id"]
    if type(schema_id) is not int or not 0 <= schema_id < 2**31:
        raise ValueError("no schema id")
    return schema_id
