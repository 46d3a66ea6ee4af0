"""What a schema registry knows, and the rules by which it takes up more."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import fastavro

from .compatibility import LEVELS, find_conflicts

__all__ = ["LATEST", "MAX_NESTING", "RegisteredVersion", "RequestRefusedError", "SchemaStore"]

#: Version that stands for a subject's latest one.
LATEST = "latest"

#: Deepest nesting of a schema; SAL's have 4 levels.
MAX_NESTING = 64

#: Greatest version number.
MAX_VERSION = 2**31 - 1


class RequestRefusedError(Exception):
    """A request that the registry refuses.

    Parameters
    ----------
    status : `http.HTTPStatus`
        HTTP status of the answer.
    error_code : `int`
        Code by Confluent's list: the status, or the status and two more digits.
    message : `str`
        What is wrong.
    """

    def __init__(self, status: HTTPStatus, error_code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of a subject.

    Parameters
    ----------
    subject : `str`
        Name of the subject.
    version : `int`
        Number of the version: 1, 2, ...
    schema_id : `int`
        Id of the schema, the same in all subjects.
    schema : `str`
        The schema, as JSON text.
    """

    subject: str
    version: int
    schema_id: int
    schema: str


def refuse(status: HTTPStatus, error_code: int, message: str) -> RequestRefusedError:
    """Make the exception for a request that is refused."""
    return RequestRefusedError(status, error_code, message)


class SchemaStore:
    """Schemas by id, and the versions of subjects. Safe to use from many threads.

    Schemas are the same if their JSON is: white space and the order of members
    do not count.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: list[str] = []  # The schema of id n is element n - 1.
        self._ids: dict[str, int] = {}  # Canonical JSON text: id.
        self._subjects: dict[str, list[int]] = {}  # Version n of a subject is element n - 1.
        self._levels: dict[str | None, str] = {None: "BACKWARD"}  # None: of all other subjects.

    def register(self, subject: str, text: str) -> RegisteredVersion:
        """Register a schema as a new version of a subject, if it is not one yet.

        Raises
        ------
        RequestRefusedError
            If it is no Avro schema, or is not compatible with earlier versions.
        """
        schema, canonical = _parse(text)
        with self._lock:
            if (found := self._find(subject, canonical)) is not None:
                return found
            if conflicts := self._check(subject, schema, self._subjects.get(subject, [])):
                raise refuse(
                    HTTPStatus.CONFLICT,
                    409,
                    f"Schema being registered is incompatible with an earlier schema for subject "
                    f'"{subject}", details: {conflicts}',
                )
            if canonical not in self._ids:
                self._texts.append(text)
                self._ids[canonical] = len(self._texts)
            versions = self._subjects.setdefault(subject, [])
            versions.append(self._ids[canonical])
            return self._describe(subject, len(versions))

    def look_up(self, subject: str, text: str) -> RegisteredVersion:
        """Find which version of a subject a schema is.

        Raises
        ------
        RequestRefusedError
            If it is none, or no Avro schema, or there is no such subject.
        """
        _, canonical = _parse(text)
        with self._lock:
            self._get_ids(subject)
            if (found := self._find(subject, canonical)) is None:
                raise refuse(HTTPStatus.NOT_FOUND, 40403, "Schema not found")
            return found

    def get_version(self, subject: str, version: str) -> RegisteredVersion:
        """Return a version of a subject, by its number or `LATEST`.

        Raises
        ------
        RequestRefusedError
            If there is no such version or subject.
        """
        with self._lock:
            return self._describe(subject, self._read_version(subject, version))

    def get_schema(self, schema_id: str) -> str:
        """Return the text of a schema, by the digits of its id.

        Raises
        ------
        RequestRefusedError
            If there is none.
        """
        with self._lock:
            return self._texts[self._read_id(schema_id) - 1]

    def list_uses(self, schema_id: str) -> list[RegisteredVersion]:
        """List the versions that have a schema, by the digits of its id."""
        with self._lock:
            wanted = self._read_id(schema_id)
            return [
                self._describe(subject, version)
                for subject, ids in sorted(self._subjects.items())
                for version, used in enumerate(ids, start=1)
                if used == wanted
            ]

    def list_subjects(self) -> list[str]:
        """List the subjects."""
        with self._lock:
            return sorted(self._subjects)

    def list_versions(self, subject: str) -> list[int]:
        """List the numbers of a subject's versions.

        Raises
        ------
        RequestRefusedError
            If there is no such subject.
        """
        with self._lock:
            return list(range(1, len(self._get_ids(subject)) + 1))

    def get_level(self, subject: str | None = None, *, default_to_global: bool = False) -> str:
        """Return the level of compatibility of a subject, or of all that have none of their own.

        Raises
        ------
        RequestRefusedError
            If the subject has none of its own, unless ``default_to_global``.
        """
        with self._lock:
            level = self._levels.get(subject)
            if level is None and default_to_global:
                level = self._levels[None]
            if level is None:
                raise refuse(
                    HTTPStatus.NOT_FOUND,
                    40408,
                    f"Subject '{subject}' does not have subject-level compatibility configured",
                )
            return level

    def set_level(self, level: str, subject: str | None = None) -> None:
        """Set the level of compatibility of a subject, or of all that have none of their own.

        Raises
        ------
        RequestRefusedError
            If there is no such level.
        """
        if level not in LEVELS:
            raise refuse(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                42203,
                f"Invalid compatibility level. Valid values are: {', '.join(LEVELS)}",
            )
        with self._lock:
            self._levels[subject] = level

    def find_conflicts(self, subject: str, text: str, version: str | None = None) -> list[str]:
        """Find out why a schema is not compatible with a subject.

        Parameters
        ----------
        subject : `str`
            Name of the subject.
        text : `str`
            The schema, as JSON text.
        version : `str`, optional
            Number of a version, or `LATEST`, to compare with that version. If
            `None`, with those that the subject's level asks for.

        Returns
        -------
        conflicts : `list` [`str`]
            Descriptions; none if the schema is compatible.

        Raises
        ------
        RequestRefusedError
            If it is no Avro schema, or there is no such subject or version.
        """
        schema, _ = _parse(text)
        with self._lock:
            ids = self._get_ids(subject)
            if version is not None:
                ids = [ids[self._read_version(subject, version) - 1]]
            return self._check(subject, schema, ids)

    def _check(self, subject: str, schema: Any, ids: list[int]) -> list[str]:
        """Compare a schema with earlier ones, by the subject's level."""
        level = self._levels.get(subject, self._levels[None])
        is_backward, is_forward, is_transitive = LEVELS[level]
        conflicts: list[str] = []
        for schema_id in ids if is_transitive else ids[-1:]:
            earlier = json.loads(self._texts[schema_id - 1])
            if is_backward:
                conflicts += find_conflicts(schema, earlier)
            if is_forward:
                conflicts += find_conflicts(earlier, schema)
        return conflicts

    def _find(self, subject: str, canonical: str) -> RegisteredVersion | None:
        schema_id = self._ids.get(canonical)
        ids = self._subjects.get(subject, [])
        return self._describe(subject, ids.index(schema_id) + 1) if schema_id in ids else None

    def _describe(self, subject: str, version: int) -> RegisteredVersion:
        schema_id = self._subjects[subject][version - 1]
        return RegisteredVersion(subject, version, schema_id, self._texts[schema_id - 1])

    def _get_ids(self, subject: str) -> list[int]:
        try:
            return self._subjects[subject]
        except KeyError:
            raise refuse(HTTPStatus.NOT_FOUND, 40401, f"Subject '{subject}' not found.") from None

    def _read_version(self, subject: str, text: str) -> int:
        ids = self._get_ids(subject)
        if text in (LATEST, "-1"):
            return len(ids)
        version = _read_number(text)
        if version is None:
            raise refuse(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                42202,
                f"The specified version '{text}' is not a valid version id. "
                'Allowed values are between [1, 2^31-1] and the string "latest"',
            )
        if version > len(ids):
            raise refuse(HTTPStatus.NOT_FOUND, 40402, f"Version {version} not found.")
        return version

    def _read_id(self, text: str) -> int:
        schema_id = _read_number(text)
        if schema_id is None or schema_id > len(self._texts):
            raise refuse(HTTPStatus.NOT_FOUND, 40403, f"Schema {text} not found")
        return schema_id


