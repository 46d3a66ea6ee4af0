"""The programs as they are installed."""

import subprocess
import sys
from pathlib import Path

__all__ = ["PROGRAMS", "find_program", "run_module"]

ROOT = Path(__file__).parents[1]

PROGRAMS = (
    "run_mtmount_telemetry_client",
    "run_mock_tma_telemetry",
    "record_tma_telemetry",
    "stress_mtmount_telemetry",
    "demo_mtmount_telemetry",
    "monitor_mtmount_telemetry",
    "compare_mtmount_interfaces",
    "adopt_mtmount_telemetry_client",
)


def find_program(name: str) -> str:
    """Return the path of a program beside the running Python."""
    return str(Path(sys.executable).with_name(name))


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module in the project's folder by its name, with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
