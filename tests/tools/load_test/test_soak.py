"""The soak test, as a program; short, so that it says little about the client."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from lsst.ts.mtmount.commands.soak import choose_read_mode, has_passed, main
from lsst.ts.mtmount.tools.load_test.kafka_target import EMBEDDED, TargetChoice
from lsst.ts.mtmount.tools.load_test.run import ReadMode, count_due_frames
from lsst.ts.mtmount.tools.load_test.trends import find_trends

from .test_stress import check_page
from .test_trends import make_result

TIMEOUT = 90


@pytest.mark.slow
async def test_reports(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    options = ("--rate", "5", "--duration", "6", "--interval", "0.2", "--output", str(folder))
    async with asyncio.timeout(TIMEOUT):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lsst.ts.mtmount.commands.soak", *options),
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


def test_verdict() -> None:
    good = make_result()
    assert has_passed(good, find_trends(good))
    leaking = make_result(leak=20 * 2**20)
    assert not has_passed(leaking, find_trends(leaking))
    lossy = make_result()
    lossy.problems.append("1 frames were lost")
    assert not has_passed(lossy, find_trends(lossy))


def test_read_mode() -> None:
    assert choose_read_mode("auto", EMBEDDED) is ReadMode.COUNT
    assert choose_read_mode("auto", TargetChoice({})) is ReadMode.DECODE
    assert choose_read_mode("decode", EMBEDDED) is ReadMode.DECODE


@pytest.mark.parametrize("arguments", [["--rate", "max"], ["--duration", "0"], ["--read", "all"]])
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err
