"""What is missing for the real Kafka is said, and is a failure where these tests must run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .kafka import ArtifactError, artifacts, find_missing_tool

ROOT = Path(__file__).parents[2]


def make_program(folder: Path, name: str, script: str = "") -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run_kafka_test(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a test that needs Kafka, with the programs of one folder only."""
    command = [sys.executable, "-m", "pytest", "-m", "kafka", "-p", "no:cacheprovider"]
    command.append("tests/integration/test_schema_registry.py::test_same_schema_same_id")
    environment = {
        name: value for name, value in os.environ.items() if name not in ("CI", "MTMOUNT_REQUIRE_KAFKA")
    }
    environment |= {"PATH": str(folder), **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)


def test_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_missing_tool() == "the program 'java' is not installed"
    make_program(tmp_path, "java")
    assert find_missing_tool() == "the program 'mvn' is not installed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('openjdk version "17.0.15" 2025-04-15', None),
        ('openjdk version "21" 2023-09-19', None),
        ('openjdk version "11.0.2" 2019-01-15', "Java 11 is installed, Kafka 4 needs Java 17 or newer"),
        ('java version "1.8.0_402"', "Java 1 is installed, Kafka 4 needs Java 17 or newer"),
        ("nonsense", "'java -version' names no version: 'nonsense'"),
    ],
)
def test_java_version(
    text: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in artifacts.REQUIRED_PROGRAMS:
        make_program(tmp_path, name, f"echo '{text}' >&2" if name == "java" else "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_missing_tool() == expected


def test_failed_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_program(tmp_path, "mvn", "echo '[ERROR] no route to the repository'; echo more; exit 1")
    cache = tmp_path / "cache"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    with pytest.raises(ArtifactError, match=r"@kafka: \[ERROR\] no route to the repository$"):
        artifacts.fetch("kafka")
    assert [path.name for path in (cache / "ts-mtmount-telemetry").iterdir()] == [".lock"]


def test_skipped_where_a_program_is_missing(tmp_path: Path) -> None:
    result = run_kafka_test(tmp_path)
    assert result.returncode == pytest.ExitCode.OK, result.stdout
    assert "1 skipped" in result.stdout
    assert "no Kafka here: the program 'java' is not installed" in result.stdout


@pytest.mark.parametrize("variables", [{"CI": "true"}, {"MTMOUNT_REQUIRE_KAFKA": "1"}], ids=str)
def test_failed_where_it_must_run(variables: dict[str, str], tmp_path: Path) -> None:
    result = run_kafka_test(tmp_path, **variables)
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout
    assert "1 error" in result.stdout
    assert "but the program 'java' is not installed" in result.stdout
