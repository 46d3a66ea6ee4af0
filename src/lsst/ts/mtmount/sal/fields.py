"""The fields of SAL topics, and how SAL types become Avro types."""

from dataclasses import dataclass
from typing import Any

__all__ = ["AVRO_TYPES", "PRIVATE_FIELDS", "FieldInfo"]

#: SAL type -> Avro type. A SAL long has 32 bits, so it is an Avro int.
AVRO_TYPES = {
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

#: Avro type -> value of a field that was never set.
ZERO_VALUES: dict[str, bool | int | float | str] = {
    "boolean": False,
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "string": "",
}


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field of a SAL topic; `ValueError` if the type is unknown, or the count is less than 1."""

    name: str
    sal_type: str  #: SAL type, a key of `AVRO_TYPES`
    count: int = 1  #: Number of elements; over 1: the field is an array
    units: str = "unitless"  #: Units of the values, ``unitless`` if there are none
    description: str = ""  #: What the field tells

    def __post_init__(self) -> None:
        if self.sal_type not in AVRO_TYPES:
            raise ValueError(f"field {self.name!r}: expected a SAL type, got {self.sal_type!r}")
        if self.count < 1:
            raise ValueError(f"field {self.name!r}: expected one element at least, got {self.count}")

    @property
    def avro_type(self) -> str:
        """Avro type of one element."""
        return AVRO_TYPES[self.sal_type]

    @property
    def default(self) -> bool | int | float | str | list[bool | int | float | str]:
        """The zero value: a list if the field is an array."""
        zero = ZERO_VALUES[self.avro_type]
        return [zero] * self.count if self.count > 1 else zero

    def avro_schema(self) -> dict[str, Any]:
        """Return the field's entry in the Avro schema of its topic."""
        return {
            "name": self.name,
            "type": {"type": "array", "items": self.avro_type} if self.count > 1 else self.avro_type,
            "default": self.default,
            "description": self.description,
            "units": self.units,
        }


#: The fields that every SAL record starts with, with this project's own descriptions.
PRIVATE_FIELDS = (
    FieldInfo("private_sndStamp", "double", units="second", description="When this was written (TAI)."),
    FieldInfo("private_rcvStamp", "double", units="second", description="When this was read (TAI)."),
    FieldInfo("private_efdStamp", "double", units="second", description="When this was written (UTC)."),
    FieldInfo("private_kafkaStamp", "double", units="second", description="When this went to Kafka (TAI)."),
    FieldInfo("private_seqNum", "long", description="Number of this record in its topic."),
    FieldInfo("private_revCode", "string", description="Digest of the schema."),
    FieldInfo("private_identity", "string", description="Who wrote this."),
    FieldInfo("private_origin", "long", description="Process ID of the writer."),
)
