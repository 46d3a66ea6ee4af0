"""Running ``run_mtmount_telemetry_client --check`` in tests."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

#: Status and what was found, by subject; what failed wins.
Findings = dict[str, tuple[str, str]]

#: Under this name a test hands its fault to the table.
PROPERTY = "fault that --check finds"

#: The check ends within 30 s; starting Python on a busy computer takes some more.
TIMEOUT = 90.0


@dataclass(frozen=True)
class CheckedFault:
    """A row of the table.

    Parameters
    ----------
    fault
        What is wrong.
    exit_status
        The program's.
    line
        What it says of that.
    """

    fault: str
    exit_status: int
    line: str


@dataclass(frozen=True)
class CheckResult:
    """What the program has found."""

    exit_status: int
    found: Findings
    lines: dict[str, str]


#: Hands a fault to the table: its name, the result and the subject of the finding.
RecordFault = Callable[[str, CheckResult, str], None]


async def check(port: int, *options: str, **changes: str) -> CheckResult:
    """Run the check with ``--json``, as a script would.

    Changes of the environment are named; an empty one removes a variable.
    """
    environment = {**os.environ, **changes}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "import mtmount_telemetry_launcher as launcher, sys; sys.exit(launcher.run_client())"),
        *("--host", "127.0.0.1", "--port", str(port), "--check", "--json", *options),
        env={name: value for name, value in environment.items() if value},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT):
        output, errors = await process.communicate()
    assert errors == b""
    found: Findings = {}
    lines: dict[str, str] = {}
    for finding in json.loads(output):
        subject, status = finding["subject"], finding["status"]
        if found.get(subject, ("", ""))[0] != "failed":
            found[subject] = (status, finding["found"])
            advice = f"; {finding['advice']}" if finding["advice"] else ""
            lines[subject] = f"{status:8}{subject}: {finding['found']}{advice}"
    assert process.returncode == int(any(status == "failed" for status, _ in found.values()))
    return CheckResult(process.returncode, found, lines)