def _read_number(text: str) -> int | None:
    """Read a positive 32-bit number, None if the text is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_VERSION))):
        return None
    number = int(text)
    return number if 1 <= number <= MAX_VERSION else None


def _parse(text: str) -> tuple[Any, str]:
    """Parse a schema; return it as JSON makes it, and its canonical text."""
    try:
        schema = json.loads(text)
        if _is_nested_deeper(schema, MAX_NESTING):
            raise ValueError(f"nested deeper than {MAX_NESTING}")
        fastavro.parse_schema(schema)
        _check_names(schema)
        # Members in one order, so that their order does not count.
        canonical = json.dumps(schema, sort_keys=True)
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
        fastavro.schema.SchemaParseException,
    ) as error:
        raise refuse(
            HTTPStatus.UNPROCESSABLE_ENTITY, 42201, f"Invalid schema: {type(error).__name__}: {error}"
        ) from None
    return schema, canonical


def _check_names(schema: Any) -> None:
    """Check that all names are text, which fastavro does not."""
    if isinstance(schema, list):
        for branch in schema:
            _check_names(branch)
    elif isinstance(schema, dict):
        fields = schema.get("fields", []) if schema["type"] == "record" else []
        for named in [schema, *fields]:
            if not isinstance(named.get("name", ""), str):
                raise ValueError(f"{named['name']} is no name")
        for part in (schema["type"], schema.get("items"), schema.get("values"), *(f["type"] for f in fields)):
            _check_names(part)


def _is_nested_deeper(value: Any, levels: int) -> bool:
    children: Iterable[Any]
    if isinstance(value, dict):
        children = value.values()
    elif isinstance(value, list):
        children = value
    else:
        return False
    return levels == 0 or any(_is_nested_deeper(child, levels - 1) for child in children)
