"""A Kafka that does not let the client write, from the start on or later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from lsst.ts.mtmount.sal import KafkaPublisher, KafkaSettings, KafkaSetupError, load_packaged_interface

from .kafka import ApicurioRegistry, KafkaCluster
from .test_sal_setup import make_settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

LOG = logging.getLogger("MTMount")
TOPICS = list(load_packaged_interface().topics.values())
TIMEOUT = 60.0

#: Who has no permission may do what no rule forbids.
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "allow.everyone.if.no.acl.found": "true",
}


def set_permission(
    settings: KafkaSettings, topic: str, operation: AclOperation, kind: AclPermissionType
) -> None:
    """Let Kafka permit or deny an operation to the user of the settings."""
    rule = AclBinding(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, settings.principal, "*", operation, kind
    )
    admin = AdminClient(settings.client_configuration())
    for future in admin.create_acls([rule]).values():
        future.result(TIMEOUT)


async def test_write_permission(
    start_cluster: Callable[..., KafkaCluster],
    schema_registry: ApicurioRegistry,
    subname: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = await asyncio.to_thread(start_cluster, sasl="SCRAM-SHA-512", properties=AUTHORIZER)
    settings = make_settings(cluster, schema_registry, subname)
    publisher = KafkaPublisher(settings, LOG)
    async with asyncio.timeout(TIMEOUT):
        await publisher.start(TOPICS)
        names = [topic.kafka_topic(subname) for topic in TOPICS[:2]]
        await publisher.send(names[0], b"x", b"")
        assert await publisher.flush(TIMEOUT) == 0
        assert publisher.deliveries.acknowledged == 1
        # Revoked while it runs.
        await asyncio.to_thread(
            set_permission, settings, names[0], AclOperation.WRITE, AclPermissionType.DENY
        )
        while not publisher.health.missing_permission:
            await publisher.send(names[0], b"x", b"")
            await publisher.flush(TIMEOUT)
            publisher.serve()
        await publisher.close(TIMEOUT)
    expected = f"does not authorize WRITE to {names[0]} for User:mtmount"
    (record,) = (record for record in caplog.records if expected in record.getMessage())
    assert record.levelno == logging.ERROR

    # Missing at the start.
    await asyncio.to_thread(set_permission, settings, names[1], AclOperation.READ, AclPermissionType.ALLOW)
    with pytest.raises(
        KafkaSetupError, match=f"does not authorize WRITE to {names[0]}, {names[1]} for User:"
    ):
        await KafkaPublisher(settings, LOG).start(TOPICS)
