"""A real Apache Kafka and a real schema registry for the integration tests."""

from .artifacts import ArtifactError, find_missing_tool
from .cluster import KafkaCluster
from .permissions import AUTHORIZER, remove_permissions, set_permission
from .process import ServerError
from .registry import ApicurioRegistry
from .small_disk import SmallDisk
from .topics import create_topic, find_leader, read_topic

__all__ = [
    "AUTHORIZER",
    "ApicurioRegistry",
    "ArtifactError",
    "KafkaCluster",
    "ServerError",
    "SmallDisk",
    "create_topic",
    "find_leader",
    "find_missing_tool",
    "read_topic",
    "remove_permissions",
    "set_permission",
]
