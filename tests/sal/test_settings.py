import logging
import math
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from confluent_kafka import Producer

from lsst.ts.mtmount.sal import KafkaSettings, SettingsError
from lsst.ts.mtmount.sal.kafka_settings import PRODUCER_DEFAULTS

SECRETS = ("pa55-sasl", "pa55-url", "pa55%2Durl", "pa55-key", "pa55-yaml", "pa55-phrase")


def settings(**environ: str) -> KafkaSettings:
    return KafkaSettings.from_environment({"LSST_TOPIC_SUBNAME": "sal", **environ})


def yaml_file(tmp_path: Path, text: str, name: str = "settings.yaml") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_defaults() -> None:
    found = settings()
    assert found.subname == "sal"
    assert found.replication_factor == 1
    assert found.registry_url == "http://schema-registry:8081"
    assert found.client_configuration() == {"bootstrap.servers": "broker:29092"}
    assert found.producer_configuration() == {"bootstrap.servers": "broker:29092", "acks": "1"}


def test_empty_variables_are_unset() -> None:
    names = (
        "LSST_KAFKA_BROKER_ADDR",
        "LSST_SCHEMA_REGISTRY_URL",
        "LSST_KAFKA_SECURITY_USERNAME",
        "LSST_KAFKA_SECURITY_PASSWORD",
        "LSST_KAFKA_SECURITY_PROTOCOL",
        "LSST_KAFKA_SECURITY_MECHANISM",
        "LSST_KAFKA_REPLICATION_FACTOR",
        "LSST_KAFKA_PRODUCER_WAIT_ACKS",
        "LSST_KAFKA_PRODUCER_CONFIGURATION",
        "LSST_KAFKA_BROKER_CLIENT_CONFIGURATION",
    )
    assert settings(**dict.fromkeys(names, "")) == settings()


@pytest.mark.parametrize("environ", [{}, {"LSST_TOPIC_SUBNAME": ""}])
def test_subname_is_required(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="LSST_TOPIC_SUBNAME to be set, got none"):
        KafkaSettings.from_environment(environ)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LSST_TOPIC_SUBNAME", "a/b"),
        ("LSST_TOPIC_SUBNAME", "a b"),
        ("LSST_KAFKA_REPLICATION_FACTOR", "three"),
        ("LSST_KAFKA_REPLICATION_FACTOR", "0"),
        ("LSST_KAFKA_PRODUCER_WAIT_ACKS", "some"),
        ("LSST_SCHEMA_REGISTRY_URL", "schema-registry:8081"),
        ("LSST_SCHEMA_REGISTRY_URL", "ftp://schema-registry"),
        ("LSST_SCHEMA_REGISTRY_URL", "http://schema-registry:port"),
        ("LSST_SCHEMA_REGISTRY_URL", "http://"),
    ],
)
def test_bad_value_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        settings(**{variable: value})


def test_sasl_needs_user_name_and_password() -> None:
    both = {"LSST_KAFKA_SECURITY_USERNAME": "me", "LSST_KAFKA_SECURITY_PASSWORD": "pw"}
    assert settings(**both).client_configuration() == {
        "bootstrap.servers": "broker:29092",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "pw",
    }
    changed = settings(
        **both,
        LSST_KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        LSST_KAFKA_SECURITY_MECHANISM="PLAIN",
    ).producer_configuration()
    assert (changed["security.protocol"], changed["sasl.mechanisms"]) == ("SASL_SSL", "PLAIN")
    for name, value in both.items():
        assert settings(**{name: value}).client_configuration() == settings().client_configuration()


