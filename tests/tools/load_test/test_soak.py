"""The soak test, as a program; short, so that it says little about the client."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from lsst.ts.mtmount.tools.load_test.tma_stream import count_due_frames

from ...programs import find_program
from .test_stress import check_page

TIMEOUT = 90


@pytest.mark.slow
async def test_reports(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    options = ("--rate", "5", "--duration", "6", "--interval", "0.2", "--output", str(folder))
    async with asyncio.timeout(TIMEOUT):
        process = await asyncio.create_subprocess_exec(
            *(find_program("stress_mtmount_telemetry"), "--soak", *options),
            env=os.environ | {"TMPDIR": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    figures = json.loads((folder / "soak.json").read_text())
    # On a busy computer the latency may well drift.
    assert process.returncode == (0 if figures["passed"] else 1), output.decode()
    assert figures["run"]["problems"] == []
    assert figures["run"]["account"]["sent"] == figures["run"]["account"]["written"]
    assert figures["run"]["account"]["sent"] == count_due_frames(5, 6)
    trends = {trend["name"]: trend for trend in figures["trends"]}
    assert trends["open files"]["is_flat"]
    assert 10 < trends["resident memory [MiB]"]["level"] < 100
    check_page((folder / "soak.html").read_text())
