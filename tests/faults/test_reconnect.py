"""A client that connects again, on request."""

import asyncio
import logging
import signal
import time
from pathlib import Path

import pytest

from lsst.ts.mtmount import DropReason, FrameError
from lsst.ts.mtmount.resilience import Backoff

from ..kafka_reader import KafkaReader
from ..ports import find_free_port
from ..tcp_proxy import Faults, TcpProxy
from ..tma import ScriptedTma
from .client import ClientProgram, run_client, start_client, wait_until
from .frames import AZIMUTH, azimuth_frame
from .outcome import RecordOutcome
from .read_back import read_back

Environment = dict[str, str]

NUM_FRAMES = 50
TIME_LIMIT = "lsst.ts.mtmount.telemetry_client.TELEMETRY_TIMEOUT"


class WatchedBackoff(Backoff):
    """Remembers the delays, which are short and without jitter."""

    def __init__(self, longest: float = 0.05) -> None:
        super().__init__(0.01, longest, jitter=0)
        self.delays: list[float] = []

    def next_delay(self) -> float:
        self.delays.append(super().next_delay())
        return self.delays[-1]


async def read_connections(reader: KafkaReader, count: int) -> list[bool]:
    """Return what the first events told of the connection."""
    records = await reader.read_count("logevent_telemetryConnected", count)
    return [record["connected"] for record in records]


async def test_lost_connection(
    embedded_environment: Environment,
    kafka_reader: KafkaReader,
    record_outcome: RecordOutcome,
    tma: ScriptedTma,
) -> None:
    frame = azimuth_frame()
    async with run_client(tma.port, reconnect=True) as client:
        client.heartbeat_interval = 0.05
        await tma.send(*[frame] * NUM_FRAMES)
        await tma.send(frame[:100], terminator=b"")
        await wait_until(lambda: client.counters.bytes > 0)
        tma.close_connection()
        await tma.wait_disconnected()
        start = time.monotonic()
        await tma.send(*[frame] * NUM_FRAMES)
        await wait_until(lambda: client.counters.published == 2 * NUM_FRAMES)
        seconds = time.monotonic() - start
        assert client.counters.dropped[DropReason.CUT_OFF] == 1
        num_beats = len(kafka_reader.records["telemetryClientHeartbeat"])
        await kafka_reader.read_count("telemetryClientHeartbeat", num_beats + 3)
        assert not client.done_task.done()
    assert client.done_task.exception() is None
    assert client.failure is None
    assert await read_connections(kafka_reader, 5) == [False, True, False, True, False]
    found = await asyncio.to_thread(read_back, embedded_environment)
    # Sequence numbers go on.
    assert found.unique == {AZIMUTH: 2 * NUM_FRAMES}
    assert found.num_late == found.num_duplicated == 0
    record_outcome(
        "TMA cuts in mid-frame, with --reconnect",
        "goes on",
        client.counters,
        sent=2 * NUM_FRAMES + 1,
        found=found,
        seconds=seconds,
    )


