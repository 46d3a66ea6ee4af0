"""The guard that compares instruction counts with committed figures."""

import json
from pathlib import Path

import pytest
from bench import guard
from bench.guard import Figures

HERE = {"processor": "x86_64", "python": "CPython 3.11", "compiler": "GCC 12"}
FIGURES = Figures(HERE, {"core": 1000.0, "framing": 200.0})


def test_figures_of_the_same_environment_come_first() -> None:
    other = Figures({**HERE, "compiler": "GCC 13"}, {"core": 900.0})
    assert guard.find_figures([other, FIGURES], HERE) is FIGURES


def test_most_similar_environment_of_the_same_processor() -> None:
    near = Figures({**HERE, "compiler": "GCC 13"}, {})
    far = Figures({**HERE, "compiler": "GCC 13", "python": "CPython 3.13"}, {})
    foreign = Figures({**HERE, "processor": "aarch64"}, {})
    assert guard.find_figures([far, foreign, near], HERE) is near
    assert guard.find_figures([foreign], HERE) is None


@pytest.mark.parametrize(("count", "is_good"), [(1029.0, True), (1031.0, False), (500.0, True)])
def test_margin(count: float, is_good: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert guard.compare({"core": count}, FIGURES, 3.0) is is_good
    assert ("TOO MANY" in capsys.readouterr().out) is not is_good


def test_work_without_a_figure_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert not guard.compare({"new work": 1.0}, FIGURES, 3.0)
    assert "refresh" in capsys.readouterr().out


def test_status_and_refresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "guard.json"
    path.write_text("[]\n")
    counts = {"core": 1000.0}
    monkeypatch.setattr(guard, "FIGURES_PATH", path)
    monkeypatch.setattr(guard, "count_instructions", lambda works: dict(counts))
    assert guard.main([]) == 0
    assert "nothing is compared" in capsys.readouterr().out
    assert guard.main(["--refresh"]) == 0
    assert json.loads(path.read_text())[0]["instructions_per_frame"] == counts
    assert guard.main([]) == 0
    counts["core"] = 1040.0
    assert guard.main([]) == 1
    monkeypatch.setattr(
        guard,
        "describe_environment",
        lambda: {**json.loads(path.read_text())[0]["environment"], "cython": "9"},
    )
    assert guard.main([]) == 0
    counts["core"] = 1310.0
    assert guard.main([]) == 1


def test_missing_valgrind_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert guard.main([]) == 2
    assert "valgrind is not installed" in capsys.readouterr().err


def test_environment_is_known_here() -> None:
    environment = guard.describe_environment()
    assert "unknown" not in environment.values(), environment
