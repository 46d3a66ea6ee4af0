import copy
import hashlib
import json
from typing import Any

import fastavro
import pytest

from lsst.ts.mtmount.sal import FieldInfo, TopicInfo, load_packaged_interface
from lsst.ts.mtmount.sal.avro_schema import compute_rev_code, have_same_substance, make_attr_name

TOPIC = TopicInfo(
    "logevent_brake",
    (
        FieldInfo("pressure", "double", 2, "bar", "Both pressures."),
        FieldInfo("isClosed", "boolean", description="Is it closed?"),
    ),
    "A brake.",
)


def test_names() -> None:
    assert make_attr_name("azimuth") == "tel_azimuth"
    assert TOPIC.attr_name == "evt_brake"
    assert TOPIC.is_event
    assert TOPIC.kafka_topic("a.b") == "lsst.a.b.MTMount.logevent_brake"
    assert TOPIC.subject("sal") == "lsst.sal.MTMount.logevent_brake-value"
    assert TOPIC.message_key() == b'{ "name": "MTMount", "topic": "logevent_brake" }'
    telemetry = TopicInfo("brake", ())
    assert (telemetry.attr_name, telemetry.is_event, telemetry.message_key()) == ("tel_brake", False, b"")


def test_schema_is_golden() -> None:
    schema = TOPIC.avro_schema()
    private = schema["fields"][:8]
    assert json.dumps({**schema, "fields": schema["fields"][8:]}) == (
        '{"type": "record", "name": "logevent_brake", "namespace": "lsst.sal.MTMount", "fields": ['
        '{"name": "pressure", "type": {"type": "array", "items": "double"}, "default": [0.0, 0.0], '
        '"description": "Both pressures.", "units": "bar"}, '
        '{"name": "isClosed", "type": "boolean", "default": false, '
        '"description": "Is it closed?", "units": "unitless"}], "description": "A brake."}'
    )
    assert [(field["name"], field["type"], repr(field["default"])) for field in private] == [
        ("private_sndStamp", "double", "0.0"),
        ("private_rcvStamp", "double", "0.0"),
        ("private_efdStamp", "double", "0.0"),
        ("private_kafkaStamp", "double", "0.0"),
        ("private_seqNum", "int", "0"),
        ("private_revCode", "string", "''"),
        ("private_identity", "string", "''"),
        ("private_origin", "int", "0"),
    ]


def test_rev_code_is_md5_of_indented_text() -> None:
    text = json.dumps(TOPIC.avro_schema(), indent=4)
    assert TOPIC.rev_code == hashlib.md5(text.encode()).hexdigest()[:8]
    assert TOPIC.rev_code != TopicInfo(TOPIC.sal_name, TOPIC.fields, "Another brake.").rev_code


def test_rev_code_survives_a_registry_that_reorders() -> None:
    schema = TOPIC.avro_schema()
    reordered = dict(sorted(schema.items()))
    reordered["fields"] = [dict(sorted(field.items())) for field in schema["fields"]]
    assert json.dumps(reordered) != json.dumps(schema)
    assert compute_rev_code(reordered) == TOPIC.rev_code


def test_record_fields() -> None:
    assert TOPIC.record_fields() == [("pressure", "double", 2, True), ("isClosed", "boolean", 1, False)]


def test_names_must_be_unique() -> None:
    for name in ("pressure", "private_origin"):
        with pytest.raises(ValueError, match=f"different fields in 'logevent_x', got '{name}' twice"):
            TopicInfo("logevent_x", (*TOPIC.fields, FieldInfo(name, "double")))


def change(schema: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return a copy of a schema with its last field changed."""
    changed = copy.deepcopy(schema)
    changed["fields"][-1] |= members
    return changed


def test_substance_is_names_types_and_order() -> None:
    schema = TOPIC.avro_schema()
    assert have_same_substance(schema, change(schema, description="?", units="m", default=True))
    assert have_same_substance(schema, change(schema, type={"type": "boolean"}))
    assert have_same_substance(schema, {**schema, "description": "?"})
    assert not have_same_substance(schema, change(schema, name="closed"))
    assert not have_same_substance(schema, change(schema, type="int"))
    assert not have_same_substance(schema, change(schema, type=["null", "boolean"]))
    assert not have_same_substance(schema, {**schema, "fields": schema["fields"][:-1]})
    assert not have_same_substance(schema, {**schema, "fields": schema["fields"][::-1]})
    array = change(schema, type={"type": "array", "items": "boolean"})
    assert not have_same_substance(schema, array)
    assert not have_same_substance(array, change(schema, type={"type": "array", "items": "int"}))


@pytest.mark.parametrize(
    "other", [None, "string", [], {}, {"fields": 3}, {"fields": [{"name": "x"}]}, {"fields": "x"}]
)
def test_what_is_no_record_has_no_substance(other: object) -> None:
    assert not have_same_substance(other, TOPIC.avro_schema())
    assert not have_same_substance(other, other)


def test_fastavro_accepts_all_packaged_schemas() -> None:
    for topic in load_packaged_interface().topics.values():
        schema = topic.avro_schema()
        assert fastavro.parse_schema(schema)
        # The default of each field is a value of its type.
        zeros = {field["name"]: field["default"] for field in schema["fields"]}
        assert fastavro.validate(zeros, schema, strict=True)
