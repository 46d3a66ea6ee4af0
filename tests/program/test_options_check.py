"""What ``--check`` tells of the options of the command line, without servers."""

from pathlib import Path

import pytest

from lsst.ts.mtmount.program.client_arguments import make_parser
from lsst.ts.mtmount.program.health_check import options


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.04, "failed  --record: {}: 4.0% of the disk is free, expected 5% or more; nothing is recorded "),
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
