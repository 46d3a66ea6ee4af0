"""The program ends in time, whatever hangs, and with its status, whenever signals come."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ..programs import find_program
from ..recording.frames import record
from ..tma import ScriptedTma
from .client import ClientProgram, wait_until
from .frames import azimuth_frame
from .outcome import RecordOutcome

Environment = dict[str, str]

#: Lets the program outlive 1 s without telemetry, which may pass on a busy computer.
RECONNECT = "--reconnect"

#: A resolver that does not answer for a name, as the one of the system may.
HANGING_RESOLVER = """
import socket, time
answer = socket.getaddrinfo
def getaddrinfo(host, *args, **kwargs):
    if host in ("hangs.example", b"hangs.example"):
        print("asking the resolver", flush=True)
        time.sleep(100)
    return answer(host, *args, **kwargs)
socket.getaddrinfo = getaddrinfo
"""

#: A file system that hangs, as that of a server that is gone.
HANGING_DISK = """
import os, time
def hang(function):
    def call(path, *args, **kwargs):
        if str(path).endswith("/hangs"):
            print("asking the disk", flush=True)
            time.sleep(100)
        return function(path, *args, **kwargs)
    return call
for name in ("stat", "lstat", "open"):
    setattr(os, name, hang(getattr(os, name)))
"""

#: Loading that goes on only when a pipe, which the test has opened to write, is closed.
SLOW_LOADING = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "lsst.ts.mtmount.commands.runner":
            open({pipe!r}).read()
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture(autouse=True)
def hangup_is_not_ignored() -> Iterator[None]:
    """The suite itself may run under nohup, which its programs would inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def is_caught(pid: int, number: int) -> bool:
    """Return whether a process has a handler for a signal."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


async def open_when_read(pipe: Path) -> int:
    """Open a named pipe to write, as soon as a process has opened it to read."""
    async with asyncio.timeout(60):
        while True:
            try:
                return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
            await asyncio.sleep(0.01)


@asynccontextmanager
async def start(
    environment: Environment, *options: str, preexec: Callable[[], object] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the installed client."""
    command = (find_program("run_mtmount_telemetry_client"), "--host=127.0.0.1", *options)
    async with start_program(environment, *command, preexec=preexec) as process:
        yield process


@asynccontextmanager
async def start_program(
    environment: Environment, *command: str, preexec: Callable[[], object] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a program."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=preexec,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def end(process: asyncio.subprocess.Process) -> tuple[int, str, float]:
    """Wait for the end; return status, output and how long that took [s]."""
    begin = time.monotonic()
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), time.monotonic() - begin


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signal_before_the_loop_runs(
    embedded_environment: Environment, record_outcome: RecordOutcome, tma: ScriptedTma, number: int
) -> None:
    async with start(embedded_environment, f"--port={tma.port}", RECONNECT) as process:
        await wait_until(lambda: is_caught(process.pid, signal.SIGUSR1))
        process.send_signal(signal.SIGUSR1)
        process.send_signal(number)
        status, output, seconds = await end(process)
    assert status == 0, output
    assert "done" in output
    assert "Traceback" not in output
    if number == signal.SIGTERM:
        record_outcome("SIGUSR1 and SIGTERM while the program loads", "ends with 0", seconds=seconds)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("run_mock_tma_telemetry --port 0", 0),
        # None of the frames is of that time: without a signal it ends with 2.
        ("run_mock_tma_telemetry --port 0 --replay {recording} --from 2030-01-01", 0),
        ("record_tma_telemetry --host 127.0.0.1 --port {port} --output {folder}", 0),
        ("monitor_mtmount_telemetry", 0),
        ("monitor_mtmount_telemetry --check", 1),
        ("run_mtmount_telemetry_client --host 127.0.0.1 --check", None),
        ("stress_mtmount_telemetry", None),
        ("demo_mtmount_telemetry", None),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signal_while_another_program_loads(
    embedded_environment: Environment,
    tma: ScriptedTma,
    tmp_path: Path,
    command: str,
    expected: int | None,
    number: int,
) -> None:
    recording = tmp_path / "recording"
    record(recording, azimuth_frame() + b"\r\n")
    name, *options = command.format(port=tma.port, folder=tmp_path, recording=recording).split()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "sitecustomize.py").write_text(SLOW_LOADING.format(pipe=str(pipe)))
    environment = embedded_environment | {"PYTHONPATH": str(tmp_path)}
    async with start_program(environment, find_program(name), *options) as process:
        written = await open_when_read(pipe)
        assert is_caught(process.pid, signal.SIGUSR1)
        process.send_signal(signal.SIGUSR1)
        process.send_signal(number)
        os.close(written)
        status, output, _ = await end(process)
    assert status == (128 + number if expected is None else expected), output
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTSTP])
async def test_signals_that_end_no_simulator(number: int) -> None:
    async with start_program(dict(os.environ), find_program("run_mock_tma_telemetry"), "--port=0") as process:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        port = int(line.split(b"port=")[1].split(b";")[0])
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert (await reader.readline()).startswith(b"{")
            process.terminate()
            assert (await end(process))[0] == 0
        writer.close()