def test_later_settings_win(tmp_path: Path) -> None:
    producer = (
        "{linger.ms: 7, acks: 0, retries: 3, bootstrap.servers: wrong, sasl.username: wrong, debug: msg}"
    )
    client = "{sasl.username: last, debug: broker, ssl.ca.location: /ca.pem}"
    found = settings(
        LSST_KAFKA_BROKER_ADDR="kafka:1",
        LSST_KAFKA_SECURITY_USERNAME="me",
        LSST_KAFKA_SECURITY_PASSWORD="pw",
        LSST_KAFKA_PRODUCER_WAIT_ACKS="all",
        LSST_KAFKA_PRODUCER_CONFIGURATION=yaml_file(tmp_path, producer, "producer.yaml"),
        LSST_KAFKA_BROKER_CLIENT_CONFIGURATION=yaml_file(tmp_path, client, "client.yaml"),
    )
    access = {
        "bootstrap.servers": "kafka:1",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "last",
        "sasl.password": "pw",
        "debug": "broker",
        "ssl.ca.location": "/ca.pem",
    }
    assert found.client_configuration() == access
    assert found.producer_configuration({"linger.ms": 1, "queue.buffering.max.messages": 5}) == {
        "queue.buffering.max.messages": 5,
        "linger.ms": 7,
        "acks": 0,
        "retries": 3,
        **access,
    }


def test_other_names_of_properties_do_not_hide_from_the_order(tmp_path: Path) -> None:
    producer = "{metadata.broker.list: wrong, request.required.acks: -1, queue.buffering.max.ms: 9}"
    found = settings(LSST_KAFKA_PRODUCER_CONFIGURATION=yaml_file(tmp_path, producer))
    assert found.producer_configuration({"linger.ms": 1}) == {
        "bootstrap.servers": "broker:29092",
        "acks": -1,
        "linger.ms": 9,
    }


@pytest.mark.parametrize(
    ("acks", "text", "expected"),
    [
        (None, "enable.idempotence: true", "all"),
        (None, "enable.idempotence: 'True'", "all"),
        (None, "enable.idempotence: false", "1"),
        (None, "{enable.idempotence: true, acks: 1}", 1),
        ("1", "enable.idempotence: true", "1"),
        ("all", "linger.ms: 1", "all"),
        (None, "linger.ms: 1", "1"),
    ],
)
def test_idempotence_without_explicit_acks_means_all(
    tmp_path: Path, acks: str | None, text: str, expected: object
) -> None:
    environ = {} if acks is None else {"LSST_KAFKA_PRODUCER_WAIT_ACKS": acks}
    found = settings(LSST_KAFKA_PRODUCER_CONFIGURATION=yaml_file(tmp_path, text), **environ)
    assert found.producer_configuration()["acks"] == expected


@pytest.mark.parametrize(
    "variable", ["LSST_KAFKA_PRODUCER_CONFIGURATION", "LSST_KAFKA_BROKER_CLIENT_CONFIGURATION"]
)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 1\n- 2\n", "expected a mapping of properties, got list"),
        ("linger.ms: [1]\n", "a plain value for each property, got 'linger.ms' with a value of type list"),
        ("linger.ms:\n", "a plain value for each property, got 'linger.ms' with a value of type NoneType"),
        ("1: 2\n", "a plain value for each property, got 1 with a value of type int"),
        ("linger.ms: 1\nsasl.password: 'pa55-yaml\n", r"expected YAML, got something else \(line 3\)"),
        ("sasl.password: !pa55-yaml x\n", r"expected YAML, got something else \(line 1\)"),
        ("sasl.password: pa55-yaml\x00\n", "expected YAML, got"),
    ],
)
def test_bad_yaml_is_refused_without_quoting_it(
    tmp_path: Path, variable: str, text: str, expected: str
) -> None:
    path = yaml_file(tmp_path, text)
    with pytest.raises(SettingsError, match=expected) as raised:
        settings(**{variable: path})
    assert f"{variable}={path}" in str(raised.value)
    assert "pa55" not in "".join(traceback.format_exception(raised.value))


def test_missing_yaml_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(SettingsError, match=r"none\.yaml cannot be read: No such file"):
        settings(LSST_KAFKA_PRODUCER_CONFIGURATION=str(path))


def test_empty_yaml_file_sets_nothing(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "# nothing\n")
    assert settings(LSST_KAFKA_PRODUCER_CONFIGURATION=path) == settings()


