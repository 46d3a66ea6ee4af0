"""An Apache Kafka cluster on this machine."""

from __future__ import annotations

import base64
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from ...ports import find_free_ports
from . import artifacts
from .broker import Broker, NodeAddress
from .process import STOP_TIMEOUT, ServerError
from .security import ClientConfiguration, Security, make_certificate
from .small_disk import SmallDisk


class KafkaCluster:
    """Brokers that listen on the loopback interface; a context manager.

    Each is a controller too. Data, settings and logs are in a temporary folder that `stop` removes.
    All methods block; an asynchronous test calls them in a thread. A ``broker_id`` is one of `broker_ids`.

    Parameters
    ----------
    num_brokers : `int`
        1, or 3: then topics have 3 replicas of which 2 must be in sync.
    sasl : `str` or `None`
        ``"SCRAM-SHA-512"``: clients must bring user name and password.
    tls : `bool`
        Are clients' connections encrypted?
    properties : `Mapping` [`str`, `str`] or `None`
        Further broker settings, e.g. ``{"message.max.bytes": "1000"}``.
    advertised_port : `int` or `None`
        Port that the only broker tells its clients to connect to, if not its own.
    disk_size : `str` or `None`
        Keep the topics' data on a `SmallDisk` of this size, e.g. ``"64m"``, which is `disk`.

    Raises
    ------
    ValueError
        If ``num_brokers`` is neither 1 nor 3, or ``sasl`` is not known.
    """

    def __init__(
        self,
        num_brokers: int = 1,
        *,
        sasl: str | None = None,
        tls: bool = False,
        properties: Mapping[str, str] | None = None,
        advertised_port: int | None = None,
        disk_size: str | None = None,
    ) -> None:
        if num_brokers not in (1, 3):
            raise ValueError(f"expected 1 or 3 for num_brokers, got {num_brokers}")
        self.num_brokers = num_brokers
        self._sasl = sasl
        self._tls = tls
        self._properties = dict(properties or {})
        self._advertised_port = advertised_port
        self._disk_size = disk_size
        self._disk: SmallDisk | None = None
        self._security = Security(sasl)
        self._folder = Path()
        self._brokers: dict[int, Broker] = {}
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def broker_ids(self) -> list[int]:
        """Ids of all brokers, which other methods take: 1, 2, ..."""
        return list(self._brokers)

    @property
    def bootstrap_servers(self) -> str:
        """Addresses of all brokers, as the client setting of this name takes them."""
        return ",".join(broker.address.bootstrap_server for broker in self._brokers.values())

    @property
    def disk(self) -> SmallDisk:
        """The disk of ``disk_size``.

        Raises
        ------
        ServerError
            If none was asked for.
        """
        if self._disk is None:
            raise ServerError("this cluster has no disk of limited size")
        return self._disk

    def client_configuration(self) -> ClientConfiguration:
        """Return the librdkafka settings that reach this cluster, the password among them."""
        return self._security.make_client_configuration() | {"bootstrap.servers": self.bootstrap_servers}

    def environment(self, subname: str, registry_url: str | None = None) -> dict[str, str]:
        """Return the environment variables that lead a SAL component here.

        Parameters
        ----------
        subname : `str`
            Name space of the topics.
        registry_url : `str` or `None`
            Schema registry; None leaves its variable out.
        """
        variables = {
            "LSST_TOPIC_SUBNAME": subname,
            "LSST_KAFKA_BROKER_ADDR": self.bootstrap_servers,
            "LSST_KAFKA_REPLICATION_FACTOR": str(self.num_brokers),
        }
        if registry_url is not None:
            variables["LSST_SCHEMA_REGISTRY_URL"] = registry_url
        return variables | self._security.make_environment(self._folder)

    def start(self) -> None:
        """Format the storage, start all brokers and wait until they serve clients.

        Raises
        ------
        ServerError
            If a broker does not start; nothing is then left running.
        ArtifactError
            If Kafka cannot be fetched.
        """
        if self._brokers:
            raise ServerError("the cluster was started already")
        with ExitStack() as stack:
            self._folder = Path(tempfile.mkdtemp(prefix="kafka-"))
            stack.callback(shutil.rmtree, self._folder)
            self._make_brokers(stack)
            cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            brokers = list(self._brokers.values())
            with ThreadPoolExecutor(len(brokers)) as pool:
                list(pool.map(lambda broker: broker.format_storage(cluster_id), brokers))
            for broker in brokers:
                stack.callback(broker.process.kill)
                broker.process.start()
            for broker in brokers:
                broker.wait_ready()
            self._cleanup = stack.pop_all()

    def stop(self) -> None:
        """Kill all brokers and remove all data; nothing of it is worth an orderly end."""
        self._cleanup.close()
        self._brokers.clear()
        self._disk = None

    def kill(self, broker_id: int) -> None:
        """End a broker at once (SIGKILL), as a crash would."""
        self._brokers[broker_id].process.kill()

    def terminate(self, broker_id: int) -> None:
        """Shut a broker down in an orderly way: it hands its partitions over first."""
        self._brokers[broker_id].process.terminate()

    def restart(self, broker_id: int) -> None:
        """Start a broker with its data, after an orderly end if it runs; wait until it serves clients."""
        broker = self._brokers[broker_id]
        broker.process.terminate()
        broker.process.start()
        broker.wait_ready()

    def is_running(self, broker_id: int) -> bool:
        """Is the process of a broker there?"""
        return self._brokers[broker_id].process.running

    def suspend(self, broker_id: int) -> None:
        """Freeze a broker (SIGSTOP): connections stay open, but nothing answers."""
        self._brokers[broker_id].process.suspend()

    def resume(self, broker_id: int) -> None:
        """Let a frozen broker go on."""
        self._brokers[broker_id].process.resume()

    def wait_ended(self, broker_id: int, timeout: float = STOP_TIMEOUT) -> None:
        """Wait until a broker ends by itself, as one does whose disk is full; `ServerError` if it goes on."""
        self._brokers[broker_id].process.wait_ended(timeout)

    def read_log(self, broker_id: int) -> str:
        """Return what a broker has written about itself."""
        return self._brokers[broker_id].process.log_path.read_text()

    def _make_brokers(self, stack: ExitStack) -> None:
        """Write certificate and settings, and mount the disk."""
        artifacts.fetch("kafka")
        certificate = None
        if self._tls:
            certificate = self._folder / "broker.pem"
            make_certificate(certificate)
        self._security = Security(self._sasl, certificate, self._security.password)
        data_folder = self._folder / "data"
        data_folder.mkdir()
        if self._disk_size is not None:
            self._disk = SmallDisk(data_folder, self._disk_size)
            stack.callback(self._disk.close)
        node_ids = range(1, self.num_brokers + 1)
        quorum = [NodeAddress(node_id, *find_free_ports(3)) for node_id in node_ids]
        stack.callback(self._brokers.clear)
        for address in quorum:
            name = f"broker-{address.node_id}"
            self._brokers[address.node_id] = Broker(
                address,
                quorum,
                self._security,
                self._folder / name,
                data_folder / name,
                self._properties,
                self._disk.command_prefix if self._disk else (),
                advertised_port=self._advertised_port,
            )
