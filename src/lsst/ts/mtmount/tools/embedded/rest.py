"""Confluent's REST interface of a schema registry, free of HTTP's details."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from .schema_store import RegisteredVersion, RequestRefusedError, SchemaStore

__all__ = ["answer_request", "describe_error"]


@dataclass(frozen=True)
class Request:
    """A request whose route is known.

    Parameters
    ----------
    store : `SchemaStore`
        What the registry knows.
    names : `tuple` [`str`, ...]
        The variable parts of the path: subject, version, id.
    options : `frozenset` [`str`]
        Options of the query that are true.
    body : `bytes`
        The body.
    """

    store: SchemaStore
    names: tuple[str, ...]
    options: frozenset[str]
    body: bytes

    def read_schema(self) -> str:
        """Return the text of the schema in the body."""
        members = self._read_members()
        schema = members.get("schema")
        if not isinstance(schema, str):
            raise _unprocessable(42201, "The body has no schema")
        if members.get("schemaType") not in (None, "AVRO"):
            raise _unprocessable(42201, "Only Avro schemas are supported")
        if members.get("references"):
            raise _unprocessable(42201, "References are not supported")
        return schema

    def read_level(self) -> str:
        """Return the level of compatibility in the body."""
        level = self._read_members().get("compatibility")
        if not isinstance(level, str):
            raise _unprocessable(42203, "The body has no compatibility")
        return level.upper()

    def _read_members(self) -> dict[str, Any]:
        try:
            members = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise RequestRefusedError(HTTPStatus.BAD_REQUEST, 400, f"The body is not JSON: {error}") from None
        if not isinstance(members, dict):
            raise RequestRefusedError(HTTPStatus.BAD_REQUEST, 400, "The body is no JSON object")
        return members


def _unprocessable(error_code: int, message: str) -> RequestRefusedError:
    return RequestRefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, error_code, message)


Answer: TypeAlias = Callable[[Request], Any]

_ROUTES: list[tuple[str, re.Pattern[str], Answer]] = []


def _route(method: str, *paths: str) -> Callable[[Answer], Answer]:
    """Register what answers a method and paths, in which ``*`` stands for a name."""

    def register(answer: Answer) -> Answer:
        _ROUTES.extend(
            (method, re.compile(re.escape(path).replace(r"\*", "([^/]+)")), answer) for path in paths
        )
        return answer

    return register


@_route("GET", "/")
def _get_root(request: Request) -> dict[str, Any]:
    return {}


@_route("GET", "/subjects")
def _list_subjects(request: Request) -> list[str]:
    return request.store.list_subjects()


@_route("POST", "/subjects/*")
def _look_up(request: Request) -> dict[str, Any]:
    return _describe(request.store.look_up(request.names[0], request.read_schema()))


@_route("GET", "/subjects/*/versions")
def _list_versions(request: Request) -> list[int]:
    return request.store.list_versions(*request.names)


@_route("POST", "/subjects/*/versions")
def _register(request: Request) -> dict[str, Any]:
    return _describe(request.store.register(request.names[0], request.read_schema()))


@_route("GET", "/subjects/*/versions/*")
def _get_version(request: Request) -> dict[str, Any]:
    return _describe(request.store.get_version(*request.names))


@_route("GET", "/subjects/*/versions/*/schema")
def _get_version_schema(request: Request) -> Any:
    return json.loads(request.store.get_version(*request.names).schema)


@_route("GET", "/schemas/types")
def _list_types(request: Request) -> list[str]:
    return ["AVRO"]


@_route("GET", "/schemas/ids/*")
def _get_schema(request: Request) -> dict[str, str]:
    return {"schema": request.store.get_schema(*request.names)}


@_route("GET", "/schemas/ids/*/schema")
def _get_plain_schema(request: Request) -> Any:
    return json.loads(request.store.get_schema(*request.names))


@_route("GET", "/schemas/ids/*/subjects")
def _list_schema_subjects(request: Request) -> list[str]:
    return [use.subject for use in request.store.list_uses(*request.names)]


@_route("GET", "/schemas/ids/*/versions")
def _list_schema_versions(request: Request) -> list[dict[str, Any]]:
    uses = request.store.list_uses(*request.names)
    return [{"subject": use.subject, "version": use.version} for use in uses]


@_route("GET", "/config", "/config/*")
def _get_level(request: Request) -> dict[str, str]:
    to_global = "defaultToGlobal" in request.options
    return {"compatibilityLevel": request.store.get_level(*request.names, default_to_global=to_global)}


@_route("PUT", "/config", "/config/*")
def _set_level(request: Request) -> dict[str, str]:
    level = request.read_level()
    request.store.set_level(level, *request.names)
    return {"compatibility": level}


@_route("GET", "/mode", "/mode/*")
def _get_mode(request: Request) -> dict[str, str]:
    return {"mode": "READWRITE"}


@_route("POST", "/compatibility/subjects/*/versions", "/compatibility/subjects/*/versions/*")
def _check_compatibility(request: Request) -> dict[str, Any]:
    subject, *version = request.names
    conflicts = request.store.find_conflicts(subject, request.read_schema(), *version)
    details = {"messages": conflicts} if "verbose" in request.options else {}
    return {"is_compatible": not conflicts} | details


def _describe(found: RegisteredVersion) -> dict[str, Any]:
    return {
        "subject": found.subject,
        "version": found.version,
        "id": found.schema_id,
        "schema": found.schema,
    }


def describe_error(error_code: int, message: str) -> dict[str, Any]:
    """Return the JSON that tells a client what is wrong."""
    return {"error_code": error_code, "message": message}


def answer_request(store: SchemaStore, method: str, target: str, body: bytes) -> Any:
    """Answer a request.

    Parameters
    ----------
    store : `SchemaStore`
        What the registry knows.
    method : `str`
        ``GET``, ``POST``, ...
    target : `str`
        Path and query.
    body : `bytes`
        The body.

    Returns
    -------
    answer : `Any`
        What the answer's JSON holds.

    Raises
    ------
    RequestRefusedError
        If the request cannot be answered otherwise.
    """
    try:
        parts = urlsplit(target)
    except ValueError as error:
        raise RequestRefusedError(HTTPStatus.BAD_REQUEST, 400, str(error)) from None
    path = parts.path.rstrip("/") or "/"
    matches = [
        (route_method, match, answer)
        for route_method, pattern, answer in _ROUTES
        if (match := pattern.fullmatch(path))
    ]
    for route_method, match, answer in matches:
        if route_method == method:
            names = tuple(unquote(name) for name in match.groups())
            options = frozenset(name for name, value in parse_qsl(parts.query) if value.lower() == "true")
            return answer(Request(store, names, options, body))
    if matches:
        raise RequestRefusedError(HTTPStatus.METHOD_NOT_ALLOWED, 405, f"{method} is not supported here")
    raise RequestRefusedError(HTTPStatus.NOT_FOUND, 404, "HTTP 404 Not Found")
