"""The embedded broker and registry, as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from .broker import EmbeddedBroker
from .registry import EmbeddedRegistry

__all__ = ["EmbeddedKafka"]


class EmbeddedKafka:
    """A Kafka broker and a schema registry inside this process. A context manager.

    Each instance starts empty. The package's notes say how the broker differs
    from Apache Kafka.
    """

    def __init__(self) -> None:
        self.broker = EmbeddedBroker()
        self.registry = EmbeddedRegistry()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def bootstrap_servers(self) -> str:
        """Address of the broker, as ``host:port``."""
        return self.broker.bootstrap_servers

    @property
    def registry_url(self) -> str:
        """URL of the schema registry."""
        return self.registry.url

    def start(self) -> None:
        """Start both."""
        self.broker.start()
        try:
            self.registry.start()
        except BaseException:
            self.broker.close()
            raise

    def close(self) -> None:
        """Stop both; all records and schemas are gone."""
        self.registry.close()
        self.broker.close()

    def create_topics(self, topics: Iterable[str]) -> None:
        """Create topics; those that exist already stay as they are."""
        self.broker.create_topics(topics)

    def environment(self, subname: str = "embedded") -> dict[str, str]:
        """Return the environment variables that lead a program here, to topics of name space ``subname``."""
        return {
            "LSST_TOPIC_SUBNAME": subname,
            "LSST_KAFKA_BROKER_ADDR": self.bootstrap_servers,
            "LSST_SCHEMA_REGISTRY_URL": self.registry_url,
        }
