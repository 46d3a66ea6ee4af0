"""Rows of a table that tests hand to the program that runs them."""

from typing import Any

import pytest

__all__ = ["RowCollector"]


class RowCollector:
    """A pytest plugin that keeps the rows that tests hand on as a property of this name."""

    def __init__(self, name: str) -> None:
        self.rows: list[dict[str, Any]] = []
        self._name = name

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the rows of a test that has passed."""
        if report.when == "call" and report.passed:
            self.rows += [
                value
                for name, value in report.user_properties
                if name == self._name and isinstance(value, dict)
            ]
