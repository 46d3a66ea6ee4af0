"""Asking Kafka about itself, and the most telling of the errors if it does not answer."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from .kafka_settings import KafkaSettings
from .transient_errors import is_transient_kafka_error

if TYPE_CHECKING:
    from confluent_kafka.admin._metadata import ClusterMetadata

__all__ = ["AdminConnection", "AdvertisedAddress", "find_advertised_address", "name_protocol"]

#: How long one question to the brokers may block [s]; after each, it is
#: looked whether to give up.
SLICE = 0.5

#: How an error of a broker begins that Kafka has told of: no other has an ID in its name.
ADVERTISED = re.compile(r"(?:\w+://)?(?P<address>(?P<host>\S+):(?P<port>\d{1,5}))/(?P<broker>\d+): ")


class AdminConnection:
    """An admin client that keeps what goes wrong.

    Parameters
    ----------
    settings : `KafkaSettings`
        Where Kafka is.

    Attributes
    ----------
    client : `confluent_kafka.admin.AdminClient`
        Asks all but `list_topics`.
    error : `confluent_kafka.KafkaError` or `None`
        The last telling error.

    Raises
    ------
    confluent_kafka.KafkaException
        If the settings are refused; a property's type is told by a `TypeError` or `ValueError`.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.error: KafkaError | None = None
        self.client = AdminClient(
            settings.client_configuration() | {"error_cb": self._keep_error, "log_level": 0}
        )

    def close(self) -> None:
        """End the admin client with its threads, which its callback would keep: it refers to this object."""
        del self.client

    def _keep_error(self, error: KafkaError) -> None:
        # "All brokers are down" only sums up what was reported before.
        if self.error is None or error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.error = error

    def list_topics(self, timeout: float, stop: threading.Event | None = None) -> ClusterMetadata:
        """Return the cluster's metadata, as soon as it answers.

        A question is lost with its connection, also where Kafka's client drops that itself: it leaves
        the bootstrap servers as soon as it knows the brokers. So it is asked again.

        Parameters
        ----------
        timeout : `float`
            How long to ask [s].
        stop : `threading.Event` or `None`
            Set by another thread to give up earlier.

        Raises
        ------
        confluent_kafka.KafkaException
            If Kafka refuses the connection, or gives no answer in time; with the most telling error.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self.client.list_topics(timeout=max(min(SLICE, deadline - time.monotonic()), 0.01))
            except KafkaException as error:
                reason = error.args[0]
            self.client.poll(0)
            is_refused = self.error is not None and not is_transient_kafka_error(self.error)
            if is_refused or time.monotonic() >= deadline or (stop is not None and stop.is_set()):
                raise KafkaException(self.error or reason)


class AdvertisedAddress(NamedTuple):
    """The address that Kafka tells its clients to connect to."""

    broker: int  #: ID
    host: str
    port: int


def find_advertised_address(error: KafkaError, settings: KafkaSettings) -> AdvertisedAddress | None:
    """Return the address that an error is about, if Kafka has told of it and we did not know it."""
    told = ADVERTISED.match(error.str())
    if told is None or told["address"] in settings.broker_addr.split(","):
        return None
    return AdvertisedAddress(int(told["broker"]), told["host"], int(told["port"]))


def name_protocol(error: KafkaError) -> str | None:
    """Name what answered in Kafka's place, from librdkafka's complaint about the length of a message."""
    if "Invalid response size" not in error.str():
        return None
    return "HTTP" if str(int.from_bytes(b"HTTP")) in error.str() else "another protocol"
