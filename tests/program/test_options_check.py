"""What ``--check`` tells of the options of the command line, without servers."""

import subprocess
import sys
from pathlib import Path

import pytest

from lsst.ts.mtmount.program.client_arguments import make_parser
from lsst.ts.mtmount.program.health_check import options

from ..integration.kafka.small_disk import SmallDisk


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.04, "failed  --record: {}: expected 5% of the disk to be free, got 4.0%; nothing is recorded "),
        (0.5, "ok      --record: {} can be written, 50% of the disk is free"),
    ],
)
def test_a_disk_without_room_for_recordings_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, expected: str
) -> None:
    folder = tmp_path / "new" / "recordings"
    asked = []

    def free_share(path: Path) -> float:
        asked.append(path)
        return share

    monkeypatch.setattr(options, "free_share", free_share)
    args = make_parser().parse_args([f"--record={folder}"])
    (line,) = (str(finding) for finding in options.check_options(args) if finding.subject == "--record")
    assert line.startswith(expected.format(folder))
    assert asked == [tmp_path]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    if obstacle := SmallDisk.find_obstacle():
        pytest.skip(obstacle)
    script = (
        "from lsst.ts.mtmount.program.client_arguments import parse_arguments\n"
        "from lsst.ts.mtmount.program.health_check.options import check_options\n"
        "print(*check_options(parse_arguments()), sep='\\n')"
    )
    files = {option: tmp_path / option[2:] for option in ("--dead-letter", "--report", "--pid-file")}

    def check() -> list[str]:
        named = [f"{option}={path}" for option, path in files.items()]
        command = [*disk.command_prefix, sys.executable, "-c", script, "--host=x", *named]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert run.stderr == ""
        return run.stdout.splitlines()[: len(files)]

    disk = SmallDisk(tmp_path, "1m")
    try:
        assert check() == [f"ok      {option}: {path} can be written" for option, path in files.items()]
        disk.fill()
        advice = "No space left on device; make room, or name a file elsewhere"
        assert check() == [f"failed  {option}: {path}: {advice}" for option, path in files.items()]
        disk.free()
        assert check()[0].startswith("ok ")
    finally:
        disk.close()
