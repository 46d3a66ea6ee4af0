"""The client benchmark on a recording."""

from pathlib import Path

import pytest

from .programs import run_module
from .recording.frames import make_stream, record


@pytest.fixture(autouse=True)
def benchmarks_packages() -> None:
    pytest.importorskip("matplotlib", reason="the benchmarks' packages are not installed")


@pytest.mark.slow
def test_the_frames_are_the_recording_s(tmp_path: Path) -> None:
    stream = make_stream(100)
    record(tmp_path, stream, b'no JSON\r\n{"topicID": 99}\r\n{"topicID": 6}\r\n')
    result = run_module("bench", "--quick", "--recording", str(tmp_path))
    num_frames = stream.count(b"\r\n")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{tmp_path}: {num_frames} frames of 26 topics" in result.stdout
    assert "bare producer" in result.stdout


def test_a_path_without_a_recording_is_told(tmp_path: Path) -> None:
    result = run_module("bench", "--quick", "--recording", str(tmp_path))
    assert result.returncode == 2
    assert f"argument --recording: {tmp_path}: expected recordings" in result.stderr


@pytest.mark.slow
def test_the_figures_of_a_recording_are_the_library_s() -> None:
    result = run_module("bench.recording_cost", "--duration", "3")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "tma/azimuth " in result.stdout
    assert "this package records" in result.stdout
    assert "Written to" not in result.stdout
