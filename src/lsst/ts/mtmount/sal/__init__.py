"""SAL: schemas, Kafka, events, log messages and time; built in, or with the installed salobj."""

from .backend import BACKENDS, describe_backend, make_sal_backend
from .controller import Controller
from .interface import (
    FieldInfo,
    Interface,
    InterfaceError,
    TopicInfo,
    load_interface,
    load_packaged_interface,
)
from .kafka_settings import PRODUCER_DEFAULTS, KafkaSettings, SettingsError
from .kafka_topics import KafkaSetupError
from .log_handler import SalLogHandler
from .publisher import KafkaPublisher
from .salobj_backend import SalobjError
from .schema_registry import RegisteredSchema, RegistryError, SchemaRegistry
from .tai import TaiClock, tai_from_utc, tai_minus_utc_at
from .write_topic import SetWriteResult, WriteTopic

__all__ = [
    "BACKENDS",
    "PRODUCER_DEFAULTS",
    "Controller",
    "FieldInfo",
    "Interface",
    "InterfaceError",
    "KafkaPublisher",
    "KafkaSettings",
    "KafkaSetupError",
    "RegisteredSchema",
    "RegistryError",
    "SalLogHandler",
    "SalobjError",
    "SchemaRegistry",
    "SetWriteResult",
    "SettingsError",
    "TaiClock",
    "TopicInfo",
    "WriteTopic",
    "describe_backend",
    "load_interface",
    "load_packaged_interface",
    "make_sal_backend",
    "tai_from_utc",
    "tai_minus_utc_at",
]
