"""Creation of the Kafka topics that are missing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.cimpl import NewTopic

from ..resilience.escape import escape
from .admin_connection import AdminConnection, find_advertised_address, name_protocol
from .avro_schema import TopicInfo
from .kafka_settings import KafkaSettings
from .transient_errors import is_transient_kafka_error

if TYPE_CHECKING:
    from confluent_kafka.admin._metadata import ClusterMetadata

__all__ = ["KafkaNotReadyError", "KafkaSetupError", "create_missing_topics", "describe_kafka_error"]

#: How long Kafka may take at least for a topic's creation [s], however late it has answered.
MIN_CREATION_TIME = 0.5

#: Errors of a broker that gives its clients an address where it cannot be reached.
UNREACHABLE = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT)


class KafkaSetupError(RuntimeError):
    """Kafka cannot be reached, or cannot be used as configured. The text shows no password."""


class KafkaNotReadyError(KafkaSetupError):
    """Kafka does not answer, or cannot yet do what it is asked for: later it may."""


def describe_kafka_error(error: Exception) -> str:
    """Return the text of an error, Kafka's own without its code."""
    reason = error.args[0] if error.args else error
    return reason.str() if isinstance(reason, KafkaError) else str(reason)


def create_missing_topics(
    settings: KafkaSettings,
    topics: Iterable[TopicInfo],
    producer: Producer,
    log: logging.Logger,
    *,
    timeout: float,
    stop: threading.Event,
) -> None:
    """Create those of the topics that Kafka does not have; leave the others as they are.

    Kafka may create a topic when it is asked about it by name, with
    partitions and clean-up policy of its own choice. So it is asked for the
    list of all topics, which creates none.

    Topics are created by the cluster's controller. A cluster that names no
    controller (such as librdkafka's mock cluster) cannot be asked to create
    topics; there, and only there, being asked about them has to do.

    `KafkaNotReadyError` if Kafka does not answer within ``timeout`` [s], another thread
    sets ``stop``, or Kafka cannot create a topic yet; `KafkaSetupError` if it refuses the
    settings or to create a topic.
    """
    topics = list(topics)
    deadline = time.monotonic() + timeout
    with closing(_TopicAdmin(settings, log)) as admin:
        metadata = admin.list_topics(timeout, stop)
        missing = {
            name: topic
            for topic in topics
            if (name := topic.kafka_topic(settings.subname)) not in metadata.topics
        }
        if metadata.controller_id in metadata.brokers:
            if missing:
                admin.create_topics(missing, metadata, max(deadline - time.monotonic(), MIN_CREATION_TIME))
            names = [topic.kafka_topic(settings.subname) for topic in topics]
            admin.check_permission(names, metadata, timeout)
        elif missing:
            log.info(
                f"Kafka at {settings.broker_addr} names no controller: "
                f"{len(missing)} missing topics are left to its automatic creation"
            )
            for name in missing:
                left = max(deadline - time.monotonic(), MIN_CREATION_TIME)
                _ask_about_topic(settings, producer, name, left)


