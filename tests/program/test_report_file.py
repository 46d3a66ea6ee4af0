import asyncio
import json
import logging
import os
from pathlib import Path

import pytest

from lsst.ts.mtmount.program.report_file import ReportFile

LOG = logging.getLogger("report")


async def test_writes_from_time_to_time(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    figures = {"frames": 0}
    written = asyncio.Event()

    def describe() -> dict[str, int]:
        figures["frames"] += 1
        if figures["frames"] == 3:
            written.set()
        return figures

    report = ReportFile(path, describe, LOG, 0.001)
    async with asyncio.timeout(20):
        await written.wait()
    figures["frames"] = 100
    report.finish()
    assert json.loads(path.read_text()) == {"frames": 101}
    assert [entry.name for entry in os.scandir(tmp_path)] == [path.name]


def test_writes_once_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report = ReportFile(path, lambda: {"frames": 7}, LOG)
    assert not path.exists()
    report.finish()
    assert json.loads(path.read_text()) == {"frames": 7}


def test_a_file_that_cannot_be_written_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "no folder" / "report.json"
    report = ReportFile(path, dict, LOG)
    for _ in range(3):
        report.write()
    (record,) = caplog.records
    assert (
        record.getMessage() == f"Cannot write the report: [Errno 2] No such file or directory: '{path}.new'"
    )


async def test_refuses_an_interval_of_no_length(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="interval of 0 s"):
        ReportFile(tmp_path / "report.json", dict, LOG, 0)
