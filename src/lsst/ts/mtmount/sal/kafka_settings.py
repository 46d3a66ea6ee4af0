"""From environment variables to Kafka configuration.

Passwords are in here and must not get out: `KafkaSettings` shows none, and
`KafkaSettings.redact` takes them out of texts of other origin.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaException

from ..resilience.escape import escape
from ..resilience.input_file import read_file
from .registry_url import RegistryUrl

__all__ = [
    "CLIENT_FILE_VARIABLE",
    "PRODUCER_DEFAULTS",
    "PRODUCER_FILE_VARIABLE",
    "KafkaSettings",
    "SettingsError",
]

#: Properties of the producer that the YAML file of the producer may override.
#: ``linger.ms``: how long messages gather before they are sent [ms].
#: ``reconnect.backoff.max.ms``: the longest pause between two attempts to
#: reach a broker, and so what an outage may take longer than Kafka's [ms].
#: The two bounds of the queue limit the memory that an outage of Kafka takes:
#: 32 MiB hold some five minutes of the TMA's telemetry.
PRODUCER_DEFAULTS: Mapping[str, Any] = {
    "linger.ms": 0,
    "reconnect.backoff.max.ms": 1000,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 32 * 1024,
}

#: Name YAML files of further properties: the producer's, and all clients'.
PRODUCER_FILE_VARIABLE = "LSST_KAFKA_PRODUCER_CONFIGURATION"
CLIENT_FILE_VARIABLE = "LSST_KAFKA_BROKER_CLIENT_CONFIGURATION"

Configuration = dict[str, Any]

#: Which variable sets which attribute of `KafkaSettings`.
VARIABLES = {
    "subname": "LSST_TOPIC_SUBNAME",
    "broker_addr": "LSST_KAFKA_BROKER_ADDR",
    "registry_url": "LSST_SCHEMA_REGISTRY_URL",
    "replication_factor": "LSST_KAFKA_REPLICATION_FACTOR",
    "acks": "LSST_KAFKA_PRODUCER_WAIT_ACKS",
    "username": "LSST_KAFKA_SECURITY_USERNAME",
    "password": "LSST_KAFKA_SECURITY_PASSWORD",
    "security_protocol": "LSST_KAFKA_SECURITY_PROTOCOL",
    "security_mechanism": "LSST_KAFKA_SECURITY_MECHANISM",
    "producer_file": PRODUCER_FILE_VARIABLE,
    "client_file": CLIENT_FILE_VARIABLE,
}

#: Other names that librdkafka knows for properties that are decided here. They
#: are replaced, so that "the later one wins" does not depend on the name used.
ALIASES = {
    "metadata.broker.list": "bootstrap.servers",
    "request.required.acks": "acks",
    "queue.buffering.max.ms": "linger.ms",
    "sasl.mechanism": "sasl.mechanisms",
}

#: What would take the ground from under the counters of deliveries: each message must be reported.
OVERRULED = {"delivery.report.only.error": False, "enabled_events": None}

#: librdkafka's ``message.max.bytes`` by default [bytes].
MAX_MESSAGE_SIZE = 1_000_000

#: What cannot work here, and why.
REFUSED = {"transactional.id": "messages are not sent in transactions"}

#: What is hidden in a configuration that is shown.
SECRET_PROPERTY = re.compile(
    r"password|passphrase|secret|token|jaas|key\.pem|oauthbearer\.config", re.IGNORECASE
)
HIDDEN = "***"

#: A broker: librdkafka takes a protocol before it, an IPv6 address in brackets, and may do without the port.
BROKER_ADDRESS = re.compile(r"\s*(?:[A-Z_]+://)?(?:\[[0-9a-fA-F:.%]+\]|[\w.:%-]+)(?::\d{1,5})?\s*", re.ASCII)

#: Upper bound of a YAML file [bytes].
MAX_FILE_SIZE = 1 << 20

#: Kafka allows these characters in a topic name.
SUBNAME = re.compile(r"[A-Za-z0-9._-]+")


class SettingsError(ValueError):
    """A setting is missing or cannot be used. The text names it and shows no password."""


@dataclass(frozen=True, repr=False)
class KafkaSettings:
    """Where Kafka and the schema registry are, and how to use them; `SettingsError` if that cannot be."""

    subname: str  #: Name space of the Kafka topics: ``lsst.<subname>.MTMount.<sal topic>``
    broker_addr: str = "broker:29092"  #: Bootstrap servers
    #: URL of the schema registry; it may contain a user name and a password.
    registry_url: str = "http://schema-registry:8081"
    replication_factor: int = 1  #: Of topics that are created
    #: Acknowledgements that the producer waits for. None: librdkafka's ``all`` if the producer is
    #: idempotent, else 1.
    acks: str | None = None
    #: SASL is used if both are there.
    username: str | None = None
    password: str | None = None
    #: How to log in with SASL.
    security_protocol: str = "SASL_PLAINTEXT"
    security_mechanism: str = "SCRAM-SHA-512"
    #: Further librdkafka properties: of the producer, of all clients.
    producer_overrides: Configuration = field(default_factory=dict)
    client_overrides: Configuration = field(default_factory=dict)
    #: The files that these are from.
    producer_file: str = field(default="", compare=False)
    client_file: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not SUBNAME.fullmatch(self.subname):
            raise SettingsError(
                f"expected letters, digits, '.', '_' and '-' for LSST_TOPIC_SUBNAME, got {self.subname!r}"
            )
        if not all(BROKER_ADDRESS.fullmatch(address) for address in self.broker_addr.split(",")):
            # Not shown: what is before an "@" may be a password.
            raise SettingsError("expected host:port, separated by commas, for LSST_KAFKA_BROKER_ADDR")
        if not 1 <= self.replication_factor < 2**15:
            raise SettingsError(
                f"expected LSST_KAFKA_REPLICATION_FACTOR from 1 to 32767, got {self.replication_factor}"
            )
        if self.acks is not None and self.acks != "all" and not re.fullmatch(r"-?\d+", self.acks):
            raise SettingsError(
                f"expected an integer or 'all' for LSST_KAFKA_PRODUCER_WAIT_ACKS, got {self.acks!r}"
            )
        for name, reason in REFUSED.items():
            if name in self.producer_overrides or name in self.client_overrides:
                raise SettingsError(f"expected no {name} in the Kafka configuration: {reason}")
        try:
            RegistryUrl.parse(self.registry_url)
        except ValueError as error:
            raise SettingsError(f"LSST_SCHEMA_REGISTRY_URL: {error}") from None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> KafkaSettings:
        """Make the settings that the environment variables ask for; an empty one counts as unset.

        `SettingsError` if a variable is missing or cannot be used, or a YAML file that
        one names cannot be read.
        """
        values: dict[str, Any] = {
            name: environ[variable] for name, variable in VARIABLES.items() if environ.get(variable)
        }
        if "subname" not in values:
            raise SettingsError("expected the environment variable LSST_TOPIC_SUBNAME to be set, got none")
        if "replication_factor" in values:
            try:
                values["replication_factor"] = int(values["replication_factor"])
            except ValueError:
                raise SettingsError(
                    "expected an integer for LSST_KAFKA_REPLICATION_FACTOR, "
                    f"got {values['replication_factor']!r}"
                ) from None
        for kind in ("producer", "client"):
            if path := values.get(f"{kind}_file"):
                values[f"{kind}_overrides"] = _read_yaml(VARIABLES[f"{kind}_file"], path)
        return cls(**values)

    def client_configuration(self) -> Configuration:
        """Return the configuration of an admin client or a consumer."""
        configuration: Configuration = {"bootstrap.servers": self.broker_addr}
        if self.username and self.password:
            configuration |= {
                "security.protocol": self.security_protocol,
                "sasl.mechanisms": self.security_mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        return configuration | _use_canonical_names(self.client_overrides)

    def producer_configuration(self, defaults: Mapping[str, Any] | None = None) -> Configuration:
        """Return the configuration of the producer; everything else overrides the defaults."""
        overrides = _use_canonical_names(self.producer_overrides) | self.client_configuration()
        configuration = _use_canonical_names(defaults or {})
        if self.acks is not None:
            configuration["acks"] = self.acks
        elif "acks" not in overrides:
            # librdkafka refuses an idempotent producer with fewer acknowledgements.
            is_idempotent = str(overrides.get("enable.idempotence")).lower() in ("true", "t", "1")
            configuration["acks"] = "all" if is_idempotent else "1"
        configuration |= overrides
        _limit_messages(configuration)
        for name, value in OVERRULED.items():
            if value is None:
                configuration.pop(name, None)
            elif name in configuration:
                configuration[name] = value
        return configuration

    @property
    def has_acknowledgements(self) -> bool:
        """Whether Kafka acknowledges messages; else acknowledged means sent."""
        return str(self.producer_configuration()["acks"]) != "0"

    def list_warnings(self) -> list[str]:
        """Return what is odd about the settings, a sentence each."""
        warnings = []
        if bool(self.username) != bool(self.password):
            missing = "PASSWORD" if self.username else "USERNAME"
            warnings.append(f"SASL is off, because LSST_KAFKA_SECURITY_{missing} is not set")
        overrides = self.producer_overrides | self.client_overrides
        warnings += [
            f"The Kafka property {name}={overrides[name]} is ignored: each delivery must be reported"
            for name, value in OVERRULED.items()
            if name in overrides and str(overrides[name]).lower() != str(value).lower()
        ]
        if not self.has_acknowledgements:
            warnings.append("acks=0: acknowledged means sent, and what Kafka loses is not noticed")
        return warnings

    def explain_refusal(self, make: Callable[[Configuration], object]) -> str:
        """Find the properties of the YAML files that librdkafka refuses alone; empty if there is none.

        ``make`` makes a client of a configuration, or raises an exception.
        """
        refused = []
        for path, overrides in (
            (self.producer_file, self.producer_overrides),
            (self.client_file, self.client_overrides),
        ):
            for name, value in overrides.items():
                try:
                    make({name: value, "log_level": 0})
                except (KafkaException, TypeError, ValueError) as error:
                    # Of a name that is misspelled nobody knows whether its value is secret.
                    is_known = "No such configuration property" not in str(error)
                    shown = HIDDEN if SECRET_PROPERTY.search(name) or not is_known else repr(value)
                    shown += "" if is_known else " (no such property)"
                    refused.append(f"{path or 'overrides'}: {name}: {shown}")
        return "; ".join(refused)

    @property
    def principal(self) -> str:
        """Who this is for Kafka, as far as the settings tell."""
        configuration = self.client_configuration()
        protocol = str(configuration.get("security.protocol", "plaintext")).upper()
        if "SASL" in protocol:
            return f"User:{configuration.get('sasl.username', '?')}"
        has_certificate = any(name.startswith(("ssl.certificate", "ssl.keystore")) for name in configuration)
        return "the client certificate's subject" if has_certificate else "User:ANONYMOUS"

    def redact(self, text: str) -> str:
        """Return a text without the passwords that are in the settings."""
        secrets = {self.password, *RegistryUrl.parse(self.registry_url).secrets}
        for overrides in (self.producer_overrides, self.client_overrides):
            secrets |= {str(value) for name, value in overrides.items() if SECRET_PROPERTY.search(name)}
        # The longest first: one may contain another.
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def __repr__(self) -> str:
        def show(overrides: Configuration) -> Configuration:
            return {
                name: HIDDEN if SECRET_PROPERTY.search(name) else value for name, value in overrides.items()
            }

        shown = {
            **vars(self),
            "registry_url": str(RegistryUrl.parse(self.registry_url)),
            "password": HIDDEN if self.password else None,
            "producer_overrides": show(self.producer_overrides),
            "client_overrides": show(self.client_overrides),
        }
        return f"KafkaSettings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def __str__(self) -> str:
        parts = [
            f"lsst.{self.subname} at {self.broker_addr}",
            f"schema registry {RegistryUrl.parse(self.registry_url)}",
            f"acks={self.producer_configuration()['acks']}",
        ]
        if self.username and self.password:
            parts.append(f"{self.security_protocol} with {self.security_mechanism} as {self.username}")
        parts += [f"settings of {path}" for path in (self.producer_file, self.client_file) if path]
        return escape(", ".join(parts))


def _limit_messages(configuration: Configuration) -> None:
    """Have a message refused that does not fit into the producer's queue: it would wait for room for ever."""
    try:
        size = int(configuration["queue.buffering.max.kbytes"]) * 1024
        is_larger = size < int(configuration.get("message.max.bytes", MAX_MESSAGE_SIZE))
    except (KeyError, TypeError, ValueError, OverflowError):
        # It is not limited, or librdkafka will tell what is wrong.
        return
    if is_larger:
        configuration["message.max.bytes"] = size


def _use_canonical_names(configuration: Mapping[str, Any]) -> Configuration:
    return {ALIASES.get(name, name): value for name, value in configuration.items()}


def _read_yaml(variable: str, path: str) -> Configuration:
    """Read librdkafka properties from the YAML file that a variable names."""
    # Imported only here: few installations need it, and it takes memory.
    try:
        import yaml
    except ImportError:
        raise SettingsError(f"{variable} is set, but PyYAML is not installed") from None
    try:
        content = yaml.safe_load(read_file(path, MAX_FILE_SIZE).decode())
    except OSError as error:
        raise SettingsError(f"{variable}={path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        # The error's own text may quote the file, and with it a password.
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        raise SettingsError(f"{variable}={path}: expected YAML, got something else{place}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(
            f"{variable}={path}: expected a mapping of properties, got {type(content).__name__}"
        )
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float | bool):
            raise SettingsError(
                f"{variable}={path}: expected a name and a plain value for each property, got "
                f"{name!r} with a value of type {type(value).__name__}"
            )
    return content
