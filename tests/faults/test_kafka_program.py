"""The program and a real Kafka: its end, and what may keep it from starting."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..integration.kafka import ApicurioRegistry, KafkaCluster
from ..tma import ScriptedTma
from .client import ClientProgram, wait_until
from .conftest import LeadTo
from .frames import AZIMUTH, azimuth_frame
from .outcome import RecordOutcome
from .read_back import read_back
from .test_start import WAITS, register_other_schema, see_failure

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

NUM_FRAMES = 50

LOSS = "messages were not delivered to Kafka within"


async def test_sigterm_under_load(
    broker: KafkaCluster, lead_to: LeadTo, record_outcome: RecordOutcome, tmp_path: Path
) -> None:
    environment = lead_to(broker)
    async with (
        TmaSimulator(rate=10) as simulator,
        ClientProgram(environment, tmp_path, simulator.port) as program,
    ):
        await wait_until(lambda: program.counters["published"] > 4000)
        program.send_signal(signal.SIGTERM)
        status, seconds = await program.wait_ended()
        assert status == 0
        assert "MTMount telemetry client done" in program.output
        assert LOSS not in program.output
    counters = program.counters
    assert counters["acknowledged"] == counters["published"]
    found = await asyncio.to_thread(read_back, environment)
    assert found.num_unique == counters["published"]
    record_outcome(
        "SIGTERM at 10x",
        "all that was read is flushed; ends with 0",
        counters,
        sent=counters["frames"],
        found=found,
        seconds=seconds,
    )


async def test_sigterm_with_the_broker_gone(
    broker: KafkaCluster, lead_to: LeadTo, record_outcome: RecordOutcome, tmp_path: Path
) -> None:
    environment = lead_to(broker)
    async with (
        TmaSimulator(rate=10) as simulator,
        ClientProgram(environment, tmp_path, simulator.port) as program,
    ):
        await wait_until(lambda: program.counters["acknowledged"] > 2000)
        await asyncio.to_thread(broker.kill, 1)
        target = program.counters["published"] + 4000
        await wait_until(lambda: program.counters["published"] > target)
        program.send_signal(signal.SIGTERM)
        await program.wait_output("Got a signal to end")
        # Another one cuts nothing off.
        program.send_signal(signal.SIGTERM)
        status, seconds = await program.wait_ended()
        assert status == 0
        assert LOSS in program.output
    counters = program.counters
    assert counters["failed"] >= 4000
    assert counters["acknowledged"] + counters["failed"] == counters["published"]
    await asyncio.to_thread(broker.restart, 1)
    found = await asyncio.to_thread(read_back, environment)
    assert counters["acknowledged"] <= found.num_unique < counters["published"]
    record_outcome(
        "SIGTERM with the broker gone",
        "says what is lost; ends with 0",
        counters,
        sent=counters["frames"],
        found=found,
        seconds=seconds,
    )


async def test_sigterm_with_a_full_queue(
    broker: KafkaCluster, lead_to: LeadTo, record_outcome: RecordOutcome, tmp_path: Path
) -> None:
    environment = lead_to(broker, {"queue.buffering.max.messages": 1000})
    async with (
        TmaSimulator(rate=10) as simulator,
        ClientProgram(environment, tmp_path, simulator.port) as program,
    ):
        await wait_until(lambda: program.counters["acknowledged"] > 2000)
        await asyncio.to_thread(broker.kill, 1)
        await wait_until(lambda: program.counters["pending"] == 1)
        program.send_signal(signal.SIGTERM)
        status, seconds = await program.wait_ended()
        assert status == 0
        assert LOSS in program.output
    counters = program.counters
    assert counters["dropped"]["client closed"] > 0
    await asyncio.to_thread(broker.restart, 1)
    found = await asyncio.to_thread(read_back, environment)
    assert counters["acknowledged"] <= found.num_unique < counters["published"]
    record_outcome(
        "SIGTERM with the broker gone and the queue full",
        "says what is lost; ends with 0",
        counters,
        sent=counters["frames"],
        found=found,
        seconds=seconds,
    )


async def test_waiting_for_the_broker(
    broker: KafkaCluster,
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    tmp_path: Path,
    tma: ScriptedTma,
) -> None:
    environment = lead_to(broker)
    await asyncio.to_thread(broker.kill, 1)
    async with ClientProgram(environment, tmp_path, tma.port, "--wait-for-kafka") as program:
        await program.wait_output(WAITS)
        await asyncio.to_thread(broker.restart, 1)
        seconds = await publish_some(program, tma)
    found = await asyncio.to_thread(read_back, environment)
    assert found.unique == {AZIMUTH: NUM_FRAMES}
    record_outcome(
        "broker (Apache) absent at start, with --wait-for-kafka",
        "goes on when it is there",
        program.counters,
        sent=NUM_FRAMES,
        found=found,
        seconds=seconds,
    )


async def test_passwords_and_tls(
    start_cluster: Callable[..., KafkaCluster],
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    tmp_path: Path,
    tma: ScriptedTma,
) -> None:
    cluster = await asyncio.to_thread(start_cluster, sasl="SCRAM-SHA-512", tls=True)
    environment = lead_to(cluster)
    password = environment["LSST_KAFKA_SECURITY_PASSWORD"]

    wrong = environment | {"LSST_KAFKA_SECURITY_PASSWORD": "pa55word"}
    # A wrong password does not become right by waiting.
    async with ClientProgram(wrong, tmp_path, tma.port, "--wait-for-kafka") as program:
        status, seconds = await program.wait_ended()
        assert status == 1
        assert "pa55word" not in program.output
        assert re.search(r"Kafka at .* refused the connection: .*uthentication", program.output)
        assert "MTMount telemetry client failed" in program.output.splitlines()[-1]
    record_outcome(
        "wrong SASL/SCRAM password", "clear error without the password; ends with 1", seconds=seconds
    )

    async with ClientProgram(environment, tmp_path, tma.port) as program:
        await publish_some(program, tma)
        assert password not in program.output
    found = await asyncio.to_thread(read_back, environment)
    assert found.unique == {AZIMUTH: NUM_FRAMES}
    record_outcome("SASL/SCRAM over TLS", "works", program.counters, sent=NUM_FRAMES, found=found)


async def test_unknown_certificate(
    start_cluster: Callable[..., KafkaCluster],
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    tmp_path: Path,
    tma: ScriptedTma,
) -> None:
    cluster = await asyncio.to_thread(start_cluster, tls=True)
    environment = lead_to(cluster)
    settings = tmp_path / "client.yaml"
    # Without the certificate's authority.
    settings.write_text("security.protocol: SSL\n")
    environment["LSST_KAFKA_BROKER_CLIENT_CONFIGURATION"] = str(settings)
    seconds = await see_failure(environment, tmp_path, tma, "certificate verify failed")
    record_outcome("TLS certificate that cannot be verified", "clear error; ends with 1", seconds=seconds)


async def test_incompatible_schema(
    broker: KafkaCluster,
    schema_registry: ApicurioRegistry,
    lead_to: LeadTo,
    record_outcome: RecordOutcome,
    tmp_path: Path,
    tma: ScriptedTma,
    subname: str,
) -> None:
    environment = lead_to(broker) | {"LSST_SCHEMA_REGISTRY_URL": schema_registry.url}
    subject = f"lsst.{subname}.MTMount.azimuth-value"
    await asyncio.to_thread(register_other_schema, schema_registry.url, subject, "azimuth")
    pattern = rf"did not register the schema of {subject}: HTTP status 409"
    seconds = await see_failure(environment, tmp_path, tma, pattern)
    record_outcome(
        "incompatible schema at the registry (Apicurio)", "clear error; ends with 1", seconds=seconds
    )


async def publish_some(program: ClientProgram, tma: ScriptedTma) -> float:
    """Let the program publish some frames and end; return how long until they were acknowledged [s]."""
    start = time.monotonic()
    await tma.send(*[azimuth_frame()] * NUM_FRAMES)
    await wait_until(lambda: program.counters["acknowledged"] == NUM_FRAMES)
    seconds = time.monotonic() - start
    program.send_signal(signal.SIGTERM)
    assert (await program.wait_ended())[0] == 0
    assert program.counters["acknowledged"] == program.counters["frames"] == NUM_FRAMES
    return seconds
