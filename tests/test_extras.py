"""The client runs with the five run-time dependencies alone; an option without its extra says which."""

import asyncio
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lsst.ts.mtmount.tools.simulator import TmaSimulator

from .kafka_reader import KafkaReader

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]

#: What imports an extra's packages; blocked below as if none was installed.
BLOCKED = (
    "import importlib.abc, sys\n"
    "class Blocker(importlib.abc.MetaPathFinder):\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name.partition('.')[0] in 'mcap zstandard lz4 prometheus_client bokeh tornado'.split():\n"
    "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
    "sys.meta_path.insert(0, Blocker())\n"
    "import mtmount_telemetry_launcher as launcher\n"
)


def run(function: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"{BLOCKED}sys.exit(launcher.{function}())", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_there_are_five_dependencies() -> None:
    assert len(PROJECT["dependencies"]) == 5


@pytest.mark.parametrize(
    "function",
    ["run_client", "run_mock_tma", "run_record", "run_monitor", "run_stress", "run_demo", "run_adopt"],
)
def test_every_program_starts_without_extras(function: str) -> None:
    result = run(function, "--help")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_client_tells_what_it_is_without_extras() -> None:
    result = run("run_client", "--which")
    assert (result.returncode, result.stderr) == (0, "")


async def test_the_client_publishes_without_extras(kafka_reader: KafkaReader) -> None:
    async with TmaSimulator() as simulator, asyncio.timeout(60):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", f"{BLOCKED}sys.exit(launcher.run_client())"),
            *("--host", "127.0.0.1", "--port", str(simulator.port)),
            stdout=subprocess.PIPE,
        )
        try:
            await kafka_reader.read_count("azimuth", 3)
            process.send_signal(signal.SIGTERM)
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0
    assert output.endswith(b"done\n")


@pytest.mark.parametrize(
    ("function", "arguments", "option", "extra"),
    [
        ("run_client", ("--host", "127.0.0.1", "--record", "."), "--record", "record"),
        ("run_client", ("--host", "127.0.0.1", "--metrics-port", "0"), "--metrics-port", "metrics"),
        ("run_record", ("--host", "127.0.0.1", "--output", "."), "--output", "record"),
        ("run_mock_tma", ("--replay", __file__), "--replay", "record"),
        ("run_monitor", ("--web", "5006"), "--web", "web"),
        ("run_demo", ("--web",), "--web", "web"),
    ],
)
def test_one_line_names_the_extra(function: str, arguments: tuple[str, ...], option: str, extra: str) -> None:
    result = run(function, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert extra in PROJECT["optional-dependencies"]
    last = result.stderr.splitlines()[-1]
    assert f"{option} needs the Python package" in last
    assert f"pip install 'ts-mtmount-telemetry[{extra}]'" in last
