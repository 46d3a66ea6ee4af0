import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Self

import pytest

from lsst.ts.mtmount.commands import monitor
from lsst.ts.mtmount.commands.monitor import main

from ...kafka_reader import KafkaReader
from ...programs import find_program
from ..conftest import Streaming

TIMEOUT = 60

Line = dict[str, str]


#: What the program says at the start.
INTERFACE_LINE = "TMA interface: packaged tables (26 topics, 746 fields, 1114 members)\n"


async def start(
    *arguments: str,
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int | IO[bytes] = PIPE,
    **environment: str,
) -> Process:
    return await asyncio.create_subprocess_exec(
        find_program("monitor_mtmount_telemetry"),
        *arguments,
        stdin=DEVNULL,
        stdout=stdout,
        stderr=PIPE,
    )


async def run(*arguments: str) -> tuple[int | None, str, str]:
    """Run the program to its end; return status, output and errors."""
    process = await start(*arguments)
    async with asyncio.timeout(TIMEOUT):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


def parse_lines(output: str) -> tuple[list[Line], dict[str, Line]]:
    """Return the lines of records, and the summaries by topic."""
    lines = [dict(pair.split("=", 1) for pair in line.split(" ")) for line in output.splitlines()]
    assert "publishers" in lines[-1]
    return (
        [line for line in lines if "time" in line],
        {line["summary"]: line for line in lines if "summary" in line},
    )


async def test_lines_are_the_records(streaming: Streaming, kafka_reader: KafkaReader) -> None:
    fields = "azimuth.actualPosition,azimuth.timestamp,azimuthDrives.current,azimuthDrives.current[3]"
    async with streaming():
        status, output, errors = await run("-d", "2", "-s", "0", "--fields", fields)
        lines, summaries = parse_lines(output)
        assert (status, errors) == (0, INTERFACE_LINE)
        assert {line["topic"] for line in lines} == {"azimuth", "azimuthDrives"} == set(summaries)
        last = {line["topic"]: int(line["seqNum"]) for line in lines}
        records = await kafka_reader.read_until(
            lambda records: all(len(records[name]) >= seq_num for name, seq_num in last.items())
        )
    for line in lines:
        record = records[line["topic"]][int(line["seqNum"]) - 1]
        if line["topic"] == "azimuth":
            assert float(line["actualPosition"]) == record["actualPosition"]
            assert float(line["timestamp"]) == record["timestamp"]
        else:
            assert json.loads(line["current"]) == record["current"]
            assert float(line["current[3]"]) == record["current"][3]
        assert 0 <= float(line["latency"]) <= float(line["tmaLatency"]) < TIMEOUT
    for name, summary in summaries.items():
        of_topic = [line for line in lines if line["topic"] == name]
        numbers = [int(line["seqNum"]) for line in of_topic]
        # Nothing is left out, once it has begun.
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert [int(line["record"]) for line in of_topic] == list(range(1, len(numbers) + 1))
        assert summary["records"] == str(len(numbers))
        assert (summary["lost"], summary["bad"]) == ("0", "0")


@pytest.mark.slow
async def test_skips_as_many_as_it_is_told_to(streaming: Streaming) -> None:
    async with streaming():
        status, output, _ = await run("--topics", "encoder,elevation", "azimuth", "-d", "2", "--skip=4")
    lines, summaries = parse_lines(output)
    assert status == 0
    assert set(summaries) == {"azimuth", "encoder", "elevation"}
    for name, summary in summaries.items():
        numbers = [int(line["record"]) for line in lines if line["topic"] == name]
        assert numbers == list(range(5, int(summary["records"]) + 1, 5))
        # Without chosen fields, all of the topic's own.
        for line in lines:
            if line["topic"] == name:
                assert "timestamp" in line
                assert not any(field.startswith("private_") for field in line)


