"""The embedded broker: librdkafka's mock cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from confluent_kafka import Producer

__all__ = ["EmbeddedBroker"]

#: Upper bound for the mock cluster to answer [s].
ANSWER_TIMEOUT = 10.0

#: Syslog level of what librdkafka prints: errors. It announces the mock cluster
#: with a notice, which would clutter the terminal.
LOG_LEVEL = 3


class EmbeddedBroker:
    """A Kafka broker inside this process. A context manager.

    The package's notes say how it differs from Apache Kafka.
    """

    def __init__(self) -> None:
        self._bootstrap_servers = ""
        # The mock cluster lives as long as the producer that it belongs to.
        self._owner: Producer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def bootstrap_servers(self) -> str:
        """Address for clients, as ``host:port``; `RuntimeError` if the broker is not running."""
        self._get_owner()
        return self._bootstrap_servers

    def start(self) -> None:
        """Start the broker; `confluent_kafka.KafkaException` if it does not come up."""
        if self._owner is not None:
            raise RuntimeError("the embedded broker is running already")
        owner = Producer({"test.mock.num.brokers": 1, "log_level": LOG_LEVEL})
        brokers = owner.list_topics(timeout=ANSWER_TIMEOUT).brokers.values()
        self._bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        self._owner = owner

    def close(self) -> None:
        """Stop the broker; all its records are gone."""
        self._owner = None

    def create_topics(self, topics: Iterable[str]) -> None:
        """Create topics; those that exist already stay as they are.

        `confluent_kafka.KafkaException` if the broker does not answer, or refuses.
        """
        owner = self._get_owner()
        for topic in topics:
            # A producer's request for metadata creates the topic.
            owner.list_topics(topic, timeout=ANSWER_TIMEOUT)

    def _get_owner(self) -> Producer:
        if self._owner is None:
            raise RuntimeError("the embedded broker is not running")
        return self._owner
