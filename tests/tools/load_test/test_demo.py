"""The demonstration, as a program."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from lsst.ts.mtmount.commands.demo import main
from lsst.ts.mtmount.tools.load_test.procfs import list_tree

from ...ports import find_free_port
from ...programs import find_program
from ...tma_interface.new_software import write_new_file
from ..browser import read_until

FAULTY_CLIENT = Path(__file__).parent / "faulty_client.py"
TIMEOUT = 60


async def start(*arguments: str, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(find_program("demo_mtmount_telemetry"), *arguments),
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def run(*arguments: str, folder: Path) -> tuple[int | None, str]:
    async with asyncio.timeout(TIMEOUT):
        process = await start(*arguments, folder=folder)
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_passes(tmp_path: Path) -> None:
    status, output = await run("--duration", "3", folder=tmp_path)
    assert status == 0, output
    assert "655 frames sent; each was published, acknowledged and read" in output
    (total,) = (line for line in output.splitlines() if line.strip().startswith("all topics"))
    assert total.split()[2:5] == ["655"] * 3
    assert total.split()[-3:] == ["0"] * 3
    further = output.partition("Where to look further:")[2]
    for name in ("monitor_mtmount_telemetry", "stress_mtmount_telemetry", "doc/tutorial.md"):
        assert name in further
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.parametrize("by_variable", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_another_interface(tmp_path: Path, by_variable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new topic that SAL lacks, a field gone, an array grown: sent, published, compared value by value."""
    file = str(write_new_file(tmp_path / "TelemetryTopicsConfiguration.ini"))
    arguments = ["--duration", "1"]
    if by_variable:
        monkeypatch.setenv("MTMOUNT_TMA_INTERFACE", file)
    else:
        # The option wins.
        monkeypatch.setenv("MTMOUNT_TMA_INTERFACE", str(tmp_path / "nowhere"))
        arguments += ["--tma-interface", file]
    status, output = await run(*arguments, folder=tmp_path)
    assert status == 0, output
    # Three topics in each of 20 ticks, two in every second one.
    assert f"TMA interface: {file} (5 topics, " in output
    assert "TMA interface: unlike the packaged one, azimuth does not send actualTorque" in output
    assert "1x the full rate for 1 s: 60 frames to be published" in output
    assert "80 frames sent; each of the other ones was published" in output
    topics = "encoderHeads (10 frames), unknownToSal (10 frames)"
    assert f"Unsupported, as SAL lacks these topics: {topics}" in output
    (total,) = (line for line in output.splitlines() if line.strip().startswith("all topics"))
    assert total.split()[2:5] == ["80", "60", "60"]


@pytest.mark.parametrize("content", ["", "[Azimuth]\nTopicID = 6\n"])
def test_unusable_interface(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file.ini"
    path.write_text(content)
    with pytest.raises(SystemExit) as caught:
        main(["--tma-interface", str(path)])
    assert caught.value.code == 2
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("drop", "1 frames were lost"),
        pytest.param("alter", "1 records are wrong", marks=pytest.mark.slow),
        pytest.param("repeat", "the broker got", marks=pytest.mark.slow),
    ],
)
async def test_fails_with_a_faulty_client(tmp_path: Path, fault: str, problem: str) -> None:
    client = f"{sys.executable} {FAULTY_CLIENT} --fault {fault}"
    status, output = await run("--duration", "1", "--client-command", client, folder=tmp_path)
    assert status == 1
    assert "FAILED:" in output
    assert problem in output
    assert f"The output of the programs is in {tmp_path}" in output


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["none", "lag"])
async def test_passes_if_the_faulty_client_leaves_the_frames_alone(tmp_path: Path, fault: str) -> None:
    """It may be behind the TMA by more than a second."""
    client = f"{sys.executable} {FAULTY_CLIENT} --fault {fault}"
    status, output = await run("--duration", "1", "--client-command", client, folder=tmp_path)
    assert status == 0, output


@pytest.mark.slow
async def test_client_that_ends_badly(tmp_path: Path) -> None:
    """All is published and right, but the program's exit status is not 0."""
    program = f'{sys.executable} {FAULTY_CLIENT} --fault none "$@"'
    client = f"sh -c '{program} & trap \"kill $!; wait; exit 5\" TERM; wait' sh"
    status, output = await run("--duration", "1", "--client-command", client, folder=tmp_path)
    assert status == 1
    assert "the client ended with status 5 after SIGTERM" in output


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
async def test_interrupting_leaves_nothing_behind(tmp_path: Path, signum: signal.Signals) -> None:
    async with asyncio.timeout(TIMEOUT):
        process = await start("--duration", "60", folder=tmp_path)
        assert process.stdout is not None
        while b" frames  " not in await process.stdout.readline():
            pass
        family = list_tree(process.pid)
        assert len(family) == 5
        process.send_signal(signum)
        await process.communicate()
    assert process.returncode == 128 + signum
    assert not [pid for pid in family if os.path.exists(f"/proc/{pid}")]  # noqa: ASYNC240, PTH110


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_live_as_a_page_until_a_signal(tmp_path: Path, browser: Chrome, signum: signal.Signals) -> None:
    port = find_free_port()
    process = await start("--web", str(port), folder=tmp_path)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT):
            while b"until Ctrl-C" not in (line := await process.stdout.readline()):
                assert line
            line = await process.stdout.readline()
            assert line == f"Open http://127.0.0.1:{port}/ in a web browser\n".encode()
            await asyncio.to_thread(browser.get, f"http://127.0.0.1:{port}/")
            await read_until(browser, lambda rows: "live" in rows.get("azimuth", [""])[0])
        family = list_tree(process.pid)
        assert len(family) == 6
    finally:
        # It ends what it has started.
        process.send_signal(signum)
        async with asyncio.timeout(TIMEOUT):
            output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"Where to look further:" in output
    assert not [pid for pid in family if os.path.exists(f"/proc/{pid}")]  # noqa: ASYNC240, PTH110
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.slow
async def test_checks_all_beside_a_page(tmp_path: Path) -> None:
    status, output = await run("--web", str(find_free_port()), "--duration", "3", folder=tmp_path)
    assert status == 0, output
    assert "655 frames sent; each was published, acknowledged and read" in output


@pytest.mark.slow
async def test_a_page_that_ends_is_told(tmp_path: Path) -> None:
    async with asyncio.timeout(TIMEOUT):
        process = await start("--web", str(find_free_port()), folder=tmp_path)
        assert process.stdout is not None
        while b" frames  " not in await process.stdout.readline():
            pass
        (monitor,) = (pid for pid in list_tree(process.pid) if b"run_monitor" in read_command(pid))
        os.kill(monitor, signal.SIGKILL)
        output, _ = await process.communicate()
    assert process.returncode == 1
    assert b"FAILED:\n  the monitor ended with status -9\n" in output


@pytest.mark.slow
async def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, output = await run("--web", str(port), folder=tmp_path)
    assert status == 1
    assert "monitor ended, status 1\n" in output
    assert f"--web 127.0.0.1:{port}: Address already in use\n" in output


def read_command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize(
    "arguments", [["--duration", "0"], ["--web", "0"], ["--rate", "inf"], ["--client-command", ""]]
)
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err
