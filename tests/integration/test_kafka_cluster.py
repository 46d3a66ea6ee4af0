"""The real Kafka that other tests rely on: it stores, survives and refuses what it should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import KafkaError, Message, Producer

from .kafka import KafkaCluster, ServerError, SmallDisk, create_topic, find_leader, read_topic

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

#: Longest time for a producer to deliver what it holds [s].
FLUSH_TIMEOUT = 60.0


class Deliveries:
    """What became of each message of a producer."""

    def __init__(self) -> None:
        self.acknowledged: list[bytes] = []
        self.errors: list[KafkaError] = []

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.errors.append(error)
        else:
            value = message.value()
            assert value is not None
            self.acknowledged.append(value)


def make_producer(cluster: KafkaCluster, **settings: Any) -> Producer:
    names = {
        name if name == "error_cb" else name.replace("_", "."): value for name, value in settings.items()
    }
    # Failed connections are what many of these tests are about; librdkafka need not print them.
    return Producer(cluster.client_configuration() | {"log_level": 0} | names)


def produce(producer: Producer, topic: str, numbers: range, deliveries: Deliveries) -> list[bytes]:
    values = [f"{number:06d}".encode() for number in numbers]
    for value in values:
        producer.produce(topic, value, partition=0, on_delivery=deliveries)
        producer.poll(0)
    return values


def read_values(cluster: KafkaCluster, topic: str) -> list[bytes | None]:
    return [message.value() for message in read_topic(cluster, topic)]


def wait_connection_error(cluster: KafkaCluster, **settings: str) -> KafkaError:
    """Return the first error that a connection with these settings reports."""
    errors: list[KafkaError] = []
    producer = make_producer(cluster, error_cb=errors.append, **settings)
    deadline = time.monotonic() + FLUSH_TIMEOUT
    while not errors and time.monotonic() < deadline:
        producer.poll(1.0)
    return errors[0]


def test_round_trip(single_broker: KafkaCluster, subname: str) -> None:
    create_topic(single_broker, subname)
    deliveries = Deliveries()
    producer = make_producer(single_broker)
    values = produce(producer, subname, range(1000), deliveries)
    assert producer.flush(FLUSH_TIMEOUT) == 0
    assert not deliveries.errors
    assert deliveries.acknowledged == values
    assert read_values(single_broker, subname) == values


def test_topics_are_not_created_by_use(single_broker: KafkaCluster, subname: str) -> None:
    deliveries = Deliveries()
    producer = make_producer(single_broker, topic_metadata_propagation_max_ms=100)
    produce(producer, subname, range(1), deliveries)
    assert producer.flush(FLUSH_TIMEOUT) == 0
    assert [error.code() for error in deliveries.errors] == [KafkaError.UNKNOWN_TOPIC_OR_PART]


def test_killed_broker_returns_with_its_data(start_cluster: Callable[..., KafkaCluster]) -> None:
    cluster = start_cluster()
    create_topic(cluster, "kept")
    deliveries = Deliveries()
    producer = make_producer(cluster, enable_idempotence="true")
    before = produce(producer, "kept", range(500), deliveries)
    assert producer.flush(FLUSH_TIMEOUT) == 0
    address = cluster.bootstrap_servers

    cluster.kill(1)
    assert not cluster.is_running(1)
    during = produce(producer, "kept", range(500, 1000), deliveries)
    assert len(producer) == len(during)
    cluster.restart(1)

    assert cluster.bootstrap_servers == address
    assert producer.flush(FLUSH_TIMEOUT) == 0
    assert not deliveries.errors
    assert read_values(cluster, "kept") == before + during


def test_orderly_restart(start_cluster: Callable[..., KafkaCluster]) -> None:
    cluster = start_cluster()
    create_topic(cluster, "kept")
    producer = make_producer(cluster)
    values = produce(producer, "kept", range(10), Deliveries())
    assert producer.flush(FLUSH_TIMEOUT) == 0
    cluster.restart(1)
    assert read_values(cluster, "kept") == values


def test_frozen_broker_delivers_late(start_cluster: Callable[..., KafkaCluster]) -> None:
    cluster = start_cluster()
    create_topic(cluster, "late")
    deliveries = Deliveries()
    producer = make_producer(cluster)
    cluster.suspend(1)
    values = produce(producer, "late", range(10), deliveries)
    assert producer.flush(1.0) == len(values)
    cluster.resume(1)
    assert producer.flush(FLUSH_TIMEOUT) == 0
    assert read_values(cluster, "late") == values


def test_killed_leader_loses_and_doubles_nothing(three_brokers: KafkaCluster, subname: str) -> None:
    create_topic(three_brokers, subname)
    deliveries = Deliveries()
    producer = make_producer(three_brokers, acks="all", enable_idempotence="true")
    values = produce(producer, subname, range(5000), deliveries)
    leader = find_leader(three_brokers, subname)
    # Some are acknowledged, others are in flight.
    while not deliveries.acknowledged:
        producer.poll(1.0)

    three_brokers.kill(leader)
    values += produce(producer, subname, range(5000, 10_000), deliveries)
    find_leader(three_brokers, subname, other_than=leader)
    assert producer.flush(FLUSH_TIMEOUT) == 0
    assert not deliveries.errors
    assert read_values(three_brokers, subname) == values

    three_brokers.restart(leader)
    assert all(three_brokers.is_running(broker_id) for broker_id in three_brokers.broker_ids)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_scram(start_cluster: Callable[..., KafkaCluster], tls: bool) -> None:
    cluster = start_cluster(sasl="SCRAM-SHA-512", tls=tls)
    create_topic(cluster, "guarded")
    producer = make_producer(cluster)
    values = produce(producer, "guarded", range(100), Deliveries())
    assert producer.flush(FLUSH_TIMEOUT) == 0
    assert read_values(cluster, "guarded") == values

    error = wait_connection_error(cluster, sasl_password="wrong")
    assert error.code() == KafkaError._AUTHENTICATION
    error = wait_connection_error(cluster, sasl_username="stranger")
    assert error.code() == KafkaError._AUTHENTICATION


def test_tls(start_cluster: Callable[..., KafkaCluster], tmp_path: Path) -> None:
    cluster = start_cluster(tls=True)
    create_topic(cluster, "hidden")
    producer = make_producer(cluster)
    values = produce(producer, "hidden", range(100), Deliveries())
    assert producer.flush(FLUSH_TIMEOUT) == 0
    assert read_values(cluster, "hidden") == values

    with KafkaCluster(tls=True) as other:
        wrong_authority = str(other.client_configuration()["ssl.ca.location"])
        error = wait_connection_error(cluster, ssl_ca_location=wrong_authority)
    # By the moment it is noticed, its code is _SSL or _TRANSPORT.
    assert "certificate verify failed" in error.str()


def test_message_over_the_brokers_limit(start_cluster: Callable[..., KafkaCluster]) -> None:
    cluster = start_cluster(properties={"message.max.bytes": "1000"})
    create_topic(cluster, "limited")
    deliveries = Deliveries()
    producer = make_producer(cluster)
    producer.produce("limited", b"x" * 2000, on_delivery=deliveries)
    assert producer.flush(FLUSH_TIMEOUT) == 0
    assert [error.code() for error in deliveries.errors] == [KafkaError.MSG_SIZE_TOO_LARGE]


def test_full_disk_stops_the_broker_until_there_is_space(start_cluster: Callable[..., KafkaCluster]) -> None:
    obstacle = SmallDisk.find_obstacle()
    if obstacle is not None:
        pytest.skip(f"no disk to fill: {obstacle}")
    cluster = start_cluster(disk_size="64m")
    create_topic(cluster, "stored")
    deliveries = Deliveries()
    producer = make_producer(cluster, enable_idempotence="true", linger_ms=0)
    before = produce(producer, "stored", range(10), deliveries)
    assert producer.flush(FLUSH_TIMEOUT) == 0

    cluster.disk.fill()
    # More than fits in the page that the log's end is in.
    during = produce(producer, "stored", range(10, 5000), deliveries)
    cluster.wait_ended(1)
    assert "No space left on device" in cluster.read_log(1)

    cluster.disk.free()
    cluster.restart(1)
    assert producer.flush(FLUSH_TIMEOUT) == 0
    assert not deliveries.errors
    assert read_values(cluster, "stored") == before + during


def test_environment(start_cluster: Callable[..., KafkaCluster]) -> None:
    cluster = start_cluster(sasl="SCRAM-SHA-512", tls=True)
    environment = cluster.environment("summit", "http://127.0.0.1:1/registry")
    configuration = cluster.client_configuration()
    assert environment["LSST_TOPIC_SUBNAME"] == "summit"
    assert environment["LSST_KAFKA_BROKER_ADDR"] == configuration["bootstrap.servers"]
    assert environment["LSST_KAFKA_REPLICATION_FACTOR"] == "1"
    assert environment["LSST_SCHEMA_REGISTRY_URL"] == "http://127.0.0.1:1/registry"
    assert environment["LSST_KAFKA_SECURITY_USERNAME"] == configuration["sasl.username"]
    assert environment["LSST_KAFKA_SECURITY_PASSWORD"] == configuration["sasl.password"]
    assert environment["LSST_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
    assert environment["LSST_KAFKA_SECURITY_MECHANISM"] == "SCRAM-SHA-512"
    settings = Path(environment["LSST_KAFKA_BROKER_CLIENT_CONFIGURATION"]).read_text()
    assert str(configuration["ssl.ca.location"]) in settings


def test_broken_settings_are_reported_with_the_log(kafka_tools: None) -> None:
    with pytest.raises(ServerError, match=r"num\.network\.threads"):
        KafkaCluster(properties={"num.network.threads": "none"}).start()


@contextmanager
def run_program(folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run the program of ``make kafka``, with temporary files in a folder; give the variables it prints."""
    command = [sys.executable, "-m", "tests.integration.kafka", "--no-registry"]
    environment = os.environ | {"TMPDIR": str(folder)}
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, env=environment) as program:
        assert program.stdout is not None
        lines = iter(program.stdout.readline, "# Kafka runs until Ctrl-C.\n")
        yield program, dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)


def test_brokers_end_with_a_killed_session(kafka_tools: None, tmp_path: Path) -> None:
    with run_program(tmp_path) as (program, variables):
        servers = psutil.Process(program.pid).children(recursive=True)
        assert variables["LSST_TOPIC_SUBNAME"] == "test"
        assert [server.name() for server in servers] == ["java"]
        program.kill()
    gone, alive = psutil.wait_procs(servers, timeout=30)
    assert len(gone) == 1
    assert not alive


def test_program_ends_orderly_on_interrupt(kafka_tools: None, tmp_path: Path) -> None:
    with run_program(tmp_path) as (program, _):
        assert program.stdout is not None
        program.send_signal(signal.SIGINT)
        assert program.stdout.readline() == "# Kafka has ended.\n"
    assert program.returncode == 0
    assert list(tmp_path.iterdir()) == []
