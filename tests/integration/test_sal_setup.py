"""The SAL backend's start on a real Kafka: what it creates, and how it says what is wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from lsst.ts.mtmount.sal import (
    Controller,
    KafkaPublisher,
    KafkaSettings,
    KafkaSetupError,
    load_packaged_interface,
)

from .kafka import ApicurioRegistry, KafkaCluster, create_topic, read_topic

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

LOG = logging.getLogger("MTMount")
TOPICS = list(load_packaged_interface().topics.values())
TIMEOUT = 60.0


def make_settings(
    cluster: KafkaCluster, registry: ApicurioRegistry, subname: str, **changes: str
) -> KafkaSettings:
    return KafkaSettings.from_environment({**cluster.environment(subname, registry.url), **changes})


async def run_controller(settings: KafkaSettings) -> Controller:
    """Start, write each topic once, and end with everything delivered."""
    controller = Controller(publisher=KafkaPublisher(settings, LOG))
    async with asyncio.timeout(TIMEOUT):
        try:
            await controller.start_task
            for topic in controller.topics.values():
                await topic.write()
        finally:
            await controller.close()
    assert controller.publisher.deliveries.failed == 0
    return controller


def describe_topics(settings: KafkaSettings) -> dict[str, tuple[int, int, str]]:
    """Return partitions, replicas and clean-up policy of the topics of a name space, by SAL name."""
    admin = AdminClient(settings.client_configuration())
    prefix = f"lsst.{settings.subname}."
    found = {
        name: topic
        for name, topic in admin.list_topics(timeout=TIMEOUT).topics.items()
        if name.startswith(prefix)
    }
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in found]
    policies = {
        resource.name: future.result(TIMEOUT)["cleanup.policy"].value
        for resource, future in admin.describe_configs(resources).items()
    }
    return {
        name.removeprefix(f"{prefix}MTMount."): (
            len(topic.partitions),
            len(topic.partitions[0].replicas),
            policies[name],
        )
        for name, topic in found.items()
    }


async def test_exactly_the_published_topics_are_created(
    start_cluster: Callable[..., KafkaCluster], schema_registry: ApicurioRegistry, subname: str
) -> None:
    # A broker that would create topics of its own making when it is asked about them.
    cluster = await asyncio.to_thread(
        start_cluster, properties={"auto.create.topics.enable": "true", "num.partitions": "7"}
    )
    settings = make_settings(cluster, schema_registry, subname)
    controller = await run_controller(settings)
    expected = {topic.sal_name: (1, 1, "compact" if topic.is_event else "delete") for topic in TOPICS}
    assert await asyncio.to_thread(describe_topics, settings) == expected
    # A second start finds everything there.
    again = await run_controller(settings)
    assert again.publisher.schemas == controller.publisher.schemas
    messages = await asyncio.to_thread(read_topic, cluster, TOPICS[0].kafka_topic(subname))
    assert len(messages) == 2
    assert {message.key() for message in messages} == {TOPICS[0].message_key()}


async def test_existing_topics_stay_as_they_are(
    single_broker: KafkaCluster, schema_registry: ApicurioRegistry, subname: str
) -> None:
    settings = make_settings(single_broker, schema_registry, subname)
    (topic,) = (topic for topic in TOPICS if topic.attr_name == "evt_logLevel")
    await asyncio.to_thread(
        create_topic, single_broker, topic.kafka_topic(subname), {"cleanup.policy": "delete"}
    )
    await run_controller(settings)
    found = await asyncio.to_thread(describe_topics, settings)
    assert len(found) == len(TOPICS)
    assert found["logevent_logLevel"] == (1, 1, "delete")


async def test_several_may_create_the_topics_at_once(
    single_broker: KafkaCluster, schema_registry: ApicurioRegistry, subname: str
) -> None:
    settings = make_settings(single_broker, schema_registry, subname)
    publishers = [KafkaPublisher(settings, LOG) for _ in range(4)]
    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*(publisher.start(TOPICS) for publisher in publishers))
    assert len({tuple(publisher.schemas.items()) for publisher in publishers}) == 1
    for publisher in publishers:
        await publisher.close(TIMEOUT)
    assert len(await asyncio.to_thread(describe_topics, settings)) == len(TOPICS)


async def test_replication(
    three_brokers: KafkaCluster, schema_registry: ApicurioRegistry, subname: str
) -> None:
    settings = make_settings(three_brokers, schema_registry, subname, LSST_KAFKA_REPLICATION_FACTOR="3")
    await run_controller(settings)
    found = await asyncio.to_thread(describe_topics, settings)
    assert {replicas for _, replicas, _ in found.values()} == {3}


async def test_impossible_replication_is_told(
    single_broker: KafkaCluster, schema_registry: ApicurioRegistry, subname: str
) -> None:
    settings = make_settings(single_broker, schema_registry, subname, LSST_KAFKA_REPLICATION_FACTOR="3")
    with pytest.raises(KafkaSetupError, match=rf"did not create the topic lsst\.{subname}\..*replica"):
        await KafkaPublisher(settings, LOG).start(TOPICS)


async def test_sasl_and_tls(
    start_cluster: Callable[..., KafkaCluster],
    schema_registry: ApicurioRegistry,
    subname: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secured = await asyncio.to_thread(start_cluster, sasl="SCRAM-SHA-512", tls=True)
    settings = make_settings(secured, schema_registry, subname)
    assert settings.password
    await run_controller(settings)
    assert len(await asyncio.to_thread(describe_topics, settings)) == len(TOPICS)
    assert settings.password not in caplog.text
    assert settings.password not in repr(settings)

    wrong = make_settings(secured, schema_registry, subname, LSST_KAFKA_SECURITY_PASSWORD="pa55word")
    with pytest.raises(KafkaSetupError, match=r"refused the connection: .*uthentication") as raised:
        await KafkaPublisher(wrong, LOG).start(TOPICS)
    assert "pa55word" not in str(raised.value)
    assert "pa55word" not in caplog.text
