"""What ``--check`` tells of frames."""

import json

from lsst.ts.mtmount.program.health_check.finding import Status
from lsst.ts.mtmount.program.health_check.frame_contents import FrameCheck
from lsst.ts.mtmount.sal import load_packaged_interface

from ..test_telemetry_client import golden_frame

INTERFACE = load_packaged_interface()
AZIMUTH = 6


def make_frame(without: str = "", **changes: object) -> bytes:
    members = json.loads(golden_frame("azimuth")) | changes
    return json.dumps({name: value for name, value in members.items() if name != without}).encode()


def test_good_frames() -> None:
    frames = FrameCheck(INTERFACE)
    assert list(frames.tell(False)) == []
    frames.decode(AZIMUTH, make_frame())
    assert [str(finding) for finding in frames.tell(False)] == ["ok      frames: all 1 can be published"]


def test_all_that_is_wrong_is_told() -> None:
    frames = FrameCheck(INTERFACE)
    for frame in (
        make_frame("actualTorque"),
        make_frame(windLoad=1.0),
        make_frame(actualTorque="much"),
    ):
        frames.decode(AZIMUTH, frame)
    bad, missing, unknown = frames.tell(False)
    assert {bad.subject, missing.subject, unknown.subject} == {"frames of azimuth"}
    assert (bad.status, missing.status, unknown.status) == (Status.FAILED, Status.FAILED, Status.WARNING)
    assert "1 cannot be decoded, " in bad.found
    assert "actualTorque" in bad.found
    assert missing.found == "up to 1 lacks actualTorque"
    assert unknown.found == "also have windLoad"
    assert [finding.status for finding in frames.tell(True)] == ["failed", "warning", "warning"]


def test_what_a_subclass_changes_first_is_left_out() -> None:
    frames = FrameCheck(INTERFACE, ["azimuth"])
    frames.decode(AZIMUTH, make_frame("actualTorque"))
    assert list(frames.tell(False)) == []
