"""The client's ``record=``, and the program ``record_tma_telemetry``."""

import asyncio
import json
import subprocess
import time
from pathlib import Path

import pytest

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.recording import find_files, read_messages
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..kafka_reader import KafkaReader
from ..programs import find_program
from ..tma import ScriptedTma
from .frames import read_back

FRAME = b'{"topicID": 99, "timestamp": 1732400000.5}'


async def test_the_client_records_what_it_receives(tmp_path: Path, kafka_reader: KafkaReader) -> None:
    sent = bytearray()
    async with TmaSimulator(rate=10, max_ticks=40, record=sent.extend, stay_open=True) as simulator:
        client = TelemetryClient("127.0.0.1", simulator.port, record=tmp_path)
        async with asyncio.timeout(60):
            await client.start_task
            while simulator.totals.ticks < 40 or client.counters.frames < simulator.frames_sent:
                await asyncio.sleep(0.01)
        await client.close()
    assert client.recorder is not None
    messages = read_back(tmp_path)
    assert b"".join(message.data + b"\r\n" for message in messages) == bytes(sent)
    assert client.recorder.num_recorded == client.counters.frames == len(messages)
    assert (client.counters.recorded_frames, client.counters.recorder_dropped) == (len(messages), 0)


async def test_report_and_last_log_line_have_all_that_was_recorded(
    tmp_path: Path, kafka_reader: KafkaReader
) -> None:
    async with TmaSimulator(rate=10, max_ticks=40) as simulator:
        process = await asyncio.create_subprocess_exec(
            find_program("run_mtmount_telemetry_client"),
            *("--host", "127.0.0.1", "--port", str(simulator.port)),
            *("--record", str(tmp_path / "night"), "--report", str(tmp_path / "report.json")),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
        num_frames = simulator.frames_sent
    (line,) = (line for line in output.decode().splitlines() if "Counters: " in line)
    for figures in (
        json.loads((tmp_path / "report.json").read_text()),
        json.loads(line.partition("Counters: ")[2]),
    ):
        assert figures["frames"] == figures["recorded_frames"] == num_frames > 0
        assert figures["recorder_dropped"] == 0


async def test_each_connection_begins_a_frame(tmp_path: Path, kafka_reader: KafkaReader) -> None:
    async with ScriptedTma() as tma:
        client = TelemetryClient("127.0.0.1", tma.port, record=tmp_path, reconnect=True)
        async with asyncio.timeout(60):
            await client.start_task
            await tma.send(FRAME)
            await tma.send(FRAME[:10], terminator=b"")
            tma.close_connection()
            await tma.wait_disconnected()
            await tma.send(FRAME)
            while client.counters.unsupported < 2:
                await asyncio.sleep(0.01)
        await client.close()
    assert [(message.topic, message.data) for message in read_back(tmp_path)] == [
        ("tma_other/unknown_topic", FRAME),
        ("tma_other/unfinished", FRAME[:10]),
        ("tma_other/unknown_topic", FRAME),
    ]


async def test_without_it_the_connection_has_no_tap(sal_environment: str) -> None:
    async with ScriptedTma() as tma:
        client = TelemetryClient("127.0.0.1", tma.port)
        assert type(client._connection).__name__ == "TcpConnection"
        assert client.recorder is None
        await client.close()


async def run(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(find_program("record_tma_telemetry"), *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_record_tma_telemetry_needs_no_kafka(tmp_path: Path) -> None:
    sent = bytearray()
    async with TmaSimulator(rate=5, max_ticks=100, record=sent.extend) as simulator:
        status, output, errors = await run(
            *("--host", "127.0.0.1", "--port", str(simulator.port), "--output", str(tmp_path))
        )
    assert status == 1
    assert "the TMA closed the connection" in errors
    assert b"".join(message.data + b"\r\n" for message in read_back(tmp_path)) == bytes(sent)
    assert f"recorded {simulator.frames_sent} frames in {tmp_path}, dropped 0" in output


async def test_record_tma_telemetry_ends_after_its_duration(tmp_path: Path) -> None:
    async with TmaSimulator() as simulator:
        status, output, _ = await run(
            *("--host", "127.0.0.1", "--port", str(simulator.port)),
            *("--output", str(tmp_path / "new"), "--duration", "1"),
        )
    assert status == 0, output
    assert read_back(tmp_path / "new")


async def test_record_tma_telemetry_fails_if_nothing_comes(tmp_path: Path) -> None:
    async with ScriptedTma() as tma:
        status, output, errors = await run(
            *("--host", "127.0.0.1", "--port", str(tma.port)),
            *("--output", str(tmp_path), "--duration", "1.5"),
        )
    assert status == 1
    assert f"failed: 127.0.0.1:{tma.port}: expected telemetry, got none in 1.5 s" in errors
    assert "recorded 0 frames" in output


async def test_record_tma_telemetry_tells_when_nothing_comes_and_when_it_goes_on(tmp_path: Path) -> None:
    async with ScriptedTma() as tma, asyncio.timeout(60):
        process = await asyncio.create_subprocess_exec(
            find_program("record_tma_telemetry"),
            *("--host", "127.0.0.1", "--port", str(tma.port), "--output", str(tmp_path)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        place = f"127.0.0.1:{tma.port}"
        await process.stderr.readuntil(f"no telemetry from {place} for 1 s\n".encode())
        await tma.send(FRAME)
        await process.stderr.readuntil(f"{place} sends again, after ".encode())
        process.terminate()
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert [message.data for message in read_back(tmp_path)] == [FRAME]
    assert "recorded 1 frames" in output.decode()


async def test_record_tma_telemetry_tells_what_it_cannot_reach(tmp_path: Path) -> None:
    async with ScriptedTma() as tma:
        port = tma.port
    status, _, errors = await run("--host", "127.0.0.1", "--port", str(port), "--output", str(tmp_path))
    assert status == 1
    assert f"failed: 127.0.0.1:{port}" in errors


@pytest.mark.slow
async def test_what_the_client_recorded_is_there_after_kill_9(
    tmp_path: Path, kafka_reader: KafkaReader
) -> None:
    """All that was received more than 2 s before, to the last whole chunk."""
    sent: list[tuple[float, int]] = []

    def note(data: memoryview) -> None:
        sent.append((time.monotonic(), bytes(data).count(b"\r\n")))

    async with TmaSimulator(rate=10, record=note) as simulator:
        process = await asyncio.create_subprocess_exec(
            find_program("run_mtmount_telemetry_client"),
            *("--host", "127.0.0.1", "--port", str(simulator.port), "--record", str(tmp_path)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(60):
            while not sent or time.monotonic() < sent[0][0] + 4.5:
                await asyncio.sleep(0.05)
        process.kill()
        killed = time.monotonic()
        await process.wait()
    problems: list[str] = []
    (path,) = find_files(tmp_path)
    messages = list(read_messages(path, problems.append))
    assert len(problems) == 1
    assert "read to the last whole chunk" in problems[0]
    num_old = sum(count for when, count in sent if when < killed - 2.0)
    assert len(messages) >= num_old > 1000
    assert [message.sequence for message in messages] == list(range(1, len(messages) + 1))
