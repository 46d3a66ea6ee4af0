"""What a cluster with an authorizer lets its clients do."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from .cluster import KafkaCluster
from .security import USERNAME

#: Properties of a broker with an authorizer: who is not named by a rule may do what no rule forbids.
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "allow.everyone.if.no.acl.found": "true",
}

#: Longest time of one request [s].
REQUEST_TIMEOUT = 30.0


def set_permission(
    cluster: KafkaCluster,
    name: str,
    operation: AclOperation,
    kind: AclPermissionType,
    resource: ResourceType = ResourceType.TOPIC,
) -> None:
    """Permit or deny the cluster's user an operation.

    Parameters
    ----------
    cluster : `KafkaCluster`
        Where.
    name : `str`
        Name of the topic or group.
    operation : `AclOperation`
        What to do with it.
    kind : `AclPermissionType`
        ALLOW or DENY.
    resource : `ResourceType`
        TOPIC or GROUP.
    """
    rule = AclBinding(resource, name, ResourcePatternType.LITERAL, f"User:{USERNAME}", "*", operation, kind)
    admin = AdminClient(cluster.client_configuration())
    for future in admin.create_acls([rule]).values():
        future.result(REQUEST_TIMEOUT)


def remove_permissions(cluster: KafkaCluster, topic: str) -> None:
    """Remove all rules of a topic.

    Parameters
    ----------
    cluster : `KafkaCluster`
        Where.
    topic : `str`
        Name of the topic.
    """
    rules = AclBindingFilter(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        None,  # type: ignore[arg-type]  # any principal
        None,  # type: ignore[arg-type]  # any host
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    admin = AdminClient(cluster.client_configuration())
    for future in admin.delete_acls([rules]).values():
        future.result(REQUEST_TIMEOUT)
