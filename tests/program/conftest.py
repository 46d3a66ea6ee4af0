"""Fixtures of the tests of the program."""

import dataclasses

import pytest

from .health_check import PROPERTY, CheckedFault, CheckResult, RecordFault


@pytest.fixture
def record_fault(request: pytest.FixtureRequest) -> RecordFault:
    """Hands a fault to the table of what ``--check`` finds."""

    def record(fault: str, result: CheckResult, subject: str) -> None:
        row = CheckedFault(fault, result.exit_status, result.lines[subject])
        request.node.user_properties.append((PROPERTY, dataclasses.asdict(row)))

    return record
