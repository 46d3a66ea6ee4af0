"""Questions to the embedded broker that are lost; to a real one: tests/program/test_health_check_kafka.py."""

import asyncio
import dataclasses
from contextlib import closing

import pytest
from confluent_kafka import KafkaError

from lsst.ts.mtmount.sal import KafkaSettings
from lsst.ts.mtmount.sal.admin_connection import (
    AdminConnection,
    AdvertisedAddress,
    find_advertised_address,
    name_protocol,
)

from ..tcp_proxy import Faults, TcpProxy

TIMEOUT = 20.0


async def test_lost_answer_is_asked_for_again(settings: KafkaSettings) -> None:
    server_port = int(settings.broker_addr.rpartition(":")[2])

    async def ask(faults: Faults) -> tuple[int, bool]:
        """Return how many bytes were answered through a proxy, and whether it has cut them."""
        async with TcpProxy(server_port, faults) as proxy:
            near = dataclasses.replace(settings, broker_addr=f"127.0.0.1:{proxy.port}")
            with closing(AdminConnection(near)) as connection:
                metadata = await asyncio.to_thread(connection.list_topics, TIMEOUT)
            assert len(metadata.brokers) == 1
            return proxy.num_bytes, proxy.was_cut.is_set()

    # The answer comes last, unless the question goes past the proxy, to the address that Kafka has told of.
    size = max([(await ask(Faults()))[0] for _ in range(20)])
    num_lost = 0
    for _ in range(200):
        num_lost += (await ask(Faults(cut_after=size - 1)))[1]
        # Kafka's client asks about half of them again by itself.
        if num_lost == 10:
            return
    pytest.fail(f"only {num_lost} answers were lost")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:1/1: Connect to ipv4#127.0.0.1:1 failed", AdvertisedAddress(1, "127.0.0.1", 1)),
        ("sasl_ssl://kafka-2:9093/12: Failed to resolve", AdvertisedAddress(12, "kafka-2", 9093)),
        ("[::1]:9092/0: Disconnected", AdvertisedAddress(0, "[::1]", 9092)),
        # Ours; not told by Kafka; a node that has no address; about none.
        ("broker:29092/1: Disconnected", None),
        ("broker:29092/bootstrap: Connect to ipv4#10.0.0.1:29092 failed", None),
        ("GroupCoordinator: Disconnected", None),
        ("1/1 brokers are down", None),
    ],
)
def test_advertised_address(text: str, expected: AdvertisedAddress | None) -> None:
    error = KafkaError(KafkaError._TRANSPORT, text)
    settings = KafkaSettings("test", "broker:29092,other:9092")
    assert find_advertised_address(error, settings) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80/bootstrap: Receive failed: Invalid response size 1213486160", "HTTP"),
        ("127.0.0.1:80/bootstrap: Receive failed: Invalid response size 1397966893", "another protocol"),
        ("127.0.0.1:80/bootstrap: Disconnected", None),
    ],
)
def test_protocol(text: str, expected: str | None) -> None:
    assert name_protocol(KafkaError(KafkaError._BAD_MSG, text)) == expected
