"""The real Prometheus scrapes a client, and an alert fires when Kafka is gone."""

import asyncio
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lsst.ts.mtmount.tools.embedded import EmbeddedKafka
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..ports import find_free_ports

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus"),
    pytest.mark.timeout(240),
]

RULES = Path(__file__).parents[2] / "packaging" / "prometheus" / "mtmount_alerts.yml"
PROGRAM = "import mtmount_telemetry_launcher as launcher, sys; sys.exit(launcher.run_client())"

#: How long a state may take to come about, on a busy computer [s].
TIMEOUT = 90.0


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **parameters: str) -> dict[str, Any]:
        """Return the data of an answer; none if it does not answer yet."""
        url = f"{self._url}/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
        except (OSError, urllib.error.HTTPError):
            return {}
        return data

    def is_true(self, expression: str) -> bool:
        """Return whether an expression holds for any series."""
        return bool(self.ask("query", query=expression).get("result"))

    def find_firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self.ask("alerts").get("alerts", ())
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def wait_until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not await asyncio.to_thread(is_true):
            await asyncio.sleep(0.2)


async def test_an_alert_fires_when_the_broker_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics_port, port = find_free_ports(2)
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(RULES)],
                "scrape_configs": [
                    {
                        "job_name": "mtmount_telemetry",
                        "static_configs": [{"targets": [f"127.0.0.1:{metrics_port}"]}],
                    }
                ],
            }
        )
    )
    kafka = EmbeddedKafka()
    await asyncio.to_thread(kafka.__enter__)
    for name, value in kafka.environment("prometheus").items():
        monkeypatch.setenv(name, value)
    prometheus = Prometheus(port)
    try:
        async with (
            TmaSimulator() as simulator,
            running(
                *(sys.executable, "-c", PROGRAM, "--host", "127.0.0.1", "--port", str(simulator.port)),
                *("--metrics-port", str(metrics_port)),
            ),
            running(
                *("prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'data'}"),
                f"--web.listen-address=127.0.0.1:{port}",
            ),
        ):
            # Not before: a client that has not started has no Kafka to lose.
            await wait_until(lambda: prometheus.is_true("mtmount_acknowledged_total > 100"))
            assert await asyncio.to_thread(prometheus.find_firing) == set()
            await asyncio.to_thread(kafka.close)
            await wait_until(lambda: bool(prometheus.find_firing()))
            assert await asyncio.to_thread(prometheus.find_firing) == {"MTMountKafkaStalled"}
    finally:
        await asyncio.to_thread(kafka.close)
