"""``--tma-interface`` and ``MTMOUNT_TMA_INTERFACE``."""

import logging
import os
import subprocess
from pathlib import Path

import pytest

from lsst.ts.mtmount.tma_interface import (
    TmaInterfaceError,
    choose_tma_interface,
    load_packaged_tma_interface,
    load_tma_interface,
    log_choice,
)

from ..programs import find_program
from .configuration import SMALL_FILE, SMALL_TABLE

SMALL = load_tma_interface(SMALL_FILE)
VARIABLE = "MTMOUNT_TMA_INTERFACE"


def test_argument_wins_and_empty_is_unset() -> None:
    packaged = load_packaged_tma_interface()
    assert choose_tma_interface(None, {}) == choose_tma_interface("", {VARIABLE: ""}) == packaged
    assert choose_tma_interface(None, {VARIABLE: str(SMALL_FILE)}) == SMALL
    assert choose_tma_interface("", {VARIABLE: str(SMALL_FILE)}) == SMALL
    assert choose_tma_interface(SMALL_TABLE, {VARIABLE: "missing"}) == SMALL
    assert choose_tma_interface(packaged, {VARIABLE: str(SMALL_FILE)}) is packaged
    with pytest.raises(
        TmaInterfaceError, match="^MTMOUNT_TMA_INTERFACE: missing: No such file or directory$"
    ):
        choose_tma_interface(None, {VARIABLE: "missing"})


def test_the_start_tells_a_line_a_topic(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log_choice(load_packaged_tma_interface(), logging.getLogger("test"))
    assert caplog.messages == ["TMA interface: packaged tables (26 topics, 746 fields, 1114 members)"]
    caplog.clear()
    log_choice(SMALL, logging.getLogger("test"))
    lines = [line.partition("unlike the packaged one, ")[2] for line in caplog.messages]
    assert lines[:2] == ["", ""]
    assert sorted({line.split()[0] for line in lines[2:]}) == sorted(
        {topic.sal_topic for topic in (*SMALL.topics, *load_packaged_tma_interface().topics)}
    )
    assert len(lines[2:]) == len(set(lines[2:])) == 27
    assert (
        "azimuthDrives has other numbers of elements: current 12 instead of 16, "
        "currentTimestamp 12 instead of 16" in lines
    )
    assert "encoderHeads is sent, with topic ID 28 and 13 members" in lines
    assert "balancing is not sent" in lines


def test_a_choice_may_be_bytes_and_nothing_odd() -> None:
    assert choose_tma_interface(os.fsencode(SMALL_FILE), {}) == SMALL
    with pytest.raises(TypeError, match="tma_interface: expected a TmaInterface or a path, got 7"):
        choose_tma_interface(7, {})  # type: ignore[arg-type]


#: The programs that take the option, and what else they must have.
PROGRAMS = {
    "run_mtmount_telemetry_client": ["--host", "127.0.0.1"],
    "run_mock_tma_telemetry": [],
    "monitor_mtmount_telemetry": [],
    "record_tma_telemetry": ["--host", "127.0.0.1", "--output", "night"],
    "stress_mtmount_telemetry": [],
    "demo_mtmount_telemetry": [],
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_unusable_file_is_an_error_at_the_start(program: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.ini"
    path.write_text("[Azimuth]\nTopicID = 6\n")
    result = subprocess.run(
        [find_program(program), *PROGRAMS[program], f"--tma-interface={path}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert f"{path}: section [Azimuth], key TopicID (line 2): expected a value in double" in result.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad.ini"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_unusable_file_of_the_environment_is_told_with_the_variable(program: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.ini")
    result = subprocess.run(
        [find_program(program), *PROGRAMS[program]],
        cwd=tmp_path,
        env={**os.environ, VARIABLE: "fifo.ini", "LSST_TOPIC_SUBNAME": "test"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    output = result.stdout + result.stderr
    assert "failed: MTMOUNT_TMA_INTERFACE: fifo.ini: expected a regular file\n" in output
    assert [entry.name for entry in tmp_path.iterdir()] == ["fifo.ini"]
