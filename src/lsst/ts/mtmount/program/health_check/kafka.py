"""Is Kafka there, may we write to it, and does somebody else?"""

import io
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation

from ...sal.admin_connection import AdminConnection, find_advertised_address, name_protocol
from ...sal.avro_schema import TopicInfo
from ...sal.interface import Interface
from ...sal.kafka_settings import KafkaSettings
from ...sal.kafka_topics import describe_kafka_error
from ...sal.transient_errors import is_tls_error
from .finding import Finding, Status, count, failed, ok, warning

__all__ = ["check_kafka", "list_servers"]

#: How long Kafka may take for each answer [s], and for a connection to one address.
ANSWER_TIMEOUT = 6.0
CONNECT_TIMEOUT = 2.0

#: How long it is watched whether somebody publishes [s].
WATCH_TIME = 2.5

#: In front of a record: a zero byte and the schema id [bytes].
FRAMING_LENGTH = 5

#: What every record begins with.
RECORD_HEAD = TopicInfo("head", ()).avro_schema()


def list_servers(settings: KafkaSettings) -> list[tuple[str, int]]:
    """Return host and port of each bootstrap server that the clients are configured with."""
    servers = []
    for text in str(settings.client_configuration()["bootstrap.servers"]).split(","):
        host, _, port = text.strip().rpartition("://")[2].rpartition(":")
        if host and port.isdecimal():
            servers.append((host.strip("[]"), int(port)))
        else:
            servers.append((text.strip(), 9092))
    return servers


def check_kafka(settings: KafkaSettings, interface: Interface) -> Iterator[Finding]:
    """Check the broker, its addresses, log-in, authorisations, topics, and other publishers."""
    try:
        connection = AdminConnection(settings)
        # Tries the producer's properties.
        Producer(settings.producer_configuration() | {"log_level": 0})
    except (KafkaException, TypeError, ValueError) as error:
        yield failed(
            "Kafka settings", settings.redact(describe_kafka_error(error)), "correct the property it names"
        )
        return
    with closing(connection):
        yield from _check_cluster(connection, settings, interface)


def _check_cluster(
    connection: AdminConnection, settings: KafkaSettings, interface: Interface
) -> Iterator[Finding]:
    where = settings.broker_addr
    try:
        metadata = connection.list_topics(ANSWER_TIMEOUT)
    except KafkaException as error:
        yield _describe_refusal(settings, where, error.args[0])
        return
    configuration = settings.client_configuration()
    protocol = str(configuration.get("security.protocol", "plaintext")).upper()
    yield ok("Kafka", f"{where} answers, {count(len(metadata.brokers), 'broker', 'brokers')}")
    yield ok("TLS", f"used ({protocol})" if "SSL" in protocol else "not used")
    is_sasl = "SASL" in protocol
    yield ok("SASL", f"logged in ({configuration.get('sasl.mechanisms')})" if is_sasl else "not used")
    for broker in metadata.brokers.values():
        yield _check_address(broker.id, str(broker.host), int(broker.port or 0))
    names = {topic.kafka_topic(settings.subname): topic for topic in interface.topics.values()}
    present = [name for name in names if name in metadata.topics]
    yield from _check_topics(names, metadata)
    yield from _check_authorisations(connection.client, settings, present, len(present) < len(names))
    yield _watch_publishers(settings, [name for name in present if not names[name].is_event])


def _describe_refusal(settings: KafkaSettings, where: str, error: KafkaError) -> Finding:
    """Say why Kafka does not answer."""
    found = f"{where}: {settings.redact(error.str())}"
    if error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
        return failed("SASL", found, "check LSST_KAFKA_SECURITY_USERNAME and _PASSWORD")
    if is_tls_error(error):
        return failed("TLS", found, "check ssl.ca.location and the security protocol")
    if told := find_advertised_address(error, settings):
        finding = _check_address(*told)
        if finding.status is Status.FAILED:
            return finding
    if protocol := name_protocol(error):
        found = f"{where}: expected Kafka, got {protocol}"
    return failed("Kafka", found, "check LSST_KAFKA_BROKER_ADDR")


def _check_address(broker: int, host: str, port: int) -> Finding:
    subject = f"broker {broker}"
    try:
        socket.create_connection((host.strip("[]"), port), CONNECT_TIMEOUT).close()
    except OSError as error:
        return failed(
            subject,
            f"advertises {host}:{port}, which cannot be reached: {error.strerror or error}",
            "messages go to the advertised addresses: correct advertised.listeners, or the route there",
        )
    return ok(subject, f"advertises {host}:{port}, which takes connections")


