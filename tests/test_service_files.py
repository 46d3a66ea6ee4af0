"""The unit for systemd and the alert rules: right, as far as their own tools and this package can tell."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from lsst.ts.mtmount.program.metrics_server import MetricsServer

from .program.test_metrics_server import get, make_snapshot

PACKAGING = Path(__file__).parent.parent / "packaging"
UNIT = PACKAGING / "systemd" / "mtmount-telemetry-client.service"
CONTAINER = PACKAGING / "container" / "Containerfile"
RULES = PACKAGING / "prometheus" / "mtmount_alerts.yml"


def test_the_unit_stops_later_than_the_program() -> None:
    text = UNIT.read_text()
    found = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert found
    assert int(found.group(1)) > 25
    assert re.search(r"^Restart=always$", text, re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_unit() -> None:
    result = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_the_container_starts_a_program_that_there_is() -> None:
    """Building an image needs a container engine; what it names is compared with the project."""
    project = tomllib.loads((PACKAGING.parent / "pyproject.toml").read_text())["project"]
    recipe = CONTAINER.read_text()
    steps = dict(re.findall(r"^([A-Z]+) (.*)$", recipe, re.MULTILINE))
    (program,) = json.loads(steps["ENTRYPOINT"])
    assert program in project["scripts"]
    found = re.search(r"'([\w-]+)\[([\w,]+)\]'", recipe)
    assert found
    assert found[1] == project["name"]
    assert set(found[2].split(",")) <= set(project["optional-dependencies"])
    assert steps["STOPSIGNAL"] == "SIGTERM"
    assert int(steps["USER"]) > 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_prometheus_accepts_the_rules() -> None:
    result = subprocess.run(
        ["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


async def test_the_rules_name_metrics_that_there_are() -> None:
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    named = set(re.findall(r"mtmount_\w+", " ".join(rule["expr"] for rule in rules))) - {"mtmount_telemetry"}
    assert named
    server = MetricsServer("127.0.0.1", 0)
    try:
        server._snapshot = make_snapshot()
        served = set(re.findall(r"^(mtmount_\w+)", get(server.port, "/metrics")[1], re.MULTILINE))
    finally:
        server.close()
    assert named <= served