async def test_defaults_in_plain_lines(
    streaming: Streaming, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert monitor.PLAIN_DURATION == 10
    monkeypatch.setattr(monitor, "PLAIN_DURATION", 0.2)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert main([]) == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    _, summaries = parse_lines(capsys.readouterr().out)
    assert set(summaries) == {"azimuth", "cameraCableWrap"}


async def test_topics_that_are_not_there(sal_environment: str) -> None:
    status, output, errors = await run("azimuth", "-d", "1.5")
    assert status == 0
    _, summaries = parse_lines(output)
    assert summaries["azimuth"]["status"] == "no_topic"
    assert summaries["azimuth"]["age"] == "none"
    assert errors == f"{INTERFACE_LINE}There is no Kafka topic {sal_environment}azimuth\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_end_it_with_a_summary(streaming: Streaming, number: signal.Signals) -> None:
    async with streaming():
        process = await start("azimuth", "-s", "0", "-d", "600")
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT):
            assert (await process.stdout.readline()).startswith(b"time=")
            process.send_signal(number)
            output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, INTERFACE_LINE.encode())
    summary, publishers = output.splitlines()[-2:]
    assert summary.startswith(b"summary=azimuth status=live ")
    assert publishers == f"publishers={os.getpid()}".encode()


async def test_a_reader_that_has_seen_enough(streaming: Streaming) -> None:
    async with streaming():
        reader, writer = os.pipe()
        with open(writer, "wb") as end:  # noqa: ASYNC230, PTH123
            process = await start("azimuth", "-s", "0", "-d", "600", stdout=end)
        async with asyncio.timeout(TIMEOUT):
            assert (await asyncio.to_thread(os.read, reader, 1 << 16)).startswith(b"time=")
            os.close(reader)
            _, errors = await process.communicate()
    # As a shell tells of SIGPIPE.
    assert (process.returncode, errors) == (141, INTERFACE_LINE.encode())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["azimut"], "expected a topic, got 'azimut'; did you mean azimuth"),
        (["--fields", "azimuth.actualPositio"], "did you mean actualPosition"),
        (["--fields", "azimuth"], "got 'azimuth'"),
        (["--skip", "-1"], "expected a whole number from 0, got '-1'"),
        (["--skip", "1.5"], "expected a whole number from 0, got '1.5'"),
        (["--duration", "forever"], "expected a number of seconds from 0, got 'forever'"),
        (["--duration", "nan"], "expected a number of seconds from 0, got 'nan'"),
    ],
)
def test_usage_errors(
    sal_environment: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"LSST_TOPIC_SUBNAME": ""}, "LSST_TOPIC_SUBNAME to be set, got none"),
        ({"LSST_SCHEMA_REGISTRY_URL": "nonsense"}, "LSST_SCHEMA_REGISTRY_URL: expected a URL"),
        ({"LSST_KAFKA_BROKER_CLIENT_CONFIGURATION": "/nowhere"}, "/nowhere cannot be read"),
    ],
)
def test_settings_that_cannot_be_used(
    sal_environment: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: dict[str, str],
    message: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main([]) == 1
    error = capsys.readouterr().err
    assert error.startswith("monitor_mtmount_telemetry: failed: ")
    assert message in error


def test_client_settings_are_used(
    sal_environment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "client.yaml"
    path.write_text("ssl.ca.location: /nowhere/ca.pem\nsecurity.protocol: SSL\n")
    monkeypatch.setenv("LSST_KAFKA_BROKER_CLIENT_CONFIGURATION", str(path))
    assert main([]) == 1
    assert "ssl.ca.location failed" in capsys.readouterr().err


class Terminal:
    """A terminal that shows what a program writes to it. A context manager."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self._data = b""
        self._user, self.program = pty.openpty()
        fcntl.ioctl(self.program, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._modes = termios.tcgetattr(self.program)
        self._is_news = asyncio.Event()
        self._num_seen = 0

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._user, self._read)
        return self

    def __exit__(self, *exc_info: object) -> None:
        asyncio.get_running_loop().remove_reader(self._user)
        os.close(self._user)
        os.close(self.program)

    def _read(self) -> None:
        self._data += os.read(self._user, 1 << 16)
        self._is_news.set()

    async def read_until(self, pattern: str) -> None:
        """Wait until something that matches was shown after what matched the last time."""
        async with asyncio.timeout(TIMEOUT):
            while (match := re.compile(pattern).search(self.shown, self._num_seen)) is None:
                self._is_news.clear()
                await self._is_news.wait()
        self._num_seen = match.end()

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.program, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self._user, keys)

    @property
    def shown(self) -> str:
        """What was shown, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self._data.decode(errors="replace"))

    @property
    def is_restored(self) -> bool:
        """Is it in the modes in which it was?"""
        return termios.tcgetattr(self.program) == self._modes


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@asynccontextmanager
async def on_terminal(
    terminal: Terminal, *arguments: str, has_keys: bool = True, **changes: str | None
) -> AsyncIterator[Process]:
    """Run the program on a terminal; it must end before this does. A variable that is None is not there."""
    variables = os.environ | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | changes
    variables |= dict.fromkeys(("COLUMNS", "LINES", "NO_COLOR"))
    process = await asyncio.create_subprocess_exec(
        find_program("monitor_mtmount_telemetry"),
        *arguments,
        stdin=terminal.program if has_keys else DEVNULL,
        stdout=terminal.program,
        stderr=terminal.program,
        env={name: value for name, value in variables.items() if value is not None},
        # As a shell does it; Ctrl-Z does not stop a group without a parent.
        process_group=0,
    )
    try:
        yield process
        async with asyncio.timeout(TIMEOUT):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.slow
async def test_live_view(streaming: Streaming) -> None:
    with Terminal() as terminal:
        async with streaming(), on_terminal(terminal) as process:
            await terminal.read_until(r"31 topics: .*27 live")
            await terminal.read_until(r"evt_telemetryConnected\.connected +True")
            await terminal.read_until(r"live +azimuth +\d+\.\d +\d+\.\d +\d+\.\d +\d+\.\d +\d+\.\d")
            await terminal.read_until(r"azimuth\.actualPosition +-?\d+\.\d+ deg .*[▁▂▃▄▅▆▇█]")
            terminal.press(b"\x1b[F")
            await terminal.read_until(r"topics \d+ to 31 of 31")
            terminal.press(b"q")
            # The summary has all topics, and comes after the view.
            await terminal.read_until(r"\x1b\[\?1049l[^$]*evt_logLevel")
        assert process.returncode == 0
        assert terminal.is_restored


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_leave_the_terminal_as_it_was(streaming: Streaming, number: signal.Signals) -> None:
    with Terminal(200, 50) as terminal:
        async with streaming(), on_terminal(terminal, "azimuth") as process:
            await terminal.read_until("1 topics: .*1 live")
            process.send_signal(number)
            await terminal.read_until(r"\x1b\[\?1049l[^$]*azimuth")
        assert process.returncode == 0
        assert terminal.is_restored


async def test_the_terminal_is_the_shells_while_it_is_stopped(streaming: Streaming) -> None:
    """Ctrl-Z, and fg, after which the shell's modes are the terminal's."""
    with Terminal(200, 50) as terminal:
        async with streaming(), on_terminal(terminal, "azimuth") as process:
            await terminal.read_until("1 topics: .*1 live")
            process.send_signal(signal.SIGTSTP)
            await terminal.read_until(r"\x1b\[\?1049l")
            async with asyncio.timeout(TIMEOUT):
                while not is_stopped(process.pid):
                    await asyncio.sleep(0.01)
            assert terminal.is_restored
            process.send_signal(signal.SIGCONT)
            await terminal.read_until(r"\x1b\[\?1049h[^$]*1 topics: ")
            assert not terminal.is_restored
            terminal.press(b"q")
            await terminal.read_until(r"\x1b\[\?1049l")
        assert process.returncode == 0
        assert terminal.is_restored


async def test_live_view_follows_the_terminals_size(streaming: Streaming) -> None:
    with Terminal(80, 24) as terminal:
        async with streaming(), on_terminal(terminal) as process:
            # Above the screen.
            await terminal.read_until(rf"{re.escape(INTERFACE_LINE.rstrip())}")
            await terminal.read_until(r"live +azimuth .*\n")
            await terminal.read_until("topics 1 to 15 of 31")
            terminal.resize(80, 10)
            await terminal.read_until("topics 1 to 3 of 31")
            terminal.resize(200, 50)
            await terminal.read_until("evt_logLevel")
            process.send_signal(signal.SIGINT)
        assert process.returncode == 0


async def test_live_view_without_keys(streaming: Streaming) -> None:
    with Terminal() as terminal:
        async with streaming(), on_terminal(terminal, "azimuth", has_keys=False) as process:
            await terminal.read_until("live +azimuth")
            process.send_signal(signal.SIGINT)
        assert process.returncode == 0


#: Variables of a program whose output can only be ASCII.
NO_LOCALE: dict[str, Any] = {
    "LC_ALL": "C",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONUTF8": "0",
    "PYTHONIOENCODING": None,
}


async def test_live_view_without_a_locale(streaming: Streaming) -> None:
    with Terminal() as terminal:
        async with streaming(), on_terminal(terminal, "azimuth", **NO_LOCALE) as process:
            await terminal.read_until(r"azimuth\.actualPosition +-?\d+\.\d+ deg +[-_.,=+*#]")
            terminal.press(b"q")
        assert process.returncode == 0
        assert terminal.shown.isascii()


@pytest.mark.parametrize(
    "arguments", [("--list",), ("azimuth", "-d", "1"), ("--check", "azimuth", "-d", "1")]
)
async def test_an_output_that_is_full_is_told(sal_environment: str, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:  # noqa: ASYNC230
        process = await start(*arguments, stdout=full)
        async with asyncio.timeout(TIMEOUT):
            _, errors = await process.communicate()
    last = errors.splitlines()[-1]
    assert (process.returncode, last) == (
        1,
        b"monitor_mtmount_telemetry: failed: cannot write the output: No space left on device",
    )


async def test_live_view_ends_in_time(sal_environment: str) -> None:
    with Terminal() as terminal:
        async with on_terminal(terminal, "-d", "1", "azimuth") as process:
            await terminal.read_until("no topic")
            await terminal.read_until(r"\x1b\[\?1049l")
        assert process.returncode == 0


@pytest.mark.slow
async def test_plain_lines_on_a_terminal(streaming: Streaming) -> None:
    with Terminal() as terminal:
        async with streaming(), on_terminal(terminal, "--plain", "-d", "2", "-s", "0", "azimuth") as process:
            await terminal.read_until("time=.* topic=azimuth ")
            await terminal.read_until("summary=azimuth ")
        assert process.returncode == 0
        assert "\x1b[" not in terminal.shown


async def test_check_of_what_is_live(streaming: Streaming) -> None:
    async with streaming():
        status, output, errors = await run("--check", "azimuth", "evt_telemetryConnected")
    assert (status, output, errors) == (0, "all 2 topics are as they should be\n", INTERFACE_LINE)


async def test_two_clients_with_one_process_id_are_told(streaming: Streaming) -> None:
    async with streaming(), streaming():
        checked, (status, output, _) = await asyncio.gather(
            run("--check", "azimuth", "-d", "3"), run("azimuth", "-d", "2")
        )
    pid = os.getpid()
    assert checked == (1, f"expected one publisher, got 2: {pid}, {pid}\n", INTERFACE_LINE)
    assert status == 0
    assert output.endswith(f"publishers={pid},{pid}\n")
    assert parse_lines(output)[1]["azimuth"]["lost"] == "0"


async def test_check_of_what_is_not_there(sal_environment: str) -> None:
    status, output, _ = await run("--check", "azimuth", "-d", "1.5")
    assert (status, output) == (1, "azimuth: expected live, got no topic\n")


async def test_check_waits_for_the_last_event(streaming: Streaming) -> None:
    async with streaming():
        pass
    status, output, _ = await run("--check", "evt_telemetryConnected", "-d", "3")
    assert (status, output) == (1, "evt_telemetryConnected: expected connected=true, got false\n")


async def test_the_last_event_is_shown_though_nobody_publishes(streaming: Streaming) -> None:
    async with streaming():
        pass
    status, output, errors = await run("evt_telemetryConnected", "-d", "1.5")
    _, summaries = parse_lines(output)
    assert (status, errors) == (0, INTERFACE_LINE)
    assert summaries["evt_telemetryConnected"]["connected"] == "false"


def test_list(sal_environment: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "azimuth"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:3] == ["azimuth.actualPosition", "double", "deg"] for line in lines)


@pytest.mark.parametrize("term", ["dumb", None])
async def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(
    streaming: Streaming, term: str | None
) -> None:
    with Terminal() as terminal:
        async with streaming(), on_terminal(terminal, "-d", "2", "azimuth", TERM=term) as process:
            await terminal.read_until("time=.* topic=azimuth ")
            await terminal.read_until("summary=azimuth ")
        assert process.returncode == 0
        assert "\x1b" not in terminal.shown
