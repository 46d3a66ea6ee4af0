"""One Kafka node: broker and controller in one process."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ...ports import LOOPBACK
from . import artifacts
from .process import START_TIMEOUT, ServerError, ServerProcess
from .security import CLIENT_LISTENER, Security

#: Small and quick to start: a test's broker lives for seconds.
JAVA_OPTIONS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms64m", "-Xmx384m", "-Dlog4j2.level=INFO")

#: Longest time of one question to a broker [s].
METADATA_TIMEOUT = 10.0


@dataclass(frozen=True)
class NodeAddress:
    """Where one node listens.

    Parameters
    ----------
    node_id : `int`
        Kafka's node id, from 1.
    client_port, broker_port, controller_port : `int`
        For clients; for the other brokers; for the controllers' quorum.
    """

    node_id: int
    client_port: int
    broker_port: int
    controller_port: int

    @property
    def bootstrap_server(self) -> str:
        """Address for clients."""
        return f"{LOOPBACK}:{self.client_port}"


class Broker:
    """One node of a cluster.

    Parameters
    ----------
    address : `NodeAddress`
        Where it listens.
    quorum : `Sequence` [`NodeAddress`]
        All nodes of the cluster.
    security : `Security`
        What clients must bring.
    folder : `pathlib.Path`
        Folder for its settings and its log of what happens.
    data_folder : `pathlib.Path`
        Folder for its topics' data.
    properties : `Mapping` [`str`, `str`]
        Further settings, which win.
    command_prefix : `Sequence` [`str`]
        Goes before each command, e.g. to enter a name space.
    advertised_port : `int` or `None`
        Port that clients are told to connect to, if not its own.
    """

    def __init__(
        self,
        address: NodeAddress,
        quorum: Sequence[NodeAddress],
        security: Security,
        folder: Path,
        data_folder: Path,
        properties: Mapping[str, str],
        command_prefix: Sequence[str] = (),
        *,
        advertised_port: int | None = None,
    ) -> None:
        self.address = address
        self._security = security
        self._folder = folder
        folder.mkdir(parents=True)
        settings = make_properties(address, quorum, security, data_folder)
        if advertised_port is not None:
            settings["advertised.listeners"] = (
                f"{CLIENT_LISTENER}://{LOOPBACK}:{advertised_port},BROKER://{LOOPBACK}:{address.broker_port}"
            )
        settings |= properties
        self._settings_path = folder / "server.properties"
        self._settings_path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        class_path = str(artifacts.fetch("kafka") / "*")
        self._java = [*command_prefix, "java", *JAVA_OPTIONS, "-cp", class_path]
        name = f"Kafka broker {address.node_id}"
        command = [*self._java, "kafka.Kafka", str(self._settings_path)]
        self.process = ServerProcess(name, command, folder / "server.log")

    def format_storage(self, cluster_id: str) -> None:
        """Prepare the empty data folder, which also creates the user of a SASL listener.

        Parameters
        ----------
        cluster_id : `str`
            The same for all nodes.

        Raises
        ------
        ServerError
            If the storage tool fails.
        """
        # With "=", because an id may begin with "-".
        command = [*self._java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}"]
        command += ["--config", str(self._settings_path), *self._security.make_format_arguments()]
        result = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT)
        (self._folder / "format.log").write_text(result.stdout + result.stderr)
        if result.returncode != 0:
            # Not the command: it may hold a password.
            raise ServerError(f"cannot format the storage of {self.process.name}:\n{result.stderr[-2000:]}")

    def wait_ready(self) -> None:
        """Wait until the broker is a member of the cluster again and serves clients.

        Raises
        ------
        ServerError
            If it ends, or takes too long.
        """
        self.process.wait_ready(self._is_ready)

    def _is_ready(self) -> bool:
        """Ask this broker alone whether it counts itself among the live ones.

        Another broker would for a while still count one that was killed.
        """
        configuration = self._security.make_client_configuration()
        configuration["bootstrap.servers"] = self.address.bootstrap_server
        # A new client for each question: an older one might put it to another broker.
        admin = AdminClient(configuration | {"log_level": 0, "reconnect.backoff.max.ms": 200})
        try:
            metadata = admin.list_topics(timeout=METADATA_TIMEOUT)
        except KafkaException:
            return False
        return self.address.node_id in metadata.brokers


def make_properties(
    address: NodeAddress, quorum: Sequence[NodeAddress], security: Security, data_folder: Path
) -> dict[str, str]:
    """Return the settings of one node.

    Parameters
    ----------
    address : `NodeAddress`
        Where it listens.
    quorum : `Sequence` [`NodeAddress`]
        All nodes.
    security : `Security`
        What clients must bring.
    data_folder : `pathlib.Path`
        Folder for topics' data.
    """
    replicas = str(len(quorum))
    in_sync = str(len(quorum) // 2 + 1)
    ports = {
        CLIENT_LISTENER: address.client_port,
        "BROKER": address.broker_port,
        "CONTROLLER": address.controller_port,
    }
    protocols = {CLIENT_LISTENER: security.protocol, "BROKER": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
    voters = (f"{node.node_id}@{LOOPBACK}:{node.controller_port}" for node in quorum)
    return {
        "process.roles": "broker,controller",
        "node.id": str(address.node_id),
        "controller.quorum.voters": ",".join(voters),
        "listeners": ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in ports.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{value}" for name, value in protocols.items()),
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data_folder),
        # As at the observatory: who needs a topic creates it.
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        # A dead broker's partitions get a new leader after seconds instead of nine.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
        # Little to start, little memory.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "4",
    } | security.make_broker_properties()
