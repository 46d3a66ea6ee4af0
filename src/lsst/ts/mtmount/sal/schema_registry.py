"""Client of a schema registry that speaks Confluent's REST interface.

Only the two calls that a publisher needs. It is synchronous: call it from a
thread. (The client of confluent-kafka imports 24 MB of other packages.)
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from .schema import TopicInfo, compute_rev_code, have_same_substance

__all__ = ["RegisteredSchema", "RegistryError", "RegistryNotReadyError", "SchemaRegistry", "redact_url"]

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

#: Upper bound of an answer [bytes]. The largest schema has some 100 kB.
MAX_RESPONSE = 4 * 1024 * 1024

#: Much of an answer that is no JSON is shown in an error [characters].
MAX_SHOWN = 200


class RegistryError(RuntimeError):
    """The schema registry cannot be reached, or refuses. The text shows no password."""


class RegistryNotReadyError(RegistryError):
    """The schema registry cannot be reached, or is in trouble itself: later it may answer."""


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """What a schema registry knows of the schema of a topic.

    Parameters
    ----------
    schema_id
        Id of the schema, for the Confluent framing.
    rev_code
        Revision code of that very schema.
    """

    schema_id: int
    rev_code: str


def redact_url(url: str) -> str:
    """Return a URL without user name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class SchemaRegistry:
    """Client of a schema registry, over one connection. A context manager.

    Parameters
    ----------
    url
        URL of the registry. User name and password in it are used for HTTP
        basic authentication.
    timeout
        Upper bound for each step of a request [s].
    """

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        self.url = redact_url(url).rstrip("/")
        self._base_path = parts.path.rstrip("/")
        self._headers = {"Accept": f"{CONTENT_TYPE}, application/json", "Content-Type": CONTENT_TYPE}
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        if parts.hostname is None:
            raise RegistryError(f"{self.url} names no host")
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout, context=ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def __repr__(self) -> str:
        return f"SchemaRegistry({self.url!r})"

    def __enter__(self) -> SchemaRegistry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def provide_schema(self, topic: TopicInfo, subject: str, *, is_exact: bool) -> RegisteredSchema:
        """Get the id of a topic's schema; register the schema if need be.

        Parameters
        ----------
        topic
            The topic.
        subject
            Subject of the topic's schema.
        is_exact
            Is the schema exactly the observatory's? If not, and the subject's
            latest schema differs from it in descriptions only, that one
            serves: a shared registry gets no needless version.

        Raises
        ------
        RegistryError
            If the registry cannot be reached, or refuses the schema.
        """
        schema = topic.avro_schema()
        if not is_exact:
            latest = self.get_latest(subject)
            if latest is not None and have_same_substance(latest[1], schema):
                return RegisteredSchema(latest[0], compute_rev_code(latest[1]))
        return RegisteredSchema(self.register(subject, schema), topic.rev_code)

    def get_latest(self, subject: str) -> tuple[int, Any] | None:
        """Return id and content of a subject's latest schema, None if it has none.

        Raises
        ------
        RegistryError
            If the registry cannot be reached, or does not answer as it should.
        """
        status, answer = self._request("GET", f"/subjects/{quote(subject, safe='')}/versions/latest")
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        self._expect_ok(status, answer, f"tell the latest schema of {subject}")
        try:
            return _read_id(answer), json.loads(answer["schema"])
        except (KeyError, TypeError, ValueError, RecursionError):
            raise RegistryError(f"{self.url} gave no schema for {subject}: {_shorten(answer)}") from None

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """Register a schema, or find it if it is there, and return its id.

        Raises
        ------
        RegistryError
            If the registry cannot be reached, or refuses the schema.
        """
        status, answer = self._request(
            "POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": json.dumps(schema)}
        )
        self._expect_ok(status, answer, f"register the schema of {subject}")
        try:
            return _read_id(answer)
        except (KeyError, TypeError, ValueError):
            raise RegistryError(f"{self.url} gave no schema id for {subject}: {_shorten(answer)}") from None

    def _expect_ok(self, status: int, answer: Any, action: str) -> None:
        if status != http.HTTPStatus.OK:
            message = answer.get("message") if isinstance(answer, dict) else answer
            is_in_trouble = status >= http.HTTPStatus.INTERNAL_SERVER_ERROR
            kind = RegistryNotReadyError if is_in_trouble else RegistryError
            raise kind(
                f"The schema registry {self.url} did not {action}: HTTP status {status}, {_shorten(message)}"
            )

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Send one request; return the status and the answer's JSON (or text, if it is none)."""
        content = None if body is None else json.dumps(body).encode()
        is_reused = self._connection.sock is not None
        try:
            try:
                response = self._send(method, path, content)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # The server may end an idle connection at any time; both
                # calls may be repeated without harm.
                if not is_reused:
                    raise
                self._connection.close()
                response = self._send(method, path, content)
            data = response.read(MAX_RESPONSE + 1)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            reason = str(error) or type(error).__name__
            raise RegistryNotReadyError(
                f"The schema registry {self.url} cannot be reached: {reason}"
            ) from None
        if len(data) > MAX_RESPONSE:
            self._connection.close()
            raise RegistryError(f"The schema registry {self.url} answered with over {MAX_RESPONSE} bytes")
        try:
            return response.status, json.loads(data)
        except (ValueError, RecursionError):
            return response.status, data.decode(errors="replace")

    def _send(self, method: str, path: str, content: bytes | None) -> http.client.HTTPResponse:
        self._connection.request(method, f"{self._base_path}{path}", content, self._headers)
        return self._connection.getresponse()


def _read_id(answer: Any) -> int:
    """Return the schema id in an answer; it must fit into the Confluent framing."""
    schema_id = answer["id"]
    if type(schema_id) is not int or not 0 <= schema_id < 2**31:
        raise ValueError("no schema id")
    return schema_id


def _shorten(answer: Any) -> str:
    text = str(answer)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