def test_passwords_are_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = "{ssl.key.password: pa55-key, ssl.keystore.location: /keys, debug: broker}"
    phrase = "sasl.oauthbearer.assertion.private.key.passphrase: pa55-phrase"
    producer = f"{{sasl.oauthbearer.client.secret: pa55-yaml, {phrase}}}"
    found = settings(
        LSST_KAFKA_SECURITY_USERNAME="me",
        LSST_KAFKA_SECURITY_PASSWORD="pa55-sasl",
        LSST_SCHEMA_REGISTRY_URL="http://reader:pa55%2Durl@registry:8081/base",
        LSST_KAFKA_PRODUCER_CONFIGURATION=yaml_file(tmp_path, producer, "producer.yaml"),
        LSST_KAFKA_BROKER_CLIENT_CONFIGURATION=yaml_file(tmp_path, client, "client.yaml"),
    )
    logging.getLogger("test.settings").warning("%s %r %s", found, found, [found])
    shown = f"{found} {found!r} {caplog.text}"
    assert not any(secret in shown for secret in SECRETS)
    # What is no secret is shown.
    assert "http://registry:8081/base" in shown
    assert "/keys" in shown
    assert "'debug': 'broker'" in shown

    redacted = found.redact(f"odd {' '.join(SECRETS)} text")
    assert redacted == "odd *** *** *** *** *** *** text"
    # The real ones are used.
    assert found.producer_configuration()["sasl.password"] == "pa55-sasl"
    assert found.producer_configuration()["ssl.key.password"] == "pa55-key"


def test_yaml_is_imported_only_for_a_yaml_file() -> None:
    program = (
        "import sys\n"
        "from lsst.ts.mtmount.sal import KafkaSettings\n"
        "KafkaSettings.from_environment({'LSST_TOPIC_SUBNAME': 'sal'})\n"
        "print(*sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    imported = set(result.stdout.split())
    heavy = {"yaml", "numpy", "fastavro", "rich", "httpx", "astropy", "confluent_kafka.schema_registry"}
    assert not heavy & imported
    assert "confluent_kafka" in imported


@pytest.mark.parametrize(
    "url",
    [
        "http://user:8080/s3cr3t@host:1",
        "http://user:80#s3cr3t@host:1",
        "http://user:80?s3cr3t@host:1",
        "http://host:1/path?token=s3cr3t",
        "http://host:1/#s3cr3t",
        "http://user:s3cr3t@host:1\n",
        "http://user:s3cr3t@host:1 s3cr3t",
        "http://user:s3cr3t@host:99999",
        "http://user:s3cr3t@host:port",
        "http://user:s3cr3t@[host:1",
        "http://user:s3cr3t@ho st:1",
        "http://user:s3cr3t@:1",
        "http:/user:s3cr3t@host:1",
        "user:s3cr3t@host:1",
        "ftp://user:s3cr3t@host:1",
    ],
)
def test_registry_url_that_may_hide_a_password(url: str) -> None:
    with pytest.raises(SettingsError, match="LSST_SCHEMA_REGISTRY_URL: expected ") as raised:
        settings(LSST_SCHEMA_REGISTRY_URL=url)
    shown = "".join(traceback.format_exception(raised.value))
    assert "s3cr3t" not in shown
    assert "user:8" not in shown


def test_registry_url_with_a_path() -> None:
    found = settings(LSST_SCHEMA_REGISTRY_URL="https://user:s3cr3t@[::1]:8081/apis/ccompat/v7/")
    assert "registry_url='https://[::1]:8081/apis/ccompat/v7'" in repr(found)


@pytest.mark.parametrize(("name", "missing"), [("USERNAME", "PASSWORD"), ("PASSWORD", "USERNAME")])
def test_half_a_login_is_told(name: str, missing: str) -> None:
    found = settings(**{f"LSST_KAFKA_SECURITY_{name}": "pa55"})
    assert found.list_warnings() == [f"SASL is off, because LSST_KAFKA_SECURITY_{missing} is not set"]


def test_settings_that_falsify_the_counters_are_overruled(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "{delivery.report.only.error: true, acks: 0, enabled_events: 0}")
    found = settings(LSST_KAFKA_PRODUCER_CONFIGURATION=path)
    assert found.producer_configuration()["delivery.report.only.error"] is False
    assert "enabled_events" not in found.producer_configuration()
    # A start with such a file must not end with a complaint of the library's.
    Producer(found.producer_configuration())
    assert [warning.partition(":")[0] for warning in found.list_warnings()] == [
        "The Kafka property delivery.report.only.error=True is ignored",
        "The Kafka property enabled_events=0 is ignored",
        "acks=0",
    ]
    assert settings().list_warnings() == []


def test_transactions_are_refused(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "transactional.id: x")
    with pytest.raises(SettingsError, match="expected no transactional.id"):
        settings(LSST_KAFKA_PRODUCER_CONFIGURATION=path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("queue.buffering.max.kbytes: 976", 976 * 1024),
        ("queue.buffering.max.kbytes: 977", None),
        ("message.max.bytes: 40000000", 32 << 20),
        ("{queue.buffering.max.kbytes: 1, message.max.bytes: 2000}", 1024),
        ("{queue.buffering.max.kbytes: 2, message.max.bytes: 2000}", 2000),
        # For the library to refuse.
        ("queue.buffering.max.kbytes: few", None),
        ("message.max.bytes: .inf", math.inf),
    ],
)
def test_a_message_fits_into_the_queue(tmp_path: Path, text: str, expected: float | None) -> None:
    found = settings(LSST_KAFKA_PRODUCER_CONFIGURATION=yaml_file(tmp_path, text))
    assert found.producer_configuration(PRODUCER_DEFAULTS).get("message.max.bytes") == expected