class _TopicAdmin:
    """An admin connection that explains what goes wrong."""

    def __init__(self, settings: KafkaSettings, log: logging.Logger) -> None:
        self._settings = settings
        self._log = log
        try:
            self._connection = AdminConnection(settings)
        except (KafkaException, TypeError, ValueError) as error:
            reason = settings.redact(describe_kafka_error(error))
            raise KafkaSetupError(f"The Kafka client settings are refused: {reason}") from None

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def list_topics(self, timeout: float, stop: threading.Event) -> ClusterMetadata:
        """Return the cluster's metadata, as soon as it answers."""
        try:
            return self._connection.list_topics(timeout, stop)
        except KafkaException as exception:
            error = exception.args[0]
        detail = self._show(error.str())
        where = f"Kafka at {self._settings.broker_addr}"
        if protocol := name_protocol(error):
            raise KafkaSetupError(f"expected {where}, got {protocol}: is LSST_KAFKA_BROKER_ADDR Kafka's?")
        if not is_transient_kafka_error(error):
            raise KafkaSetupError(f"{where} refused the connection: {detail}")
        if told := find_advertised_address(error, self._settings):
            where += f" advertises the address {told.host}:{told.port}, and"
        raise KafkaNotReadyError(f"{where} did not answer within {timeout:g} s: {detail}")

    def create_topics(self, missing: dict[str, TopicInfo], metadata: ClusterMetadata, timeout: float) -> None:
        """Create topics, which another process may be doing at the same moment."""
        requests = [
            NewTopic(
                name,
                num_partitions=1,
                replication_factor=self._settings.replication_factor,
                config={"cleanup.policy": "compact"} if topic.is_event else {},
            )
            for name, topic in missing.items()
        ]
        client = self._connection.client
        futures = client.create_topics(requests, operation_timeout=timeout, request_timeout=timeout)
        num_created = 0
        for name, future in futures.items():
            try:
                future.result()
            except KafkaException as exception:
                error = exception.args[0]
                if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    continue
                kind = KafkaNotReadyError if is_transient_kafka_error(error) else KafkaSetupError
                raise kind(
                    f"Kafka did not create the topic {name}: {self._show(error.str())}"
                    f"{self._explain(error, metadata)}"
                ) from None
            num_created += 1
        if num_created:
            self._log.info(f"Created {num_created} Kafka topics, such as {next(iter(missing))}")

    def _explain(self, error: KafkaError, metadata: ClusterMetadata) -> str:
        """Say more of why a topic was not created, as far as that is known."""
        if error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED):
            return f" (operation CREATE, principal {self._settings.principal})"
        self._connection.client.poll(0)
        controller = metadata.brokers[metadata.controller_id]
        if error.code() not in UNREACHABLE:
            return ""
        last = self._connection.error
        detail = self._show(last.str()) if last is not None else "no connection"
        return (
            f"; Kafka at {self._settings.broker_addr} advertises the address {controller.host}:"
            f"{controller.port} of its controller: {detail}"
        )

    def check_permission(self, names: list[str], metadata: ClusterMetadata, timeout: float) -> None:
        """Raise an error if Kafka says that topics may not be written, or its brokers cannot be reached."""
        forbidden = []
        futures = self._connection.client.describe_topics(
            TopicCollection(names), include_authorized_operations=True, request_timeout=timeout
        )
        for name, future in futures.items():
            try:
                operations = future.result().authorized_operations
            except KafkaException as exception:
                error = exception.args[0]
                if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    # Whoever may write a topic may also ask about it.
                    forbidden.append(name)
                    continue
                if error.code() in UNREACHABLE:
                    raise KafkaNotReadyError(
                        f"Kafka did not describe the topics within {timeout:g} s: {self._show(error.str())}"
                        f"{self._explain(error, metadata)}"
                    ) from None
                # The first messages will tell.
                self._log.debug(f"Kafka does not tell what is authorized: {self._show(error.str())}")
                return
            if operations and not {AclOperation.WRITE, AclOperation.ALL} & set(operations):
                forbidden.append(name)
        if forbidden:
            raise KafkaSetupError(
                f"Kafka at {self._settings.broker_addr} does not authorize WRITE to {', '.join(forbidden)} "
                f"for {self._settings.principal}"
            )

    def _show(self, text: str) -> str:
        return escape(self._settings.redact(text))


def _ask_about_topic(settings: KafkaSettings, producer: Producer, name: str, timeout: float) -> None:
    """Ask Kafka about one topic, which creates it if Kafka is configured so."""
    try:
        error = producer.list_topics(name, timeout=timeout).topics[name].error
    except KafkaException as exception:
        error = exception.args[0]
    # A topic that was just created may have no leader yet.
    if error is not None and error.code() != KafkaError.LEADER_NOT_AVAILABLE:
        reason = escape(settings.redact(error.str()))
        raise KafkaSetupError(f"Kafka has no topic {name} and did not create it: {reason}")