async def test_interrupt_of_a_short_program(tma: ScriptedTma) -> None:
    """It ends without a traceback."""
    command = (find_program("compare_mtmount_interfaces"), "tma:packaged", f"live:127.0.0.1:{tma.port}")
    async with start_program(dict(os.environ), *command) as process:
        await tma.wait_connected()
        process.send_signal(signal.SIGINT)
        status, output, _ = await end(process)
    assert (status, output) == (130, "")


async def test_signal_for_the_counters_while_it_starts(
    embedded_environment: Environment, tma: ScriptedTma
) -> None:
    async with start(embedded_environment, f"--port={tma.port}", RECONNECT) as process:
        await wait_until(lambda: is_caught(process.pid, signal.SIGUSR1))
        process.send_signal(signal.SIGUSR1)
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while b"Counters: " not in await process.stdout.readline():
                pass
        process.terminate()
        assert (await end(process))[0] == 0


async def test_signals_to_the_last_moment(
    embedded_environment: Environment, record_outcome: RecordOutcome, tma: ScriptedTma
) -> None:
    async with start(embedded_environment, f"--port={tma.port}", RECONNECT) as process:
        await tma.send(azimuth_frame())
        ending = asyncio.create_task(end(process))
        for number in itertools.cycle((signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT)):
            if ending.done():
                break
            # Not by the process, which would take its status from asyncio.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
            await asyncio.sleep(0.002)
        status, output, seconds = await ending
    assert status == 0, output
    record_outcome("signals every 2 ms until the process is gone", "ends with 0", seconds=seconds)


async def test_lost_terminal(
    embedded_environment: Environment, record_outcome: RecordOutcome, tma: ScriptedTma, tmp_path: Path
) -> None:
    """SIGHUP ends it in order, and is ignored under nohup."""
    async with ClientProgram(embedded_environment, tmp_path, tma.port) as program:
        await tma.send(*[azimuth_frame()] * 10)
        await wait_until(lambda: program.counters["published"] == 10)
        program.send_signal(signal.SIGHUP)
        status, seconds = await program.wait_ended()
        assert (status, program.counters["acknowledged"]) == (0, 10)
        assert program.output.endswith("done\n")
    record_outcome("SIGHUP", "all that was read is flushed; ends with 0", published=10, seconds=seconds)
    options = [f"--port={tma.port}", RECONNECT]
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    async with start(embedded_environment, *options, preexec=ignore) as process:
        await wait_until(lambda: is_caught(process.pid, signal.SIGUSR1))
        assert not is_caught(process.pid, signal.SIGHUP)
        process.terminate()
        assert (await end(process))[0] == 0


@pytest.fixture
def hanging_resolver(embedded_environment: Environment, tmp_path: Path) -> Environment:
    """An environment in which the name ``hangs.example`` is never resolved."""
    folder = tmp_path / "resolver"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HANGING_RESOLVER)
    return embedded_environment | {"PYTHONPATH": str(folder)}


async def test_signal_while_the_resolver_hangs(
    hanging_resolver: Environment, record_outcome: RecordOutcome
) -> None:
    async with start(hanging_resolver, "--host=hangs.example") as process:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while await process.stdout.readline() != b"asking the resolver\n":
                pass
        process.terminate()
        status, output, seconds = await end(process)
    assert status == 0, output
    record_outcome("SIGTERM while the resolver hangs", "ends with 0", seconds=seconds)


