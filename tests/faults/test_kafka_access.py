"""A real Kafka that does not let the client write, or sends it to an address that is not there."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin._acl import AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourceType

from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..integration.kafka import (
    AUTHORIZER,
    KafkaCluster,
    create_topic,
    remove_permissions,
    set_permission,
)
from ..ports import find_free_port
from ..tcp_proxy import TcpProxy
from ..tma import ScriptedTma
from .client import ClientProgram, wait_until
from .conftest import LeadTo
from .frames import azimuth_frame
from .outcome import RecordOutcome
from .read_back import read_back
from .test_start import see_failure

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

#: Whom the cluster's permissions are about.
PRINCIPAL = "User:mtmount"

#: How long the monitor may take to look, with a start of Python on a busy computer [s].
MONITOR_TIMEOUT = 60.0


@pytest.fixture(scope="module")
def strict_broker(kafka_tools: None) -> Iterator[KafkaCluster]:
    """One broker with an authorizer."""
    with KafkaCluster(sasl="SCRAM-SHA-512", properties=AUTHORIZER) as cluster:
        yield cluster


async def permit(cluster: KafkaCluster, topic: str, *operations: AclOperation) -> None:
    """Permit the operations on a topic, and no others."""
    for operation in operations:
        await asyncio.to_thread(set_permission, cluster, topic, operation, AclPermissionType.ALLOW)
    await asyncio.to_thread(set_permission, cluster, topic, AclOperation.WRITE, AclPermissionType.DENY)


@pytest.mark.parametrize(
    "kept",
    [[AclOperation.DESCRIBE], []],
    ids=["the topic is still seen", "the topic is no longer seen"],
)
async def test_permission_revoked_and_given_back(
    strict_broker: KafkaCluster,
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    tmp_path: Path,
    subname: str,
    kept: list[AclOperation],
) -> None:
    topic = f"lsst.{subname}.MTMount.azimuth"
    environment = lead_to(strict_broker)
    dead_letters = tmp_path / "dead.jsonl"
    expected = f"Kafka does not authorize WRITE to {topic} for {PRINCIPAL}: messages are not delivered"
    async with (
        TmaSimulator(rate=1) as simulator,
        ClientProgram(
            environment, tmp_path, simulator.port, f"--dead-letter={dead_letters}", "--fail-on-loss"
        ) as program,
    ):
        await wait_until(lambda: program.counters["acknowledged"] > 200)
        await permit(strict_broker, topic, *kept)
        await wait_until(lambda: count_unauthorized(program) > 60)
        # The other topics go on.
        acknowledged = program.counters["acknowledged"]
        await wait_until(lambda: program.counters["acknowledged"] > acknowledged + 200)
        await asyncio.to_thread(remove_permissions, strict_broker, topic)
        seconds = await wait_until_written(program)
        program.send_signal(signal.SIGTERM)
        status, _ = await program.wait_ended()
    counters = program.counters
    num_unauthorized = count_unauthorized(program)
    # Nothing else went wrong, and nothing of this is blamed on the frames.
    assert status == 3
    assert num_unauthorized == counters["failed"] + counters["total_dropped"]
    assert not dead_letters.exists() or dead_letters.read_text() == ""
    assert "Dropped a frame" not in program.output
    lines = [line for line in program.output.splitlines() if "not authorize" in line]
    assert len([line for line in lines if expected in line and " ERROR " in line]) == 1
    assert len(lines) <= 3, lines
    found = await asyncio.to_thread(read_back, environment)
    assert found.num_unique == counters["acknowledged"] == counters["frames"] - num_unauthorized
    seen = "still seen" if kept else "no longer seen"
    record_outcome(
        f"WRITE to one topic revoked ({seen}), and given back",
        "told, counted as TOPIC_AUTHORIZATION_FAILED; not in the dead-letter file; goes on",
        counters,
        sent=counters["frames"],
        found=found,
        seconds=seconds,
    )


def count_unauthorized(program: ClientProgram) -> int:
    """Return how many frames the program counted as not authorized, before or after they were produced."""
    counters = program.counters
    reasons = counters.get("failed_by_reason", {}), counters.get("dropped", {})
    return int(reasons[0].get("TOPIC_AUTHORIZATION_FAILED", 0) + reasons[1].get("not authorized by Kafka", 0))


async def wait_until_written(program: ClientProgram) -> float:
    """Wait until no more frames are refused; return how long that took [s]."""

    async def count_in_a_second() -> int:
        before, frames = count_unauthorized(program), program.counters["frames"]
        await wait_until(lambda: program.counters["frames"] >= frames + 218)
        return count_unauthorized(program) - before

    loop = asyncio.get_running_loop()
    start = loop.time()
    async with asyncio.timeout(60):
        while await count_in_a_second():
            pass
    return loop.time() - start


async def test_permission_missing_at_the_start(
    strict_broker: KafkaCluster,
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    tmp_path: Path,
    tma: ScriptedTma,
    subname: str,
) -> None:
    environment = lead_to(strict_broker)
    names = [f"lsst.{subname}.MTMount.{name}" for name in ("azimuth", "elevation")]
    for name, operations in zip(names, ([AclOperation.DESCRIBE], [AclOperation.READ]), strict=True):
        await asyncio.to_thread(create_topic, strict_broker, name)
        await permit(strict_broker, name, *operations)
    # It does not help to wait.
    pattern = rf"does not authorize WRITE to {names[0]}, {names[1]} for {PRINCIPAL}"
    seconds = await see_failure(environment, tmp_path, tma, pattern, "--wait-for-kafka")
    record_outcome(
        "WRITE to two topics missing at the start",
        "clear error with topics, operation, principal; ends with 1",
        seconds=seconds,
    )


async def test_monitor_without_permission_for_its_group(
    strict_broker: KafkaCluster, lead_to: LeadTo, tmp_path: Path
) -> None:
    """No group is joined, so none is needed."""
    environment = lead_to(strict_broker)
    await asyncio.to_thread(
        set_permission,
        strict_broker,
        "lsst.ts.mtmount.tools.reader",
        AclOperation.ALL,
        AclPermissionType.DENY,
        ResourceType.GROUP,
    )
    async with (
        TmaSimulator(rate=1) as simulator,
        ClientProgram(environment, tmp_path, simulator.port) as program,
    ):
        await wait_until(lambda: program.counters["acknowledged"] > 200)
        monitor = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("monitor_mtmount_telemetry")),
            "--check",
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(MONITOR_TIMEOUT):
            output, _ = await monitor.communicate()
    assert monitor.returncode == 0, output.decode()


async def test_advertised_address_that_is_not_there(
    start_cluster: Callable[..., KafkaCluster],
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    tmp_path: Path,
    tma: ScriptedTma,
) -> None:
    port = find_free_port()
    cluster = await asyncio.to_thread(start_cluster, advertised_port=port)
    environment = lead_to(cluster)
    address = f"127.0.0.1:{port}"
    pattern = rf"Kafka at {cluster.bootstrap_servers} advertises the address {address}"
    seconds = await see_failure(environment, tmp_path, tma, pattern)
    record_outcome(
        "advertised address that cannot be reached", "error names that address; ends with 1", seconds=seconds
    )
    # The topics are there, made in a better time: then the client needs the address for its messages only.
    server_port = int(cluster.bootstrap_servers.rpartition(":")[2])
    async with TcpProxy(server_port, port=port), ClientProgram(environment, tmp_path, tma.port) as program:
        await program.wait_output("client running")
        await tma.send(azimuth_frame())
        await wait_until(lambda: program.counters["acknowledged"] == 1)
        program.send_signal(signal.SIGTERM)
        await program.wait_ended()
    await see_failure(environment, tmp_path, tma, pattern)
