"""Faults of the TMA, of the way to it, and of the computer that the client runs on."""

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from lsst.ts.mtmount import DropReason
from lsst.ts.mtmount.sal import KafkaSettings
from lsst.ts.mtmount.tools.reader.record_reader import RecordReader
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..ports import find_free_port
from ..tcp_proxy import Cut, Faults, TcpProxy
from ..tma import ScriptedTma
from ..tools.simulator.helpers import WAIT
from ..tools.simulator.test_mock_tma import running
from .client import ClientProgram, run_client, wait_until
from .frames import AZIMUTH, azimuth_frame
from .outcome import RecordOutcome
from .read_back import read_back
from .stepped_clock import SteppedClock

Environment = dict[str, str]

NUM_FRAMES = 50
TIME_LIMIT = "lsst.ts.mtmount.telemetry_client.TELEMETRY_TIMEOUT"


@pytest.mark.parametrize("cut", list(Cut), ids=lambda cut: cut.name.lower())
async def test_cut_in_mid_frame(
    embedded_environment: Environment, record_outcome: RecordOutcome, tma: ScriptedTma, cut: Cut
) -> None:
    frame = azimuth_frame()
    whole = NUM_FRAMES * len(frame + b"\r\n")
    async with TcpProxy(tma.port, Faults(cut_after=whole + len(frame) // 2, cut=cut)) as proxy:
        async with run_client(proxy.port) as client:
            await tma.send(*[frame] * (NUM_FRAMES + 1))
            await proxy.was_cut.wait()
            start = time.monotonic()
            await client.done_task
            seconds = time.monotonic() - start
        assert isinstance(client.failure, ConnectionError)
    found = await asyncio.to_thread(read_back, embedded_environment)
    counters = client.counters
    # An RST takes with it what the client had not read yet.
    assert counters.published <= NUM_FRAMES if cut is Cut.RESET else counters.published == NUM_FRAMES
    assert counters.dropped[DropReason.CUT_OFF] == counters.total_dropped <= 1
    assert (counters.total_dropped == 1) or cut is Cut.RESET
    assert found.num_unique == counters.published == counters.acknowledged
    assert found.num_duplicated == found.num_late == 0
    record_outcome(
        f"TMA cuts in mid-frame ({cut.name.lower().replace('_', '-')})",
        "the cut frame is counted; ends with 1",
        counters,
        sent=NUM_FRAMES + 1,
        found=found,
        seconds=seconds,
    )


@pytest.mark.slow
async def test_stall_within_the_limit(
    embedded_environment: Environment,
    record_outcome: RecordOutcome,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TIME_LIMIT, 4)
    async with TmaSimulator(rate=5, duration=2) as simulator, TcpProxy(simulator.port) as proxy:
        async with run_client(proxy.port) as client:
            await wait_until(lambda: client.counters.published > 0)
            proxy.stall()
            await asyncio.sleep(1)
            proxy.resume()
            await client.done_task
        assert isinstance(client.failure, ConnectionError)
    found = await asyncio.to_thread(read_back, embedded_environment)
    assert found.unique == simulator.sent
    record_outcome(
        "TMA stalls for less than the limit",
        "goes on",
        client.counters,
        sent=simulator.frames_sent,
        found=found,
    )


async def test_stall_beyond_the_limit(
    embedded_environment: Environment, record_outcome: RecordOutcome, tma: ScriptedTma
) -> None:
    async with run_client(tma.port) as client:
        await tma.send(*[azimuth_frame()] * NUM_FRAMES)
        await wait_until(lambda: client.counters.published == NUM_FRAMES)
        start = time.monotonic()
        await client.done_task
        seconds = time.monotonic() - start
        assert isinstance(client.failure, TimeoutError)
    found = await asyncio.to_thread(read_back, embedded_environment)
    assert found.unique == {AZIMUTH: NUM_FRAMES}
    record_outcome(
        "TMA stalls for good",
        "told after 1 s; ends with 1",
        client.counters,
        sent=NUM_FRAMES,
        found=found,
        seconds=seconds,
    )


async def test_one_byte_at_a_time(
    embedded_environment: Environment, record_outcome: RecordOutcome, tma: ScriptedTma
) -> None:
    async with TcpProxy(tma.port, Faults(split=1)) as proxy, run_client(proxy.port) as client:
        await tma.send(*[azimuth_frame()] * 20)
        await wait_until(lambda: client.counters.published == 20)
    found = await asyncio.to_thread(read_back, embedded_environment)
    assert found.unique == {AZIMUTH: 20}
    record_outcome("TMA dribbles one byte at a time", "goes on", client.counters, sent=20, found=found)


async def test_never_a_terminator(
    embedded_environment: Environment, record_outcome: RecordOutcome, tma: ScriptedTma
) -> None:
    num_bytes = 0
    async with run_client(tma.port) as client:
        start = time.monotonic()
        while not client.done_task.done() and client.connected:
            await tma.send(b"x" * 100_000, terminator=b"")
            num_bytes += 100_000
            # Such a frame may grow to 1 MiB, and one receive more.
            assert sys.getsizeof(client._buffer) < 3 << 20
            await asyncio.sleep(0)
        await client.done_task
        seconds = time.monotonic() - start
        assert isinstance(client.failure, TimeoutError)
    assert client.counters.bytes <= num_bytes
    assert num_bytes > 5 << 20
    assert client.counters.dropped[DropReason.CUT_OFF] == client.counters.frames == 1
    found = await asyncio.to_thread(read_back, embedded_environment)
    record_outcome(
        f"TMA never sends a terminator ({num_bytes >> 20} MiB)",
        "bounded memory; told after 1 s; ends with 1",
        client.counters,
        sent=1,
        found=found,
        seconds=seconds,
    )


async def test_refused_connection(
    embedded_environment: Environment, record_outcome: RecordOutcome, tmp_path: Path
) -> None:
    port = find_free_port()
    async with ClientProgram(embedded_environment, tmp_path, port, reconnect=False) as program:
        await program.wait_output(" starting")
        status, seconds = await program.wait_ended()
        assert status == 1
        assert program.output.endswith(
            f"MTMount telemetry client failed: no connection to 127.0.0.1:{port}: Connection refused\n"
        )
    record_outcome("TMA refuses the connection", "clear error; ends with 1", seconds=seconds)


@pytest.mark.slow
async def test_stalled_event_loop(
    embedded_environment: Environment, record_outcome: RecordOutcome, tmp_path: Path
) -> None:
    """The TMA is another process, which goes on while this one stands still."""
    report = tmp_path / "tma.json"
    async with running("--duration", "6", *WAIT, "--report", str(report)) as (program, port):
        async with run_client(port) as client:
            await wait_until(lambda: client.counters.published > 0)
            num_before = client.counters.frames
            time.sleep(3)  # noqa: ASYNC251
            # More than three seconds' worth arrives at once.
            seconds = await wait_until(lambda: client.counters.frames > num_before + 600)
            assert client.connected
            await client.done_task
            assert isinstance(client.failure, ConnectionError)
        await program.communicate()
    sent = json.loads(report.read_text())["frames"]
    found = await asyncio.to_thread(read_back, embedded_environment)
    assert found.num_unique == client.counters.frames == sent
    record_outcome(
        "event loop stalled for 3 s",
        "no false time-out",
        client.counters,
        sent=sent,
        found=found,
        seconds=seconds,
    )


@pytest.mark.slow
async def test_clock_stepped_back(
    embedded_environment: Environment, record_outcome: RecordOutcome, tmp_path: Path
) -> None:
    hour = 3600
    clock = SteppedClock(tmp_path)
    environment = embedded_environment | clock.environment
    async with (
        TmaSimulator(rate=10, duration=4) as simulator,
        ClientProgram(environment, tmp_path, simulator.port, reconnect=False) as program,
    ):
        await wait_until(lambda: program.counters["published"] > 500)
        clock.step(-hour)
        status, _ = await program.wait_ended()
        assert status == 1
        assert "the TMA closed the connection" in program.output
    found = await asyncio.to_thread(read_back, embedded_environment)
    assert found.unique == simulator.sent
    assert found.num_duplicated == found.num_late == 0
    # The time stamps follow the clock: one step, and otherwise they grow.
    stamps = found.stamps[AZIMUTH]
    (back,) = (after - before for before, after in itertools.pairwise(stamps) if after < before)
    assert back == pytest.approx(-hour, abs=10)
    # What was measured of the TMA's clock tells of it.
    offsets = await asyncio.to_thread(read_clock_offsets, embedded_environment)
    assert offsets[0] == pytest.approx(0, abs=10)
    assert offsets[-1] == pytest.approx(hour, abs=10)
    record_outcome(
        "clock stepped back by 1 h",
        "stamps follow; no time-out",
        program.counters,
        sent=simulator.frames_sent,
        found=found,
    )


def read_clock_offsets(environment: Environment) -> list[float]:
    settings = KafkaSettings.from_environment(environment)
    topic = f"lsst.{settings.subname}.MTMount.logevent_clockOffset"
    with RecordReader(settings.broker_addr, settings.registry_url, [topic]) as reader:
        num_records = sum(reader.find_ends().values())
        return [received.record["offset"] for received in reader.collect(num_records, 10)]


@pytest.mark.parametrize("fault", ["full disk", "closed pipe"])
async def test_output_that_cannot_be_written(
    embedded_environment: Environment,
    record_outcome: RecordOutcome,
    tma: ScriptedTma,
    tmp_path: Path,
    fault: str,
) -> None:
    """The telemetry goes on, and so does the exit status."""
    if fault == "full disk":
        target = os.open("/dev/full", os.O_WRONLY)
    else:
        reading_end, target = os.pipe()
        os.close(reading_end)
    try:
        program = ClientProgram(embedded_environment, tmp_path, tma.port, output=target)
        async with program:
            await tma.send(*[azimuth_frame()] * NUM_FRAMES)
            # A dropped frame is logged, which fails.
            await tma.send(b"no JSON")
            await wait_until(lambda: program.counters["frames"] == NUM_FRAMES + 1)
            program.send_signal(signal.SIGTERM)
            status, seconds = await program.wait_ended()
    finally:
        os.close(target)
    assert status == 0
    found = await asyncio.to_thread(read_back, embedded_environment)
    assert found.num_unique == program.counters["acknowledged"] == NUM_FRAMES
    assert program.counters["total_dropped"] == 1
    record_outcome(
        f"the program's output goes to a {fault}",
        "the telemetry goes on; ends with 0",
        program.counters,
        sent=NUM_FRAMES + 1,
        found=found,
        seconds=seconds,
    )
