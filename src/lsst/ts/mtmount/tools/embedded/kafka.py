"""The embedded broker and registry, as one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Self

from .broker import EmbeddedBroker
from .registry import EmbeddedRegistry

__all__ = ["EmbeddedKafka"]

#: Environment variables of SAL over Kafka begin with one of these.
VARIABLE_PREFIXES = ("LSST_KAFKA_", "LSST_SCHEMA_REGISTRY_", "LSST_TOPIC_SUBNAME")


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

    def process_environment(
        self, subname: str = "embedded", base: Mapping[str, str] = os.environ
    ) -> dict[str, str]:
        """Return a whole environment for a program that is to publish here.

        Other variables are those of ``base``, but for its settings of another Kafka (such as a user name).
        """
        others = {name: value for name, value in base.items() if not name.startswith(VARIABLE_PREFIXES)}
        return others | self.environment(subname)