def _check_topics(names: Mapping[str, Any], metadata: Any) -> Iterator[Finding]:
    missing = [name for name in names if name not in metadata.topics]
    if missing:
        found = count(len(missing), f"of {len(names)} is missing", f"of {len(names)} are missing")
        yield warning("topics", f"{found}, {missing[0]} first", "the start creates them")
    else:
        yield ok("topics", f"all {len(names)} are there")
    present = {name: metadata.topics[name].partitions for name in names if name in metadata.topics}
    if odd := [name for name, partitions in present.items() if len(partitions) != 1]:
        yield warning(
            "partitions",
            f"expected 1, got {len(present[odd[0]])} for {odd[0]}",
            "only partition 0 is written",
        )
    else:
        yield ok("partitions", "one each")
    orphans = [
        name
        for name, partitions in present.items()
        if 0 not in partitions or partitions[0].leader not in metadata.brokers
    ]
    if orphans:
        found = count(len(orphans), "topic has none", "topics have none")
        yield failed("leaders", f"{found}, {orphans[0]} first", "start the brokers")
    else:
        yield ok("leaders", "all partitions have one")


def _check_authorisations(
    admin: AdminClient, settings: KafkaSettings, present: list[str], must_create: bool
) -> Iterator[Finding]:
    """Ask which operations we may do; a broker without authoriser allows all."""
    subject = "authorisations"
    try:
        if present:
            described = admin.describe_topics(
                TopicCollection(present), include_authorized_operations=True, request_timeout=ANSWER_TIMEOUT
            )
            allowed = {
                name: set(future.result(ANSWER_TIMEOUT).authorized_operations or ())
                for name, future in described.items()
            }
        else:
            allowed = {}
        may_create = True
        if must_create:
            cluster = admin.describe_cluster(
                include_authorized_operations=True, request_timeout=ANSWER_TIMEOUT
            ).result(ANSWER_TIMEOUT)
            may_create = AclOperation.CREATE in (cluster.authorized_operations or (AclOperation.CREATE,))
    except (KafkaException, TimeoutError) as error:
        reason = settings.redact(describe_kafka_error(error)) or f"no answer in {ANSWER_TIMEOUT:g} s"
        yield warning(subject, f"Kafka does not tell them: {reason}", "the start will show")
        return
    # Empty: there is no authoriser, or the broker tells none.
    told = {name: operations for name, operations in allowed.items() if operations}
    no_write = [name for name, operations in told.items() if AclOperation.WRITE not in operations]
    no_read = [name for name, operations in told.items() if AclOperation.READ not in operations]
    if no_write:
        topics = count(len(no_write), "topic", "topics")
        yield failed(subject, f"no WRITE for {topics}, {no_write[0]} first", "add an ACL")
    if not may_create:
        # Telling which topics may be created by a prefix needs the ACLs themselves.
        yield warning(
            subject, "no CREATE for the cluster", "the missing topics need an ACL, or are made by hand"
        )
    if no_read:
        topics = count(len(no_read), "topic", "topics")
        yield warning(
            subject, f"no READ for {topics}, {no_read[0]} first", "monitor and check cannot read them"
        )
    if not no_write and may_create and not no_read:
        yield ok(subject, "all that is needed")


def _watch_publishers(settings: KafkaSettings, topics: list[str]) -> Finding:
    """Look whether somebody publishes at this moment, and who."""
    subject = "other publishers"
    consumer = Consumer(
        settings.client_configuration()
        | {
            # Consumers must name a group; without a subscription none is joined.
            "group.id": "lsst.ts.mtmount.health_check",
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            "allow.auto.create.topics": False,
            "log_level": 0,
        }
    )
    origins: set[int] = set()
    failure = ""
    try:
        consumer.assign([TopicPartition(name, 0) for name in topics])
        deadline = time.monotonic() + WATCH_TIME
        while (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is None:
                continue
            error, value = message.error(), message.value()
            if error is not None:
                # Kafka's client looks for the group's coordinator though no group is joined.
                if error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
                    failure = settings.redact(error.str())
            elif (origin := _read_origin(value)) is not None:
                origins.add(origin)
    except KafkaException as error:
        failure = settings.redact(describe_kafka_error(error))
    finally:
        consumer.close()
    if origins:
        shown = ", ".join(map(str, sorted(origins)))
        return warning(
            subject, f"private_origin {shown} publish now", "end that client first: two disturb readers"
        )
    if failure:
        return warning(subject, f"cannot be seen: {failure}", "see the authorisations")
    return ok(subject, f"none in {WATCH_TIME:g} s")


def _read_origin(value: bytes | None) -> int | None:
    """Read private_origin of a record; None if it is none."""
    # Imported only here: the client itself does without.
    import fastavro

    try:
        head: Any = fastavro.schemaless_reader(io.BytesIO((value or b"")[FRAMING_LENGTH:]), RECORD_HEAD, None)
    except (EOFError, ValueError, IndexError, OverflowError, MemoryError):
        return None
    return int(head["private_origin"])
