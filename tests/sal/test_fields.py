import pytest

from lsst.ts.mtmount.sal.fields import AVRO_TYPES, PRIVATE_FIELDS, FieldInfo


def test_sal_types_become_avro_types() -> None:
    # From the description of SAL: its long has 32 bits.
    assert AVRO_TYPES == {
        "boolean": "boolean",
        "byte": "int",
        "short": "int",
        "int": "int",
        "long": "int",
        "unsigned short": "int",
        "long long": "long",
        "unsigned int": "long",
        "float": "float",
        "double": "double",
        "string": "string",
    }


@pytest.mark.parametrize(
    ("sal_type", "count", "expected_type", "expected_default"),
    [
        ("boolean", 1, "boolean", False),
        ("long", 1, "int", 0),
        ("unsigned int", 1, "long", 0),
        ("float", 1, "float", 0.0),
        ("string", 1, "string", ""),
        ("double", 3, {"type": "array", "items": "double"}, [0.0, 0.0, 0.0]),
        ("boolean", 2, {"type": "array", "items": "boolean"}, [False, False]),
    ],
)
def test_field_schema(sal_type: str, count: int, expected_type: object, expected_default: object) -> None:
    schema = FieldInfo("x", sal_type, count, "deg", "Some angle.").avro_schema()
    assert list(schema) == ["name", "type", "default", "description", "units"]
    assert schema == {
        "name": "x",
        "type": expected_type,
        "default": expected_default,
        "description": "Some angle.",
        "units": "deg",
    }
    # Equality does not tell False from 0 and 0.0.
    assert repr(schema["default"]) == repr(expected_default)


def test_bad_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="'x': expected a SAL type, got 'quad'"):
        FieldInfo("x", "quad")
    with pytest.raises(ValueError, match="'x': expected one element at least, got 0"):
        FieldInfo("x", "double", 0)


def test_private_fields() -> None:
    assert [(field.name, field.avro_type, field.units) for field in PRIVATE_FIELDS] == [
        ("private_sndStamp", "double", "second"),
        ("private_rcvStamp", "double", "second"),
        ("private_efdStamp", "double", "second"),
        ("private_kafkaStamp", "double", "second"),
        ("private_seqNum", "int", "unitless"),
        ("private_revCode", "string", "unitless"),
        ("private_identity", "string", "unitless"),
        ("private_origin", "int", "unitless"),
    ]
    assert all(field.count == 1 and field.description for field in PRIVATE_FIELDS)