async def test_tma_that_is_not_there_yet(
    embedded_environment: Environment,
    record_outcome: RecordOutcome,
    tma: ScriptedTma,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = find_free_port()
    backoff = WatchedBackoff()
    async with start_client(port, reconnect=backoff) as client:
        await wait_until(lambda: len(backoff.delays) > 5)
        assert not client.start_task.done()
        async with TcpProxy(tma.port, port=port):
            start = time.monotonic()
            await tma.send(*[azimuth_frame()] * NUM_FRAMES)
            await wait_until(lambda: client.counters.published == NUM_FRAMES)
            seconds = time.monotonic() - start
            assert client.start_task.done()
            await client.close()
    assert backoff.delays[:4] == [0.01, 0.02, 0.04, 0.05]
    assert ": Connection refused; the next attempt is in" in caplog.text
    found = await asyncio.to_thread(read_back, embedded_environment)
    assert found.unique == {AZIMUTH: NUM_FRAMES}
    record_outcome(
        "TMA not there at start, with --reconnect",
        "goes on when it is",
        client.counters,
        sent=NUM_FRAMES,
        found=found,
        seconds=seconds,
    )


async def test_stalled_tma_is_left(
    embedded_environment: Environment,
    kafka_reader: KafkaReader,
    record_outcome: RecordOutcome,
    monkeypatch: pytest.MonkeyPatch,
    tma: ScriptedTma,
) -> None:
    monkeypatch.setattr(TIME_LIMIT, 0.3)
    backoff = WatchedBackoff()
    async with TcpProxy(tma.port) as proxy, run_client(proxy.port, reconnect=backoff) as client:
        await tma.send(*[azimuth_frame()] * NUM_FRAMES)
        await wait_until(lambda: client.counters.published == NUM_FRAMES)
        # Neither side is told of anything: what is sent goes nowhere.
        proxy.stall()
        start = time.monotonic()
        await wait_until(lambda: proxy.num_connections >= 2)
        proxy.resume()
        await wait_until(lambda: client.connected)
        while client.counters.published < 2 * NUM_FRAMES:
            await tma.send(azimuth_frame())
            await asyncio.sleep(0.01)
        seconds = time.monotonic() - start
    assert (await read_connections(kafka_reader, 4))[:4] == [False, True, False, True]
    found = await asyncio.to_thread(read_back, embedded_environment)
    assert found.num_unique == client.counters.published
    assert found.num_duplicated == found.num_late == 0
    record_outcome(
        "TMA stalls for good, with --reconnect",
        "goes on with a new connection",
        published=client.counters.published,
        read_back=found.num_unique,
        duplicated=found.num_duplicated,
        seconds=seconds,
    )


@pytest.mark.parametrize("sent", [b"xxx", b"xxx\r\n"], ids=["no frame", "bad frame"])
async def test_server_that_hangs_up_is_given_time(
    embedded_environment: Environment, tma: ScriptedTma, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """A connection that brings no frame of use is no success."""
    caplog.set_level(logging.INFO)
    backoff = WatchedBackoff(longest=10)
    faults = Faults(cut_after=len(sent))
    async with TcpProxy(tma.port, faults) as proxy, start_client(proxy.port, reconnect=backoff) as client:
        num_cuts = 7
        for _ in range(num_cuts):
            await tma.wait_connected()
            await tma.send(sent, terminator=b"")
            await proxy.was_cut.wait()
            await tma.wait_disconnected()
            proxy.was_cut.clear()
        await wait_until(lambda: len(backoff.delays) >= num_cuts)
        assert backoff.delays[:num_cuts] == [0.01 * 2**number for number in range(num_cuts)]
        for text in ("Connecting to", "Connected to", "connecting again in"):
            assert sum(text in message for message in caplog.messages) == 5
        proxy.faults = Faults()
        await tma.send(azimuth_frame())
        await wait_until(lambda: client.counters.published == 1)
        backoff.delays.clear()
        tma.close_connection()
        await wait_until(lambda: bool(backoff.delays))
        assert backoff.delays[0] == 0.01


async def test_refusals_are_logged_sparingly(
    embedded_environment: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    backoff = WatchedBackoff()
    async with start_client(find_free_port(), reconnect=backoff):
        await wait_until(lambda: len(backoff.delays) > 20)
    messages = [record for record in caplog.records if "Could not connect" in record.getMessage()]
    # And one of how many there were more.
    assert len(messages) == 6


async def test_strict_ends_all_the_same(embedded_environment: Environment, tma: ScriptedTma) -> None:
    async with run_client(tma.port, reconnect=True, strict=True) as client:
        await tma.send(b"garbage")
        with pytest.raises(FrameError):
            await client.done_task


@pytest.mark.parametrize("is_there", [True, False])
async def test_signal_ends_the_program(
    embedded_environment: Environment, tmp_path: Path, tma: ScriptedTma, is_there: bool
) -> None:
    port = tma.port if is_there else find_free_port()
    async with ClientProgram(embedded_environment, tmp_path, port) as program:
        if is_there:
            await tma.send(azimuth_frame())
            await wait_until(lambda: program.counters["published"] == 1)
            tma.close_connection()
            await program.wait_output("connecting again in")
        else:
            await program.wait_output("Could not connect")
        program.send_signal(signal.SIGTERM)
        status, _ = await program.wait_ended()
        assert status == 0
        assert "MTMount telemetry client done" in program.output
