"""The embedded registry: as confluent-kafka's own client sees it, and as clients do that do not mean well."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from confluent_kafka.schema_registry import (
    ConfigCompatibilityLevel,
    Schema,
    SchemaRegistryClient,
    ServerConfig,
)
from confluent_kafka.schema_registry.error import SchemaRegistryError

from lsst.ts.mtmount.sal import load_packaged_interface
from lsst.ts.mtmount.tools.embedded import EmbeddedRegistry
from lsst.ts.mtmount.tools.embedded.embedded_registry import CONTENT_TYPE, MAX_BODY_SIZE

TIMEOUT = 60
SUBJECT = "lsst.sal.MTMount.brake-value"


def make_schema(*fields: str, types: str = "int", name: str = "brake", **attributes: Any) -> Schema:
    """Make the schema of a record; a field with a ``!`` has no default."""
    members = [
        {"name": field.removesuffix("!"), "type": types} | ({} if field.endswith("!") else {"default": 0})
        for field in fields
    ]
    return Schema(json.dumps({"type": "record", "name": name, "fields": members, **attributes}), "AVRO")


@pytest.fixture
def client(registry: EmbeddedRegistry) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


def refusal(caught: pytest.ExceptionInfo[SchemaRegistryError]) -> tuple[int, int]:
    return caught.value.http_status_code, caught.value.error_code


def test_register_and_get(client: SchemaRegistryClient) -> None:
    schema = make_schema("pressure")
    schema_id = client.register_schema(SUBJECT, schema)
    assert client.get_schema(schema_id).schema_str == schema.schema_str
    versions: list[int | Literal["latest"]] = [1, "latest"]
    for version in versions:
        registered = client.get_version(SUBJECT, version)
        assert (registered.schema_id, registered.version, registered.subject) == (schema_id, 1, SUBJECT)
        assert registered.schema.schema_str == schema.schema_str


def test_versions(client: SchemaRegistryClient) -> None:
    schemas = [make_schema("pressure"), make_schema("pressure", "flow"), make_schema("flow")]
    ids = [client.register_schema(SUBJECT, schema) for schema in schemas]
    assert len(set(ids)) == 3
    assert client.get_versions(SUBJECT) == [1, 2, 3]
    assert client.get_latest_version(SUBJECT).version == 3
    for version, (schema_id, schema) in enumerate(zip(ids, schemas, strict=True), start=1):
        assert client.lookup_schema(SUBJECT, schema).version == version
        assert client.get_version(SUBJECT, version).schema_id == schema_id


def test_the_same_schema_is_registered_once(registry: EmbeddedRegistry, client: SchemaRegistryClient) -> None:
    schema_id = client.register_schema(SUBJECT, make_schema("pressure"))
    # A client of its own, as this one remembers what it has registered.
    members = json.loads(make_schema("pressure").schema_str or "")
    shuffled = Schema(json.dumps(dict(reversed(members.items())), indent=8), "AVRO")
    with SchemaRegistryClient({"url": registry.url}) as other:
        assert other.register_schema(SUBJECT, shuffled) == schema_id
        assert other.register_schema("other-value", shuffled) == schema_id
        assert other.get_versions(SUBJECT) == [1]
        assert other.get_subjects() == [SUBJECT, "other-value"]
    assert client.register_schema(SUBJECT, make_schema("pressure", description="A brake.")) != schema_id


def test_subjects_of_any_name(client: SchemaRegistryClient) -> None:
    for subject in ("a/b", "a b", "ä-value", "%2F", "?x=1", "versions"):
        client.register_schema(subject, make_schema("pressure"))
        assert client.get_latest_version(subject).subject == subject
    assert len(client.get_subjects()) == 6


def test_what_is_not_there(client: SchemaRegistryClient) -> None:
    with pytest.raises(SchemaRegistryError) as caught:
        client.get_latest_version("nothing")
    assert refusal(caught) == (404, 40401)
    assert "Subject 'nothing' not found." in caught.value.error_message
    with pytest.raises(SchemaRegistryError) as caught:
        client.get_schema(7)
    assert refusal(caught) == (404, 40403)
    client.register_schema(SUBJECT, make_schema("pressure"))
    for version in (0, 2, 2**31, -2):
        with pytest.raises(SchemaRegistryError) as caught:
            client.get_version(SUBJECT, version)
        assert refusal(caught) == (404, 40402)
    with pytest.raises(SchemaRegistryError) as caught:
        client.lookup_schema(SUBJECT, make_schema("flow"))
    assert refusal(caught) == (404, 40403)


def test_backward_compatibility_is_demanded(client: SchemaRegistryClient) -> None:
    client.register_schema(SUBJECT, make_schema("pressure"))
    bad, good = make_schema("pressure", "flow!"), make_schema("pressure", "flow")
    assert not client.test_compatibility(SUBJECT, bad)
    assert client.test_compatibility(SUBJECT, good)
    with pytest.raises(SchemaRegistryError) as caught:
        client.register_schema(SUBJECT, bad)
    assert refusal(caught) == (409, 409)
    assert "No default value for field flow" in caught.value.error_message
    assert client.get_versions(SUBJECT) == [1]
    client.set_config(SUBJECT, ServerConfig(compatibility=ConfigCompatibilityLevel.NONE))
    client.register_schema(SUBJECT, bad)
    with pytest.raises(SchemaRegistryError) as caught:
        client.set_compatibility(SUBJECT, "sometimes")
    assert refusal(caught) == (422, 42203)


@pytest.mark.parametrize(
    ("writer", "reader", "is_compatible"),
    [("int", "double", True), ("string", "bytes", True), ("double", "int", False), ("int", "boolean", False)],
)
def test_types_are_compatible_as_avro_resolves_them(
    client: SchemaRegistryClient, writer: str, reader: str, is_compatible: bool
) -> None:
    old, new = (json.dumps({"type": "array", "items": kind}) for kind in (writer, reader))
    client.register_schema(SUBJECT, Schema(old, "AVRO"))
    assert client.test_compatibility(SUBJECT, Schema(new, "AVRO")) is is_compatible


FIELDS = {
    "x": {"name": "x", "type": "int"},
    "wrapped": {"name": "x", "type": {"type": "int"}},
    "array": {"name": "x", "type": {"type": "array", "items": "int"}},
    "array of float": {"name": "x", "type": {"type": "array", "items": "float"}},
    "array of text": {"name": "x", "type": {"type": "array", "items": "string"}},
}


@pytest.mark.parametrize(
    ("writer", "reader", "conflict"),
    [
        ("x", "wrapped", None),
        ("wrapped", "x", None),
        ("array", "array of float", None),
        ("array", "array of text", "the elements of field x that int can be read as, got string"),
        ("array of float", "array", "the elements of field x that float can be read as, got int"),
        ("x", "array", "field x that int can be read as, got array"),
        ("array", "x", "field x that array can be read as, got int"),
    ],
)
def test_fields_are_compatible_as_avro_resolves_them(
    client: SchemaRegistryClient, writer: str, reader: str, conflict: str | None
) -> None:
    old, new = (
        Schema(json.dumps({"type": "record", "name": "brake", "fields": [FIELDS[key]]}), "AVRO")
        for key in (writer, reader)
    )
    client.register_schema(SUBJECT, old)
    assert client.test_compatibility(SUBJECT, new) is (conflict is None)
    if conflict is not None:
        with pytest.raises(SchemaRegistryError) as caught:
            client.register_schema(SUBJECT, new)
        assert refusal(caught) == (409, 409)
        assert caught.value.error_message.endswith(f"expected a type of {conflict}")


def test_another_name_is_not_compatible(client: SchemaRegistryClient) -> None:
    client.register_schema(SUBJECT, make_schema("pressure"))
    assert client.test_compatibility(SUBJECT, make_schema("pressure", name="a.brake"))
    with pytest.raises(SchemaRegistryError, match="expected 'brake' for the name of the schema, got 'other'"):
        client.register_schema(SUBJECT, make_schema("pressure", name="other"))


def test_what_cannot_be_compared_is_refused(client: SchemaRegistryClient) -> None:
    """A union may hold what the later schema cannot read, or not: one record does not tell."""
    union, plain = (
        Schema(json.dumps({"type": "record", "name": "brake", "fields": [{"name": "x", "type": types}]}))
        for types in (["null", "int"], "int")
    )
    client.register_schema(SUBJECT, union)
    assert client.test_compatibility(SUBJECT, union)
    for ask in (client.test_compatibility, client.register_schema):
        with pytest.raises(SchemaRegistryError) as caught:
            ask(SUBJECT, plain)
        assert refusal(caught) == (422, 422)
        assert caught.value.error_message == (
            "The schemas cannot be compared: expected a primitive type, an array or a record for field x, "
            "got ['null', 'int']"
        )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "[" * 5000 + "]" * 5000,
        "{}",
        "null",
        "3",
        '"nonsense"',
        '{"type": "record"}',
        '{"type": "record", "name": "a", "fields": 3}',
        '{"type": "record", "name": "a", "fields": [{}]}',
        '{"type": "array"}',
        '{"type": []}',
        '{"type": {"type": {"type": 3}}}',
    ],
)
def test_invalid_schemas(client: SchemaRegistryClient, text: str) -> None:
    with pytest.raises(SchemaRegistryError) as caught:
        client.register_schema(SUBJECT, Schema(text, "AVRO"))
    assert refusal(caught) == (422, 42201)
    assert client.get_subjects() == []


def test_all_sal_topics(client: SchemaRegistryClient) -> None:
    topics = load_packaged_interface().topics.values()
    ids = [
        client.register_schema(topic.subject("test"), Schema(json.dumps(topic.avro_schema()), "AVRO"))
        for topic in topics
    ]
    assert sorted(ids) == list(range(1, len(topics) + 1))


def test_many_clients_at_once(registry: EmbeddedRegistry) -> None:
    ids: list[list[int]] = []

    def register(order: int) -> None:
        with SchemaRegistryClient({"url": registry.url}) as client:
            ids.append(
                [client.register_schema(f"s{i}", make_schema(f"f{i}")) for i in range(20)[::order]][::order]
            )

    threads = [threading.Thread(target=register, args=(order,)) for order in (1, -1) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert len(ids) == 8
    assert all(found == ids[0] for found in ids)
    assert sorted(ids[0]) == list(range(1, 21))


@pytest.fixture
def connection(registry: EmbeddedRegistry) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(registry.url.removeprefix("http://"), timeout=TIMEOUT)
    yield connection
    connection.close()


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
) -> tuple[int, Any]:
    connection.request(method, path, body)
    response = connection.getresponse()
    assert response.headers["Content-Type"] == CONTENT_TYPE
    return response.status, json.loads(response.read())


@pytest.mark.parametrize(
    "path",
    ["/", "/x", "/subjects/a/b/c", *(f"/schemas/ids/{text}" for text in ("x", "-1", "9" * 5000, "%D9%A1"))],
)
def test_paths_that_are_not_served(connection: http.client.HTTPConnection, path: str) -> None:
    status, answer = exchange(connection, "GET", path)
    assert status == 404
    assert isinstance(answer["error_code"], int)
    # The connection serves further requests.
    assert exchange(connection, "GET", "/subjects") == (200, [])


@pytest.mark.parametrize("path", ["/subjects/a/versions", "/subjects/a"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"schema": 3}', 422),
        (b'{"schema": "\\ud800"}', 422),
    ],
)
def test_odd_bodies(connection: http.client.HTTPConnection, path: str, body: bytes, status: int) -> None:
    answered, answer = exchange(connection, "POST", path, body)
    assert answered == status
    assert answer["message"]
    assert exchange(connection, "GET", "/subjects") == (200, [])


@pytest.mark.parametrize("length", [str(MAX_BODY_SIZE + 1), "9" * 5000, "-1", "0x10"])
def test_bodies_of_no_proper_length(connection: http.client.HTTPConnection, length: str) -> None:
    connection.putrequest("POST", "/subjects/a")
    connection.putheader("Content-Length", length)
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    response.read()
    assert response.will_close or connection.sock is None or connection.sock.recv(1) == b""


def test_close_ends_idle_connections(registry: EmbeddedRegistry) -> None:
    host, _, port = registry.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as sock:
        sock.sendall(b"GET /subjects HTTP/1.1\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        registry.close()
        assert sock.recv(1) == b""
    with pytest.raises(RuntimeError, match="not running"):
        _ = registry.url
    registry.close()


def test_starts_once(registry: EmbeddedRegistry) -> None:
    with pytest.raises(RuntimeError, match="already"):
        registry.__enter__()
