"""Create, ask about and read back topics."""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from .cluster import KafkaCluster
from .process import POLL_INTERVAL

#: Longest time of one request to the cluster [s].
REQUEST_TIMEOUT = 30.0


def create_topic(cluster: KafkaCluster, topic: str, configuration: Mapping[str, str] | None = None) -> None:
    """Create a topic with one partition and a replica on each broker, and wait until it has a leader."""
    new_topic = NewTopic(topic, 1, cluster.num_brokers, config=dict(configuration or {}))
    admin = AdminClient(cluster.client_configuration())
    admin.create_topics([new_topic], request_timeout=REQUEST_TIMEOUT)[topic].result()
    find_leader(cluster, topic)


def find_leader(
    cluster: KafkaCluster, topic: str, *, other_than: int | None = None, timeout: float = REQUEST_TIMEOUT
) -> int:
    """Return the broker id of who leads the only partition of a topic; wait until it is not ``other_than``.

    `TimeoutError` if there is none within the time-out [s].
    """
    admin = AdminClient(cluster.client_configuration() | {"log_level": 0})
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            partitions = admin.list_topics(topic, timeout=timeout).topics[topic].partitions
        except KafkaException:
            partitions = {}
        leader = partitions[0].leader if partitions else -1
        if leader not in (-1, other_than):
            return int(leader)
        time.sleep(POLL_INTERVAL)
    raise TimeoutError(f"topic {topic!r} has no leader, or none but {other_than}, after {timeout} s")


def read_topic(cluster: KafkaCluster, topic: str, *, timeout: float = REQUEST_TIMEOUT) -> list[Message]:
    """Read all messages that the only partition of a topic holds now, in its order.

    `TimeoutError` if not all come within the time-out [s].
    """
    configuration = {"group.id": "reader", "enable.auto.commit": False, "auto.offset.reset": "error"}
    consumer = Consumer(cluster.client_configuration() | configuration)
    try:
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=timeout)
        consumer.assign([TopicPartition(topic, 0, first)])
        messages: list[Message] = []
        deadline = time.monotonic() + timeout
        # Offsets of one partition without transactions or compaction have no gaps.
        while len(messages) < end - first:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: read {len(messages)} of {end - first} messages in {timeout} s")
            for message in consumer.consume(10_000, timeout=1.0):
                if message.error() is not None:
                    raise KafkaException(message.error())
                messages.append(message)
        return messages
    finally:
        consumer.close()
