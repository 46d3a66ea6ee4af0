"""Schemas by id, from a registry."""

import contextlib
import http.client
import json
import queue
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

from ...resilience.escape import describe_error
from ...sal.bounded_http import BoundedConnection
from ...sal.registry_url import RegistryUrl
from .record_schema import RecordSchema, SchemaError, parse_record_schema

__all__ = ["RegistryUnavailableError", "SchemaSource"]

#: Longest answer of a registry, framing included [bytes].
MAX_ANSWER = 4 << 20

#: Ids come from the network. So many schemas and failures are kept, the newest
#: ones, and this many are asked for at a time.
MAX_KEPT = 256
MAX_ASKED = 64

#: How a registry says that it has no such schema. Others answer with HTTP status 404, too.
SCHEMA_NOT_FOUND = 40403


class RegistryUnavailableError(OSError):
    """The registry cannot be reached, or does not answer as it should."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why, and until when [monotonic s], not to ask again."""

    kind: type[RegistryUnavailableError | SchemaError]
    reason: str
    until: float


class SchemaSource:
    """Gets schemas by id from a registry, each once.

    `get` and `find` raise `SchemaError` if the registry has no schema of a SAL
    record of this id, `RegistryUnavailableError` if it cannot tell. A registry must answer as a whole within
    ``timeout`` [s]. For ``retry_interval`` [s] it is not asked again for what it did not give, or for
    anything if it could not be reached. User name and password in its URL are for HTTP basic authentication.
    """

    def __init__(self, registry_url: str, *, timeout: float = 10.0, retry_interval: float = 0.0) -> None:
        url = RegistryUrl.parse(registry_url)
        self._path = f"{url.path}/schemas/ids/"
        self._headers = {} if url.authorization is None else {"Authorization": url.authorization}
        self._connection = BoundedConnection(
            url.host, url.port, is_tls=url.scheme == "https", timeout=timeout, max_bytes=MAX_ANSWER
        )
        self._retry_interval = retry_interval
        self._schemas: dict[int, RecordSchema] = {}
        # By id; None: of the registry as a whole.
        self._failures: dict[int | None, _Failure] = {}
        self._asked: set[int] = set()
        self._to_ask: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def get(self, schema_id: int) -> RecordSchema:
        """Return a schema; wait for the registry if need be."""
        return self._find(schema_id) or self._ask(schema_id)

    def find(self, schema_id: int) -> RecordSchema | None:
        """Return a schema, or None if a thread is still asking the registry for it."""
        schema = self._find(schema_id)
        if schema is None and schema_id not in self._asked and len(self._asked) < MAX_ASKED:
            self._asked.add(schema_id)
            self._to_ask.put(schema_id)
            if self._thread is None:
                # A daemon: the end of the program does not wait for the registry.
                self._thread = threading.Thread(target=self._ask_in_turn, name="schema source", daemon=True)
                self._thread.start()
        return schema

    def close(self) -> None:
        """Disconnect; a thread that waits for the registry does so when that answers, or does not."""
        if self._thread is None:
            self._connection.close()
        else:
            self._to_ask.put(None)

    def _ask_in_turn(self) -> None:
        while (schema_id := self._to_ask.get()) is not None:
            try:
                with contextlib.suppress(RegistryUnavailableError, SchemaError):
                    self._ask(schema_id)
            # Whatever it is: without this thread no schema would come any more.
            except Exception as error:
                reason = f"schema {schema_id}: expected the registry's answer, got {describe_error(error)}"
                self._keep_failure(schema_id, RegistryUnavailableError, reason)
            self._asked.discard(schema_id)
        self._connection.close()

    def _find(self, schema_id: int) -> RecordSchema | None:
        if schema_id not in self._schemas:
            for key in (schema_id, None):
                failure = self._failures.get(key)
                if failure is not None and time.monotonic() < failure.until:
                    raise failure.kind(failure.reason)
        return self._schemas.get(schema_id)

    def _ask(self, schema_id: int) -> RecordSchema:
        """Ask the registry for a schema, and keep what came of it, as `get` raises it."""
        try:
            status, data, _ = self._connection.request("GET", f"{self._path}{schema_id}", None, self._headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = f"the registry cannot be reached: {str(error) or type(error).__name__}"
            # A broken answer concerns this schema, a missing one all of them.
            key = None if isinstance(error, OSError) else schema_id
            self._fail(key, RegistryUnavailableError, reason)
        if status != HTTPStatus.OK:
            reason = f"schema {schema_id}: the registry answers with HTTP status {status}"
            if status == HTTPStatus.NOT_FOUND:
                if _read_error_code(data) == SCHEMA_NOT_FOUND:
                    self._fail(schema_id, SchemaError, reason)
                reason += " (is LSST_SCHEMA_REGISTRY_URL the registry's?)"
            self._fail(schema_id, RegistryUnavailableError, reason)
        try:
            text = json.loads(data)["schema"]
            if not isinstance(text, str):
                raise TypeError(f"a schema of type {type(text).__name__}")
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            got = describe_error(error)
            reason = f"schema {schema_id}: expected JSON with a schema from the registry, got: {got}"
            self._fail(schema_id, RegistryUnavailableError, reason)
        try:
            schema = parse_record_schema(text)
        except SchemaError as error:
            self._fail(schema_id, SchemaError, f"schema {schema_id}: {error}")
        self._schemas[schema_id] = schema
        while len(self._schemas) > MAX_KEPT:
            del self._schemas[next(iter(self._schemas))]
        return schema

    def _fail(
        self, key: int | None, kind: type[RegistryUnavailableError | SchemaError], reason: str
    ) -> NoReturn:
        self._keep_failure(key, kind, reason)
        raise kind(reason) from None

    def _keep_failure(
        self, key: int | None, kind: type[RegistryUnavailableError | SchemaError], reason: str
    ) -> None:
        self._failures.pop(key, None)
        self._failures[key] = _Failure(kind, reason, time.monotonic() + self._retry_interval)
        while len(self._failures) > MAX_KEPT:
            del self._failures[next(iter(self._failures))]


def _read_error_code(data: bytes) -> Any:
    """Read the error code in a registry's answer; None if there is none."""
    try:
        return json.loads(data)["error_code"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
