from __future__ import annotations

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
    async with asyncio.timeout(60):
        await written.wait()
    figures["frames"] = 100
    await report.finish()
    assert json.loads(path.read_text()) == {"frames": 101}
    assert [entry.name for entry in os.scandir(tmp_path)] == [path.name]


async def test_no_cancellation_of_tasks_ends_the_reports(tmp_path: Path) -> None:
    numbers: list[int] = []
    written = asyncio.Event()

    def describe() -> dict[str, int]:
        numbers.append(len(numbers))
        if len(numbers) == 5:
            written.set()
        return {"number": numbers[-1]}

    report = ReportFile(tmp_path / "report.json", describe, LOG, 0.001)
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    async with asyncio.timeout(60):
        await written.wait()
    await report.finish()


async def test_writes_once_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report = ReportFile(path, lambda: {"frames": 7}, LOG)
    assert not path.exists()
    await report.finish()
    assert json.loads(path.read_text()) == {"frames": 7}


async def test_file_that_cannot_be_written_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "report.json"
    report = ReportFile(path, dict, LOG)
    folder.rmdir()
    report.write()
    await report.finish()
    assert report._thread.num_dropped == 0
    (record,) = caplog.records
    assert record.getMessage() == f"{path}: cannot write the report: No such file or directory"


async def test_figures_that_cannot_be_had_are_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    num_calls = 0
    is_called = asyncio.Event()

    def describe() -> dict[str, int]:
        nonlocal num_calls
        num_calls += 1
        if num_calls > 3:
            is_called.set()
        raise ValueError("of a subclass")

    report = ReportFile(tmp_path / "report.json", describe, LOG, 0.001)
    await asyncio.wait_for(is_called.wait(), 60)
    await report.finish()
    assert [text.partition(": ")[2] for text in caplog.messages] == [
        "cannot make the report: ValueError: of a subclass"
    ]


async def test_the_thread_ends_also_without_last_figures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "report.json"
    figures: dict[str, object] = {"frames": 7}
    report = ReportFile(path, lambda: figures, LOG)
    report.write()
    figures["frames"] = object()
    await report.finish()
    assert json.loads(path.read_text()) == {"frames": 7}
    assert "cannot make the report: TypeError" in caplog.text
    assert report._thread._is_closed


async def test_pipe_that_nobody_reads_keeps_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The last report is given up after a second, during which the event loop goes on."""
    reader, writer = os.pipe()
    link = tmp_path / "link"
    link.symlink_to(f"/dev/fd/{writer}")
    report = ReportFile(link, lambda: {"text": "x" * (1 << 20)}, LOG)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    for _ in range(3):
        report.write()
    async with asyncio.timeout(60):
        await report.finish()
    ticking.cancel()
    assert ticks > 5
    assert "the report could not be written within 1 s" in caplog.text
    # So that the thread ends; at the end of the pipe it has an error.
    os.close(reader)
    assert report._thread.close(20)
    os.close(writer)


async def test_refuses_an_interval_of_no_length(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected an interval above 0 s between reports, got 0"):
        ReportFile(tmp_path / "report.json", dict, LOG, 0)


async def test_refuses_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="got a folder"):
        ReportFile(tmp_path, dict, LOG)