@pytest.mark.slow
async def test_resolver_that_hangs(hanging_resolver: Environment, record_outcome: RecordOutcome) -> None:
    async with start(hanging_resolver, "--host=hangs.example") as process:
        status, output, seconds = await end(process)
    assert status == 1, output
    assert "no connection to hangs.example" in output
    assert "running" not in output
    assert seconds > 10
    record_outcome("resolver hangs for 100 s", "time-out of 10 s; ends with 1", seconds=seconds)


@pytest.mark.parametrize("option", ["--report", "--dead-letter", "--record", "--pid-file", "--tma-interface"])
async def test_signal_while_a_file_system_hangs(
    embedded_environment: Environment, tmp_path: Path, option: str
) -> None:
    """Nothing that is there shows that it does: stat(2) of a file of an option never returns."""
    (tmp_path / "sitecustomize.py").write_text(HANGING_DISK)
    environment = embedded_environment | {"PYTHONPATH": str(tmp_path)}
    async with start(environment, f"{option}={tmp_path}/hangs") as process:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"asking the disk\n"
        process.terminate()
        status, output, _ = await end(process)
    assert status == 1
    assert "Ended by force, 5 s after the end began; lost: nothing" in output


async def test_unknown_host_is_named(embedded_environment: Environment) -> None:
    async with start(embedded_environment, "--host=no.such.host.invalid") as process:
        status, output, _ = await end(process)
    assert status == 1
    assert "failed: no connection to no.such.host.invalid:" in output
    assert "running" not in output


async def test_losses_tell_scripts(
    embedded_environment: Environment, record_outcome: RecordOutcome, tma: ScriptedTma, tmp_path: Path
) -> None:
    for frames, option, expected in [
        ([azimuth_frame(), b"garbage"], "--fail-on-loss", 3),
        ([azimuth_frame(), b"garbage"], "--loglevel=INFO", 0),
        ([azimuth_frame(), b'{"topicID": 99}'], "--fail-on-loss", 0),
    ]:
        async with ClientProgram(embedded_environment, tmp_path, tma.port, option) as program:
            await tma.send(*frames)
            await wait_until(
                lambda: program.counters["frames"] == 2 and program.counters["acknowledged"] == 1
            )
            program.send_signal(signal.SIGTERM)
            status, seconds = await program.wait_ended()
        assert status == expected, program.output
        assert ("lost 1 frames" in program.output) == (expected == 3)
        (tmp_path / "client.json").unlink()
        if expected == 3:
            fault = "a bad frame, with --fail-on-loss"
            record_outcome(fault, "ends with 3", sent=2, published=1, counted=1, seconds=seconds)


async def test_counters_say_that_nothing_is_acknowledged(
    embedded_environment: Environment, tma: ScriptedTma, tmp_path: Path
) -> None:
    environment = embedded_environment | {"LSST_KAFKA_PRODUCER_WAIT_ACKS": "0"}
    async with ClientProgram(environment, tmp_path, tma.port, "--fail-on-loss") as program:
        await tma.send(b"garbage", azimuth_frame())
        await wait_until(lambda: program.counters["acknowledged"] == 1)
        assert program.counters["acknowledged_means_sent"] is True
        program.send_signal(signal.SIGUSR1)
        await program.wait_output('"acknowledged_means_sent": true')
        program.send_signal(signal.SIGTERM)
        assert (await program.wait_ended())[0] == 3
    assert "0 messages (not acknowledged, as far as is known: acks=0)" in program.output


async def test_pid_file(embedded_environment: Environment, tma: ScriptedTma, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    option = f"--pid-file={path}"
    async with ClientProgram(embedded_environment, tmp_path, tma.port, option) as program:
        await program.wait_output("running")
        assert path.read_text() == f"{program.pid}\n"
        async with start(embedded_environment, option) as second:
            status, output, _ = await end(second)
        assert status == 2
        error = f"argument --pid-file: {path}: held by a running process, process ID in it: {program.pid}\n"
        assert error in output
        assert path.read_text() == f"{program.pid}\n"
        os.kill(int(path.read_text()), signal.SIGTERM)
        assert (await program.wait_ended())[0] == 0
    assert not path.exists()
