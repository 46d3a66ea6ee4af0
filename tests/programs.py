"""The programs as they are installed."""

import sys
from pathlib import Path

__all__ = ["PROGRAMS", "find_program"]

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
