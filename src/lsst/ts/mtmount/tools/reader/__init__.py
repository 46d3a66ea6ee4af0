"""The independent reader of Kafka: records as another program sees them.

It shares no code with the publisher, so that it can tell right from wrong.
`RecordReader` reads topics as a whole and stops at what is wrong; `LiveConsumer`
reads what is new and goes on whatever happens.
"""

from .live_consumer import Arrival, BadMessage, LiveConsumer, MessageWithoutSchema, SettingsRefusedError
from .received_record import DecodeError, ReceivedRecord
from .record_reader import RecordReader
from .record_schema import RecordSchema, SchemaError, parse_record_schema
from .schema_source import RegistryUnavailableError, SchemaSource

__all__ = [
    "Arrival",
    "BadMessage",
    "DecodeError",
    "LiveConsumer",
    "MessageWithoutSchema",
    "ReceivedRecord",
    "RecordReader",
    "RecordSchema",
    "RegistryUnavailableError",
    "SchemaError",
    "SchemaSource",
    "SettingsRefusedError",
    "parse_record_schema",
]