def test_the_culprit_of_a_file_is_named(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "{linger.ms: fast, acks: 1, sasl.password: pa55, retries: 3}")
    found = settings(LSST_KAFKA_PRODUCER_CONFIGURATION=path)
    assert found.explain_refusal(Producer) == f"{path}: linger.ms: 'fast'"


def test_settings_as_text(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "acks: 0\nsasl.password: pa55-yaml\n")
    found = settings(
        LSST_KAFKA_BROKER_ADDR="kafka:9092",
        LSST_SCHEMA_REGISTRY_URL="http://me:pa55-url@registry:8081",
        LSST_KAFKA_SECURITY_USERNAME="me",
        LSST_KAFKA_SECURITY_PASSWORD="pa55-sasl",
        LSST_KAFKA_PRODUCER_CONFIGURATION=path,
    )
    assert not found.has_acknowledgements
    assert str(found) == (
        "lsst.sal at kafka:9092, schema registry http://registry:8081, acks=0, "
        f"SASL_PLAINTEXT with SCRAM-SHA-512 as me, settings of {path}"
    )


@pytest.mark.parametrize(
    "address", ["user:pa55-sasl@kafka:9092", "kafka:9092,", "kafka:9092, b@c:1", "a\x1b:1", "a\udcff:1"]
)
def test_broker_address(address: str) -> None:
    with pytest.raises(SettingsError, match="for LSST_KAFKA_BROKER_ADDR") as raised:
        settings(LSST_KAFKA_BROKER_ADDR=address)
    assert address not in str(raised.value)
    for good in ("kafka", "kafka-1.ls.st:9092,10.0.0.1:9092", "[::1]:9092", "SASL_SSL://kafka:9092"):
        assert settings(LSST_KAFKA_BROKER_ADDR=good).broker_addr == good


def test_files_that_are_no_settings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    deep = yaml_file(tmp_path, "x: " + "[" * 3000, "deep")
    for path, reason in [
        (str(tmp_path / "fifo"), "expected a regular file"),
        ("/dev/zero", "expected a regular file"),
        (str(tmp_path), "expected a regular file"),
        (yaml_file(tmp_path, "#" * (1 << 20) + "#", "large"), "expected a file of up to 1048576 bytes"),
        (deep, "expected YAML"),
    ]:
        with pytest.raises(SettingsError, match=reason) as raised:
            settings(LSST_KAFKA_PRODUCER_CONFIGURATION=path)
        assert f"LSST_KAFKA_PRODUCER_CONFIGURATION={path}" in str(raised.value)


def test_a_misspelled_property_shows_no_value(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "sasl.pasword: pa55-yaml\n")
    found = settings(LSST_KAFKA_PRODUCER_CONFIGURATION=path)
    assert found.explain_refusal(Producer) == f"{path}: sasl.pasword: *** (no such property)"
