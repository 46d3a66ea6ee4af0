"""The pages of the reference name what there is: options, counters, metrics, statuses."""

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lsst.ts.mtmount
from lsst.ts.mtmount import telemetry_client, telemetry_map
from lsst.ts.mtmount.core import DropReason
from lsst.ts.mtmount.pipeline.counters import Counters
from lsst.ts.mtmount.program import client_program
from lsst.ts.mtmount.program.metrics_server import MetricsServer

from ..program.test_metrics_server import get, make_snapshot
from .log_calls import find_client_modules

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "doc" / "reference"
PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def read(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_options_of_the_client() -> None:
    printed = set(re.findall(r"--[a-z][\w-]+", run("run_mtmount_telemetry_client", "--help").stdout))
    table = "".join(re.findall(r"^\| (`--.*?) \|", read("client-program.md"), re.MULTILINE))
    assert set(re.findall(r"--[a-z][\w-]+", table)) == printed - {"--help"}


def test_lines_of_the_client() -> None:
    source = Path(client_program.__file__).read_text(encoding="utf-8")
    printed = set(re.findall(r'print\(f"\{PREFIX\}:? (\w+)', source))
    assert printed >= {"host", "running"}
    listed = re.findall(r"`MTMount telemetry client:? (\w+)", read("client-program.md"))
    assert set(listed) == printed
    assert len(listed) == len(printed)


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_every_program_is_in_the_pages(program: str) -> None:
    assert f"```{{program-help}} {program}\n" in read("programs.md")
    assert f"| `{program}` | 0 |" in read("exit-status.md")


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_a_wrong_command_line_ends_with_2(program: str) -> None:
    result = run(program, "--no-such-option")
    assert (result.returncode, result.stdout) == (2, "")
    assert "--no-such-option" in result.stderr or "required" in result.stderr


def test_counters() -> None:
    page = read("counters.md")
    named = set(re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    figures = make_snapshot().counters.as_dict()
    assert {field.name for field in dataclasses.fields(Counters)} <= set(figures) <= named
    assert {reason.value for reason in DropReason} <= named
    assert named - set(figures) - {reason.value for reason in DropReason} == {
        *("time", "pid", "version", "tma_interface", "connected", "last_frame_age")
    }


async def test_metrics() -> None:
    named = set(re.findall(r"^\| `(mtmount_\w+)", read("metrics.md"), re.MULTILINE))
    server = MetricsServer("127.0.0.1", 0)
    try:
        server._snapshot = make_snapshot()
        text = get(server.port, "/metrics")[1]
    finally:
        server.close()
    described = re.findall(r"^# TYPE (mtmount_\w+) ", text, re.MULTILINE)
    assert named == {name for name in described if not name.endswith("_created")}


def test_environment() -> None:
    read_variables = {
        name
        for path in find_client_modules()
        for name in re.findall(r'"((?:LSST|MTMOUNT)_[A-Z_]*[A-Z])"', path.read_text(encoding="utf-8"))
    }
    assert "LSST_TOPIC_SUBNAME" in read_variables
    table = "".join(re.findall(r"^\| (`.*?) \|", read("environment.md"), re.MULTILINE))
    assert set(re.findall(r"`([A-Z_]+)`", table)) == read_variables


def test_every_public_name() -> None:
    page = read("api.md")
    names = [*lsst.ts.mtmount.__all__, *telemetry_client.__all__, *telemetry_map.__all__]
    assert [name for name in names if name != "__version__" and name not in page] == []
