"""The embedded registry, as confluent-kafka's own client sees it."""

import json
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

SUBJECT = "lsst.sal.MTMount.brake-value"


def make_schema(*fields: str, name: str = "brake", **attributes: Any) -> Schema:
    """Make the schema of a record; a field with a ``!`` has no default."""
    members = [
        {"name": field.removesuffix("!"), "type": "int"} | ({} if field.endswith("!") else {"default": 0})
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
    latest = client.get_latest_version(SUBJECT)
    assert (latest.schema_id, latest.version) == (schema_id, 1)


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
        assert other.get_subjects() == ["lsst.sal.MTMount.brake-value", "other-value"]
        assert other.get_subjects_by_schema_id(schema_id) == [SUBJECT, "other-value"]
        assert [(use.subject, use.version) for use in other.get_schema_versions(schema_id)] == [
            (SUBJECT, 1),
            ("other-value", 1),
        ]


def test_a_description_makes_a_version(client: SchemaRegistryClient) -> None:
    first = client.register_schema(SUBJECT, make_schema("pressure"))
    assert client.register_schema(SUBJECT, make_schema("pressure", description="A brake.")) != first


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
        client.get_versions("nothing")
    assert refusal(caught) == (404, 40401)
    with pytest.raises(SchemaRegistryError) as caught:
        client.get_schema(7)
    assert refusal(caught) == (404, 40403)
    client.register_schema(SUBJECT, make_schema("pressure"))
    with pytest.raises(SchemaRegistryError) as caught:
        client.get_version(SUBJECT, 2)
    assert refusal(caught) == (404, 40402)
    for version in (0, 2**31, -2):
        with pytest.raises(SchemaRegistryError) as caught:
            client.get_version(SUBJECT, version)
        assert refusal(caught) == (422, 42202)
    with pytest.raises(SchemaRegistryError) as caught:
        client.lookup_schema(SUBJECT, make_schema("flow"))
    assert refusal(caught) == (404, 40403)


def test_backward_compatibility_is_demanded(client: SchemaRegistryClient) -> None:
    client.register_schema(SUBJECT, make_schema("pressure"))
    bad, good = make_schema("pressure", "flow!"), make_schema("pressure", "flow")
    assert not client.test_compatibility(SUBJECT, bad)
    assert client.test_compatibility(SUBJECT, good)
    assert client.test_compatibility(SUBJECT, good, version=1)
    with pytest.raises(SchemaRegistryError) as caught:
        client.register_schema(SUBJECT, bad)
    assert refusal(caught) == (409, 409)
    assert "/flow: is not written, and has no default" in caught.value.error_message
    assert client.get_versions(SUBJECT) == [1]


def test_levels_of_compatibility(client: SchemaRegistryClient) -> None:
    assert client.get_config().compatibility_level == "BACKWARD"
    with pytest.raises(SchemaRegistryError) as caught:
        client.get_config(SUBJECT)
    assert refusal(caught) == (404, 40408)
    client.register_schema(SUBJECT, make_schema("pressure!"))
    without, with_both = make_schema("flow"), make_schema("pressure!", "flow!")
    assert client.test_compatibility(SUBJECT, without)
    client.set_config(SUBJECT, ServerConfig(compatibility=ConfigCompatibilityLevel.FORWARD))
    assert client.get_config(SUBJECT).compatibility_level == "FORWARD"
    assert not client.test_compatibility(SUBJECT, without)
    assert client.test_compatibility(SUBJECT, with_both)
    client.set_config(SUBJECT, ServerConfig(compatibility=ConfigCompatibilityLevel.FULL))
    assert not client.test_compatibility(SUBJECT, without)
    assert not client.test_compatibility(SUBJECT, with_both)
    client.set_compatibility(SUBJECT, "none")
    assert client.test_compatibility(SUBJECT, Schema('"int"', "AVRO"))
    client.set_config(config=ServerConfig(compatibility=ConfigCompatibilityLevel.FULL_TRANSITIVE))
    assert client.get_config().compatibility_level == "FULL_TRANSITIVE"
    assert client.get_config(SUBJECT).compatibility_level == "NONE"
    with pytest.raises(SchemaRegistryError) as caught:
        client.set_compatibility(SUBJECT, "sometimes")
    assert refusal(caught) == (422, 42203)


def test_transitive_levels_look_at_all_versions(client: SchemaRegistryClient) -> None:
    # The second version makes up for what the first one lacks.
    for fields in (["pressure"], ["pressure", "flow"]):
        client.register_schema(SUBJECT, make_schema(*fields))
    third = make_schema("pressure", "flow!")
    assert client.test_compatibility(SUBJECT, third)
    client.set_compatibility(SUBJECT, "BACKWARD_TRANSITIVE")
    assert not client.test_compatibility_all_versions(SUBJECT, third)
    assert not client.test_compatibility(SUBJECT, third, version=1)
    assert client.test_compatibility(SUBJECT, third, version=2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "[" * 500 + "]" * 500,
        "{}",
        "null",
        "3",
        '"nonsense"',
        '{"type": "record"}',
        '{"type": "record", "name": "a", "fields": 3}',
        '{"type": "record", "name": "a", "fields": [{}]}',
        '{"type": "array"}',
        '{"type": []}',
        '{"type": "record", "name": {}, "fields": []}',
        '{"type": "record", "name": "a", "fields": [{"name": [], "type": "int"}]}',
        '{"type": {"type": {"type": 3}}}',
    ],
)
def test_invalid_schemas(client: SchemaRegistryClient, text: str) -> None:
    with pytest.raises(SchemaRegistryError) as caught:
        client.register_schema(SUBJECT, Schema(text, "AVRO"))
    assert refusal(caught) == (422, 42201)
    assert client.get_subjects() == []


def test_other_kinds_of_schema(client: SchemaRegistryClient) -> None:
    with pytest.raises(SchemaRegistryError) as caught:
        client.register_schema(SUBJECT, Schema('{"type": "object"}', "JSON"))
    assert refusal(caught) == (422, 42201)


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
        thread.join()
    assert len(ids) == 8
    assert all(found == ids[0] for found in ids)
    assert sorted(ids[0]) == list(range(1, 21))
    assert all(registry.store.list_versions(f"s{i}") == [1] for i in range(20))
