"""``run_mtmount_telemetry_client --check`` against a real Kafka that is right, and wrong in one way each."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from lsst.ts.mtmount.sal import KafkaPublisher, KafkaSettings, load_packaged_interface
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..integration.kafka import AUTHORIZER, KafkaCluster, create_topic, find_leader, set_permission
from .health_check import CheckResult, RecordFault, check

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

LOG = logging.getLogger("MTMount")
TIMEOUT = 60.0
TOPICS = list(load_packaged_interface().topics.values())


@pytest.fixture(scope="module")
def secure_broker(kafka_tools: None) -> Iterator[KafkaCluster]:
    """One broker with TLS, passwords and permissions."""
    with KafkaCluster(sasl="SCRAM-SHA-512", tls=True, properties=AUTHORIZER) as cluster:
        yield cluster


@pytest.fixture
def lead_to(
    embedded_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch, subname: str
) -> Callable[[KafkaCluster], None]:
    """Set the environment to a cluster and the embedded registry."""
    for name in [name for name in os.environ if name.startswith("LSST_")]:
        monkeypatch.delenv(name)

    def lead(cluster: KafkaCluster) -> None:
        for name, value in cluster.environment(subname, embedded_kafka.registry_url).items():
            monkeypatch.setenv(name, value)

    return lead


@pytest.fixture
async def tma_port() -> AsyncIterator[int]:
    """Port of a TMA that sends."""
    async with TmaSimulator() as simulator:
        yield simulator.port


async def set_up() -> None:
    """Make topics and schemas, as a client's start does."""
    publisher = KafkaPublisher(KafkaSettings.from_environment(), LOG)
    async with asyncio.timeout(TIMEOUT):
        await publisher.start(TOPICS)
        await publisher.close(TIMEOUT)


def find_failures(result: CheckResult) -> dict[str, str]:
    return {subject: found for subject, (status, found) in result.found.items() if status == "failed"}


async def test_all_is_well(
    secure_broker: KafkaCluster, lead_to: Callable[[KafkaCluster], None], tma_port: int
) -> None:
    lead_to(secure_broker)
    await set_up()
    # No group is joined, so none is needed.
    await asyncio.to_thread(
        set_permission,
        secure_broker,
        "lsst.ts.mtmount.health_check",
        AclOperation.ALL,
        AclPermissionType.DENY,
        ResourceType.GROUP,
    )
    result = await check(tma_port)
    assert result.exit_status == 0
    expected = {
        "Kafka": "answers, 1 broker",
        "TLS": "used (SASL_SSL)",
        "SASL": "logged in (SCRAM-SHA-512)",
        "broker 1": "which takes connections",
        "topics": "all 31 are there",
        "partitions": "one each",
        "leaders": "all partitions have one",
        "authorisations": "all that is needed",
        "schemas": "all 31 are registered as they are",
        "other publishers": "none in",
    }
    for subject, text in expected.items():
        status, found = result.found[subject]
        assert status == "ok", found
        assert text in found
    # And nothing is said to be wrong in the first night, when nothing was published yet.
    assert [line for line in result.lines.values() if line.startswith("warning")] == []


async def test_wrong_password(
    secure_broker: KafkaCluster,
    lead_to: Callable[[KafkaCluster], None],
    record_fault: RecordFault,
    tma_port: int,
) -> None:
    lead_to(secure_broker)
    result = await check(tma_port, LSST_KAFKA_SECURITY_PASSWORD="pa55word")
    assert list(find_failures(result)) == ["SASL"]
    assert "uthentication failed" in result.lines["SASL"]
    assert "pa55word" not in str(result)
    record_fault("the password is wrong", result, "SASL")


async def test_unknown_certificate(
    secure_broker: KafkaCluster,
    lead_to: Callable[[KafkaCluster], None],
    record_fault: RecordFault,
    tma_port: int,
    tmp_path: Path,
) -> None:
    lead_to(secure_broker)
    path = tmp_path / "client.yaml"
    # Without the certificate's authority.
    path.write_text("security.protocol: SASL_SSL\n")
    result = await check(tma_port, LSST_KAFKA_BROKER_CLIENT_CONFIGURATION=str(path))
    assert list(find_failures(result)) == ["TLS"]
    assert "certificate verify failed" in result.lines["TLS"]
    record_fault("the broker's certificate is not trusted", result, "TLS")


async def test_missing_permissions(
    secure_broker: KafkaCluster,
    lead_to: Callable[[KafkaCluster], None],
    record_fault: RecordFault,
    tma_port: int,
    subname: str,
) -> None:
    lead_to(secure_broker)
    for name, operation in (("azimuth", AclOperation.READ), ("elevation", AclOperation.WRITE)):
        topic = f"lsst.{subname}.MTMount.{name}"
        await asyncio.to_thread(create_topic, secure_broker, topic)
        await asyncio.to_thread(set_permission, secure_broker, topic, operation, AclPermissionType.ALLOW)
    result = await check(tma_port)
    assert find_failures(result) == {
        "authorisations": f"no WRITE for 1 topic, lsst.{subname}.MTMount.azimuth first"
    }
    record_fault("WRITE is not permitted", result, "authorisations")
    # We need not read, a monitor does.
    azimuth = f"lsst.{subname}.MTMount.azimuth"
    await asyncio.to_thread(
        set_permission, secure_broker, azimuth, AclOperation.WRITE, AclPermissionType.ALLOW
    )
    result = await check(tma_port)
    assert result.found["authorisations"] == (
        "warning",
        f"no READ for 1 topic, lsst.{subname}.MTMount.elevation first",
    )


async def test_advertised_address_that_is_not_there(
    start_cluster: Callable[..., KafkaCluster],
    lead_to: Callable[[KafkaCluster], None],
    record_fault: RecordFault,
    tma_port: int,
) -> None:
    cluster = await asyncio.to_thread(start_cluster, advertised_port=1)
    lead_to(cluster)
    result = await check(tma_port)
    assert find_failures(result) == {
        "broker 1": "advertises 127.0.0.1:1, which cannot be reached: Connection refused"
    }
    record_fault("Kafka advertises an address that cannot be reached", result, "broker 1")


async def test_partition_without_a_leader(
    three_brokers: KafkaCluster,
    lead_to: Callable[[KafkaCluster], None],
    record_fault: RecordFault,
    tma_port: int,
    subname: str,
) -> None:
    lead_to(three_brokers)
    topic = f"lsst.{subname}.MTMount.azimuth"
    admin = AdminClient(three_brokers.client_configuration())
    new_topic = NewTopic(topic, 1, replication_factor=1)
    await asyncio.to_thread(admin.create_topics([new_topic])[topic].result, TIMEOUT)
    leader = await asyncio.to_thread(find_leader, three_brokers, topic)
    await asyncio.to_thread(three_brokers.kill, leader)
    try:
        async with asyncio.timeout(TIMEOUT):
            while "leaders" not in find_failures(result := await check(tma_port)):
                pass
    finally:
        await asyncio.to_thread(three_brokers.restart, leader)
    assert result.found["leaders"] == ("failed", f"1 topic has none, {topic} first")
    record_fault("a partition has no leader", result, "leaders")
