"""Output that nobody takes: the telemetry goes on, and the program ends in time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from ..ports import find_free_port
from ..programs import PROGRAMS, find_program
from ..tma import ScriptedTma
from .client import ClientProgram, wait_until
from .frames import azimuth_frame
from .outcome import RecordOutcome
from .read_back import read_back

Environment = dict[str, str]

NUM_FRAMES = 50


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that is full, and that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, bytes(1 << 16))
    # O_NONBLOCK would be the program's, too.
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


#: Runs the program with an output and options; takes the fault and the promise for the outcome.
RunWithOutput = Callable[..., Awaitable[None]]


@pytest.fixture
def run_with_output(
    embedded_environment: Environment, record_outcome: RecordOutcome, tma: ScriptedTma, tmp_path: Path
) -> RunWithOutput:
    """Publish some frames, and end the program, whose output goes to a descriptor."""

    async def run(fault: str, promise: str, output: int, *options: str) -> None:
        async with ClientProgram(
            embedded_environment, tmp_path, tma.port, *options, output=output
        ) as program:
            await tma.send(*[azimuth_frame()] * NUM_FRAMES, b"garbage")
            await wait_until(lambda: program.counters["acknowledged"] == NUM_FRAMES)
            program.send_signal(signal.SIGTERM)
            status, seconds = await program.wait_ended()
        assert status == 0
        found = await asyncio.to_thread(read_back, embedded_environment)
        sent = NUM_FRAMES + 1
        record_outcome(fault, promise, program.counters, sent=sent, found=found, seconds=seconds)

    return run


async def test_pipe_that_nobody_reads(run_with_output: RunWithOutput, full_pipe: int) -> None:
    """As where the CSC hands its own stderr down, and nobody reads it any more."""
    fault = "stdout and stderr: a full pipe that nobody reads"
    await run_with_output(fault, "nothing lost; ends with 0", full_pipe)


async def test_dead_letters_and_report_to_a_pipe_that_nobody_reads(
    run_with_output: RunWithOutput, full_pipe: int
) -> None:
    """As a file system that hangs: writing never returns."""
    fault = "--dead-letter: writing never returns"
    await run_with_output(fault, "nothing else lost; ends with 0", full_pipe, "--dead-letter=/dev/stderr")


@pytest.mark.slow
async def test_simulator_whose_output_nobody_reads(full_pipe: int) -> None:
    port = find_free_port()
    process = await asyncio.create_subprocess_exec(
        *(find_program("run_mock_tma_telemetry"), f"--port={port}"),
        stdout=full_pipe,
        stderr=full_pipe,
    )
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
            assert (await reader.readline()).endswith(b"\r\n")
            process.terminate()
            assert await process.wait() == 0
        writer.close()
    finally:
        if process.returncode is None:
            process.kill()


async def test_halted_terminal(run_with_output: RunWithOutput) -> None:
    """Ctrl-S in a terminal."""
    controller, terminal = os.openpty()
    os.write(controller, b"\x13")
    await run_with_output("terminal halted by Ctrl-S", "nothing lost; ends with 0", terminal)
    os.close(terminal)
    os.close(controller)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
async def test_closed_descriptors(
    embedded_environment: Environment, tma: ScriptedTma, tmp_path: Path, closed: str
) -> None:
    report = tmp_path / "client.json"
    command = (
        f"exec {find_program('run_mtmount_telemetry_client')} --host=127.0.0.1 "
        f"--port={tma.port} --report={report} --report-interval=0.05 {closed}"
    )
    process = await asyncio.create_subprocess_exec("sh", "-c", command, env=embedded_environment)
    try:
        async with asyncio.timeout(60):
            await tma.send(*[azimuth_frame()] * NUM_FRAMES)
            await wait_until(
                lambda: report.exists() and f'"acknowledged": {NUM_FRAMES}' in report.read_text()
            )
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


def run_shell(command: str) -> tuple[int, str]:
    """Run a command by bash; return its status and what it writes to the standard error."""
    run = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, timeout=60)
    return run.returncode, run.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_output_that_a_program_is_there_for_and_that_cannot_be_written(program: str) -> None:
    path = find_program(program)
    status = 2 if program == "compare_mtmount_interfaces" else 1
    failure = f"{program}: failed: cannot write the output: "
    assert run_shell(f"{path} --version > /dev/full") == (status, f"{failure}No space left on device\n")
    assert run_shell(f"{path} --help >&-") == (status, f"{failure}Bad file descriptor\n")
    assert run_shell(f"{path} --version <&- >&- 2>&-") == (status, "")
    assert run_shell(f"{path} --help 2> /dev/full > /dev/full") == (status, "")
    version = subprocess.run([path, "--version"], stdout=subprocess.PIPE, text=True, timeout=60)
    assert version.stdout.startswith(f"{program} ")


@pytest.mark.parametrize(
    "command",
    [
        "run_mtmount_telemetry_client --which",
        pytest.param(
            "run_mtmount_telemetry_client --host 127.0.0.1 --port 1 --check --json", marks=pytest.mark.slow
        ),
        "compare_mtmount_interfaces tma:packaged sal:packaged",
        "compare_mtmount_interfaces tma:packaged sal:packaged --json",
        "monitor_mtmount_telemetry --list",
        "monitor_mtmount_telemetry --check -d 0.1",
        "monitor_mtmount_telemetry -d 0.1",
        "adopt_mtmount_telemetry_client {folder}/bin",
    ],
)
def test_results_that_cannot_be_written(
    embedded_environment: Environment, tmp_path: Path, command: str
) -> None:
    command = command.format(folder=tmp_path)
    program = command.split()[0]
    failure = 2 if program == "compare_mtmount_interfaces" else 1
    process = [find_program(program), *command.split()[1:]]
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(process, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    # The monitor says first which interface it uses.
    errors = [line for line in run.stderr.splitlines() if not line.startswith("TMA interface: ")]
    assert errors == [f"{program}: failed: cannot write the output: No space left on device"]
    assert run.returncode == failure
    # As a shell tells of SIGPIPE, which head brings about.
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(process, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert all(line.startswith("TMA interface: ") for line in run.stderr.splitlines())
    assert run.returncode == 141


async def test_log_lines(embedded_environment: Environment, tma: ScriptedTma, tmp_path: Path) -> None:
    """Times are in UTC; what comes from outside controls nothing; --loglevel governs all of the client's."""
    start = time.time()
    bad = b'{"topicID": 6, "x": "\x1b]0;title\x07\xc2\x9b\xe2\x80\xae\nforged line"'
    async with ClientProgram(embedded_environment, tmp_path, tma.port) as program:
        await tma.send(bad)
        await program.wait_output("Dropped a frame")
        program.send_signal(signal.SIGTERM)
        assert (await program.wait_ended())[0] == 0
    (line,) = [line for line in program.output.splitlines() if "Dropped a frame" in line]
    stamp, level, logger, _ = line.split(" ", 3)
    assert stamp.endswith("Z")
    assert abs(datetime.fromisoformat(stamp).timestamp() - start) < 120
    assert level == "WARNING"
    assert logger == "MTMount.TelemetryClient.TelemetryClient(TelemetryClient):"
    assert all(line.isprintable() for line in program.output.splitlines())
    assert not any(line.startswith("forged") for line in program.output.splitlines())
    async with ClientProgram(embedded_environment, tmp_path, tma.port, "--loglevel=CRITICAL") as program:
        await tma.send(bad)
        await wait_until(lambda: program.counters.get("total_dropped") == 1)
        program.send_signal(signal.SIGTERM)
        assert (await program.wait_ended())[0] == 0
    assert "Dropped a frame" not in program.output
    assert "TelemetryClient(TelemetryClient)" not in program.output
