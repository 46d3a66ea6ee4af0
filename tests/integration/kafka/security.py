"""What a listener demands of its clients: TLS, a password, both, or nothing."""

from __future__ import annotations

import secrets
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import yaml

from ...ports import LOOPBACK

#: Settings of a librdkafka client, with the type that its constructors take.
ClientConfiguration: TypeAlias = dict[str, str | int | float | bool]

#: Name of the user that `Security` with SASL knows.
USERNAME = "mtmount"

#: Name of the clients' listener.
CLIENT_LISTENER = "CLIENT"

#: The SASL mechanism that the observatory's brokers use; the only one set up here.
SCRAM = "SCRAM-SHA-512"


@dataclass(frozen=True)
class Security:
    """Security of the clients' listener, in the words of each side.

    Parameters
    ----------
    sasl : `str` or `None`
        ``"SCRAM-SHA-512"``, or None for no password.
    certificate : `pathlib.Path` or `None`
        PEM file with key and certificate (see `make_certificate`), or None for no TLS.
    password : `str`
        Password of `USERNAME`.

    Raises
    ------
    ValueError
        If ``sasl`` is another mechanism.
    """

    sasl: str | None = None
    certificate: Path | None = None
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def __post_init__(self) -> None:
        if self.sasl not in (None, SCRAM):
            raise ValueError(f"sasl={self.sasl!r} must be None or {SCRAM!r}")

    @property
    def protocol(self) -> str:
        """Kafka's name of the security protocol."""
        transport = "SSL" if self.certificate else "PLAINTEXT"
        return f"SASL_{transport}" if self.sasl else transport

    def make_broker_properties(self) -> dict[str, str]:
        """Return the settings of a broker's ``CLIENT`` listener."""
        prefix = f"listener.name.{CLIENT_LISTENER.lower()}"
        properties = {}
        if self.sasl:
            module = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            properties[f"{prefix}.sasl.enabled.mechanisms"] = self.sasl
            properties[f"{prefix}.{self.sasl.lower()}.sasl.jaas.config"] = module
        if self.certificate:
            properties[f"{prefix}.ssl.keystore.type"] = "PEM"
            properties[f"{prefix}.ssl.keystore.location"] = str(self.certificate)
        return properties

    def make_format_arguments(self) -> list[str]:
        """Return arguments of the storage tool that create the user."""
        if not self.sasl:
            return []
        return ["--add-scram", f"{self.sasl}=[name={USERNAME},password={self.password}]"]

    def make_client_configuration(self) -> ClientConfiguration:
        """Return librdkafka settings."""
        configuration: ClientConfiguration = {"security.protocol": self.protocol}
        if self.sasl:
            configuration["sasl.mechanism"] = self.sasl
            configuration["sasl.username"] = USERNAME
            configuration["sasl.password"] = self.password
        configuration.update(self._make_tls_configuration())
        return configuration

    def make_environment(self, folder: Path) -> dict[str, str]:
        """Return the environment variables of a SAL component.

        Parameters
        ----------
        folder : `pathlib.Path`
            Where to write the YAML file of TLS settings, if there are any.
        """
        environment = {}
        if self.sasl:
            environment["LSST_KAFKA_SECURITY_USERNAME"] = USERNAME
            environment["LSST_KAFKA_SECURITY_PASSWORD"] = self.password
            environment["LSST_KAFKA_SECURITY_PROTOCOL"] = self.protocol
            environment["LSST_KAFKA_SECURITY_MECHANISM"] = self.sasl
        if self.certificate:
            path = folder / "client.yaml"
            tls = {"security.protocol": self.protocol} | self._make_tls_configuration()
            path.write_text(yaml.safe_dump(tls))
            environment["LSST_KAFKA_BROKER_CLIENT_CONFIGURATION"] = str(path)
        return environment

    def _make_tls_configuration(self) -> dict[str, str]:
        """Return librdkafka settings for TLS alone."""
        return {"ssl.ca.location": str(self.certificate)} if self.certificate else {}


def make_certificate(path: Path) -> None:
    """Write a private key and a self-signed certificate for the loopback interface.

    Parameters
    ----------
    path : `pathlib.Path`
        PEM file to write; as it holds the certificate, it serves a client as authority too.
    """
    key = path.with_suffix(".key")
    certificate = path.with_suffix(".crt")
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={LOOPBACK}"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-addext", f"subjectAltName=IP:{LOOPBACK},DNS:localhost"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    path.write_bytes(key.read_bytes() + certificate.read_bytes())
