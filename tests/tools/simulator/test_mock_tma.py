import argparse
import asyncio
import json
import math
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lsst.ts.mtmount.commands.mock_tma import main
from lsst.ts.mtmount.commands.shared_options import parse_rate

from ...programs import find_program
from .helpers import TIMEOUT, WAIT, count_due, count_topics, parse_frames, read_to_end


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        find_program("run_mock_tma_telemetry"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run the program on any free port; yield the process and the port that it prints."""
    process = await start("--port", "0", *arguments)
    try:
        async with asyncio.timeout(TIMEOUT):
            assert process.stdout is not None
            first_line = (await process.stdout.readline()).decode()
            assert first_line.startswith("run_mock_tma_telemetry: host=127.0.0.1; port=")
            yield process, int(first_line.split("port=")[1].split(";")[0])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_sends_a_stream_and_ends(tmp_path: Path) -> None:
    report_path = tmp_path / "report.json"
    arguments = ("--rate", "100", "--duration", "0.1", *WAIT, "--report", str(report_path))
    async with running(*arguments) as (process, port):
        data = await read_to_end(port)
        output, errors = await process.communicate()
    assert process.returncode == 0
    assert errors == b""
    assert count_topics(parse_frames(data)) == count_due(200)
    report = json.loads(report_path.read_text())
    assert report["frames"] == sum(count_due(200).values())
    assert report["bytes"] == len(data)
    assert report["ticks"] == 200
    assert report["clients"] == 1
    assert report["rate"] == 100
    assert len(report["frames_by_topic"]) == 26
    assert report["frames_by_topic"]["azimuth"] == 200
    assert report["frames_by_topic"]["oilSupplySystem"] == 2
    assert f"sent {report['frames']} frames ({len(data)} bytes) in 200 ticks" in output.decode()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_signals_end_it(signum: signal.Signals) -> None:
    async with running("--topics", "azimuth,15", "--rate", "max") as (process, port):
        reading = asyncio.create_task(read_to_end(port))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readuntil(b"\r\n")
        writer.close()
        process.send_signal(signum)
        output, errors = await process.communicate()
        frames = count_topics(parse_frames(await reading))
    assert process.returncode == 0
    assert errors == b""
    assert frames.keys() <= {6, 15}
    assert "azimuth " in output.decode()
    assert "to 2 clients" in output.decode()


async def test_signal_without_client() -> None:
    async with running() as (process, _):
        process.terminate()
        output, errors = await process.communicate()
    assert process.returncode == 0
    assert errors == b""
    assert "sent 0 frames (0 bytes) in 0 ticks" in output.decode()


def test_parse_rate() -> None:
    assert parse_rate("2.5") == 2.5
    assert parse_rate("max") == math.inf
    for text in ("0", "-1", "nan", "inf", "fast", ""):
        with pytest.raises(argparse.ArgumentTypeError):
            parse_rate(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "0"], "--rate"),
        (["--topics", "1,nonsense"], "got nonsense"),
        (["--duration", "-1"], "--duration"),
        (["--wait", "1"], "--duration"),
        (["--seed", "-1"], "--seed"),
        (["--port", "x"], "--port"),
        (["--host", "\x1b[31m"], r"\x1b"),
        (["--report", "/no/such/folder"], "argument --report: /no/such/folder: No such file"),
        (["--record", "/tmp"], "argument --record: /tmp: expected a file, got a folder"),
        (["--record", "same", "--report", "same"], "--record"),
    ],
)
def test_usage_errors(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


async def test_address_in_use() -> None:
    async with running() as (_, port), asyncio.timeout(TIMEOUT):
        process = await start("--port", str(port))
        output, errors = await process.communicate()
    assert process.returncode == 1
    assert output == b""
    assert b"run_mock_tma_telemetry: failed: " in errors


async def test_ends_if_no_client_comes() -> None:
    async with running("--duration", "0.3") as (process, _), asyncio.timeout(TIMEOUT):
        output, errors = await process.communicate()
    assert process.returncode == 0
    assert b"sent 0 frames" in output
    assert errors == b"No client is connected for 0.3 s\n"


async def test_ends_if_its_clients_leave() -> None:
    async with running("--duration", "60", "--wait", "2") as (process, port), asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readuntil(b"\r\n")
        writer.close()
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"to 1 clients" in output


async def test_recording_that_fails_ends_no_telemetry() -> None:
    async with running("--duration", "0.2", *WAIT, "--record", "/dev/full") as (process, port):
        frames = parse_frames(await read_to_end(port))
        _, errors = await process.communicate()
    assert count_topics(frames) == count_due(4)
    assert process.returncode == 1
    assert b"failed: --record /dev/full: No space left on device; nothing more is recorded" in errors


async def test_serves_clients_again_after_descriptors_ran_out() -> None:
    command = f"ulimit -n 20; exec {find_program('run_mock_tma_telemetry')} --port 0"
    process = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            assert process.stdout is not None
            port = int((await process.stdout.readline()).split(b"port=")[1].split(b";")[0])
            clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(25)]
            for reader, writer in clients:
                assert (await reader.readuntil(b"\r\n")).startswith(b"{")
                writer.close()
            process.terminate()
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    assert b"to 25 clients" in output
    assert b"A client has to wait, as it cannot be accepted: [Errno 24]" in errors


async def test_output_that_nobody_reads_any_more(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = f"{find_program('run_mock_tma_telemetry')} --port 0 --duration 0.2 --report {report}"
    process = await asyncio.create_subprocess_shell(
        f"set -o pipefail; {command} | head -n 1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        executable="/bin/bash",
    )
    async with asyncio.timeout(TIMEOUT):
        _, errors = await process.communicate()
    assert process.returncode == 0
    assert errors == b"No client is connected for 0.2 s\n"
    assert json.loads(report.read_text())["clients"] == 0
