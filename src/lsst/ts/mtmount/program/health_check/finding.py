"""What a check has found."""

import dataclasses
import enum
import json
from collections.abc import Collection
from dataclasses import dataclass

from ...resilience.escape import escape

__all__ = ["Finding", "Status", "count", "failed", "ok", "print_findings", "warning"]


class Status(enum.StrEnum):
    """Whether the program can run."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check."""

    subject: str  #: What was checked
    status: Status  #: Whether the program can run with that
    found: str
    advice: str = ""  #: What to do, if there is anything to do

    def __str__(self) -> str:
        advice = f"; {self.advice}" if self.advice else ""
        return escape(f"{self.status:8}{self.subject}: {self.found}{advice}")


def ok(subject: str, found: str) -> Finding:
    """Make a finding that is well."""
    return Finding(subject, Status.OK, found)


def warning(subject: str, found: str, advice: str = "") -> Finding:
    """Make a finding that the program can run with."""
    return Finding(subject, Status.WARNING, found, advice)


def failed(subject: str, found: str, advice: str = "") -> Finding:
    """Make a finding that the program cannot run with."""
    return Finding(subject, Status.FAILED, found, advice)


def count(number: int, one: str, many: str) -> str:
    """Return a number with the words that follow it."""
    return f"{number} {one if number == 1 else many}"


def print_findings(findings: Collection[Finding], *, as_json: bool) -> int:
    """Print a line for each finding, or all as JSON. Return the exit status: 1 if anything failed, else 0."""
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=4))
    else:
        for finding in findings:
            print(finding)
    return int(any(finding.status is Status.FAILED for finding in findings))
