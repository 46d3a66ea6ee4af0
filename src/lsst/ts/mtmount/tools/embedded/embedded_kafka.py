"""The embedded broker, librdkafka's mock cluster, with the embedded registry."""

from collections.abc import Iterable
from typing import Self

from confluent_kafka import Producer

from .embedded_registry import EmbeddedRegistry

__all__ = ["EmbeddedKafka"]

#: Upper bound for the mock cluster to answer [s].
ANSWER_TIMEOUT = 10.0

#: Syslog level of what librdkafka prints: errors. It announces the mock cluster
#: with a notice, which would clutter the terminal.
LOG_LEVEL = 3


class EmbeddedKafka:
    """A Kafka broker and a schema registry inside this process. A context manager.

    Each instance starts empty. The package's notes say how the broker differs
    from Apache Kafka.
    """

    def __init__(self) -> None:
        self.registry = EmbeddedRegistry()
        self._bootstrap_servers = ""
        # The mock cluster lives as long as the producer that it belongs to.
        self._owner: Producer | None = None

    def __enter__(self) -> Self:
        """Start both; `confluent_kafka.KafkaException` if the broker does not come up."""
        if self._owner is not None:
            raise RuntimeError("the embedded broker is running already")
        owner = Producer({"test.mock.num.brokers": 1, "log_level": LOG_LEVEL})
        brokers = owner.list_topics(timeout=ANSWER_TIMEOUT).brokers.values()
        self._bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        self.registry.__enter__()
        self._owner = owner
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def bootstrap_servers(self) -> str:
        """Address of the broker, as ``host:port``; `RuntimeError` if it is not running."""
        self._get_owner()
        return self._bootstrap_servers

    @property
    def registry_url(self) -> str:
        """URL of the schema registry."""
        return self.registry.url

    def close(self) -> None:
        """Stop both; all records and schemas are gone."""
        self.registry.close()
        self._owner = None

    def create_topics(self, topics: Iterable[str]) -> None:
        """Create topics; those that exist already stay as they are.

        `confluent_kafka.KafkaException` if the broker does not answer, or refuses.
        """
        owner = self._get_owner()
        for topic in topics:
            # A producer's request for metadata creates the topic.
            owner.list_topics(topic, timeout=ANSWER_TIMEOUT)

    def environment(self, subname: str = "embedded") -> dict[str, str]:
        """Return the environment variables that lead a program here, to topics of name space ``subname``."""
        return {
            "LSST_TOPIC_SUBNAME": subname,
            "LSST_KAFKA_BROKER_ADDR": self.bootstrap_servers,
            "LSST_SCHEMA_REGISTRY_URL": self.registry_url,
        }

    def _get_owner(self) -> Producer:
        if self._owner is None:
            raise RuntimeError("the embedded broker is not running")
        return self._owner
