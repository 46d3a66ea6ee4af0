"""The files in which a stress test leaves its results."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...resilience.output_file import OutputFile, make_output_folder
from .html_report import make_html_report
from .machine import describe_machine
from .run_result import RunResult, replace_nan
from .tables import LATENCY_NOTE, format_markdown, make_account_table, make_cost_table, make_trend_table
from .trends import Trend, describe_trends

__all__ = ["ReportFiles"]

#: What a report is called, and who writes it, by the name of its files.
KINDS = {
    "stress": ("Stress test of the telemetry client", "stress_mtmount_telemetry"),
    "soak": ("Soak test of the telemetry client", "soak test"),
}


class ReportFiles:
    """A page of HTML, and all figures as JSON, in a folder that is made if need be.

    `OSError` if they cannot be written there: told before a long run, not after it.
    ``kind``, ``stress`` or ``soak``, is the stem of their names.
    """

    def __init__(self, folder: Path, kind: str, target: str) -> None:
        make_output_folder(folder)
        self._title, self._program = KINDS[kind]
        self._target = target
        self._json, self._html, self._markdown = (
            OutputFile(folder / f"{kind}.{suffix}") for suffix in ("json", "html", "md")
        )

    def write(self, results: Sequence[RunResult], trends: Sequence[Trend], *, passed: bool) -> None:
        """Write both; with ``trends`` of the one long run of a soak test."""
        machine = describe_machine()
        figures: dict[str, Any] = {
            "program": self._program,
            "machine": machine,
            "kafka": self._target,
            "passed": passed,
        }
        if trends:
            figures["trends"] = [asdict(trend) | {"is_flat": trend.is_flat} for trend in trends]
            figures["run"] = results[0].as_dict()
        else:
            figures["runs"] = [result.as_dict() for result in results]
        self._json.replace((json.dumps(replace_nan(figures), indent=1, allow_nan=False) + "\n").encode())
        notes = describe_trends(results[0], trends) if trends else []
        page = make_html_report(self._title, results, machine, self._target, notes)
        self._html.replace(page.encode(errors="backslashreplace"))
        tables = [make_cost_table(results), make_account_table(results)]
        tables += [make_trend_table(trends)] if trends else []
        text = [
            f"# {self._title}",
            "\n".join(f"* {name}: {value}" for name, value in (machine | {"Kafka": self._target}).items()),
            *map(format_markdown, tables),
            "Passed." if passed else "**Failed.**",
            LATENCY_NOTE,
        ]
        self._markdown.replace(("\n\n".join(text) + "\n").encode(errors="backslashreplace"))
