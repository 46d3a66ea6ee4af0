"""Tables of what the benchmarks measured: for the terminal, and for the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.table import Table

from .contenders import OURS
from .mix import TOPIC_NAMES
from .results import Results

__all__ = ["format_markdown", "print_results", "write_results"]

#: Cells of a table: the heads, then the rows.
Cells: TypeAlias = tuple[list[str], list[list[str]]]


def print_results(results: Results, console: Console) -> None:
    """Print all whole-mix figures, with their ratios."""
    for title, cells in list_tables(results, with_topics=False):
        console.print(_make_rich_table(title, cells))


def write_results(
    results: Results,
    folder: Path,
    *,
    machine: Mapping[str, str],
    date: str,
    command: str,
    charts: Sequence[str],
    verdicts: Sequence[str],
) -> None:
    """Write the tables and the figures into a folder.

    Parameters
    ----------
    results : `Results`
        What was measured.
    folder : `Path`
        Gets ``results.md`` and ``results.json``.
    machine : `dict` [`str`, `str`]
        Where it was measured, with which versions.
    date : `str`
        When.
    command : `str`
        How.
    charts : `Sequence` [`str`]
        Files in the same folder to show.
    verdicts : `Sequence` [`str`]
        What the comparisons in turns say.
    """
    text = format_markdown(
        results, machine=machine, date=date, command=command, charts=charts, verdicts=verdicts
    )
    (folder / "results.md").write_text(text, encoding="utf-8")
    figures = {
        "date": date,
        "command": command,
        "machine": dict(machine),
        "results": [asdict(result) for result in results.results],
    }
    (folder / "results.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def format_markdown(
    results: Results,
    *,
    machine: Mapping[str, str],
    date: str,
    command: str,
    charts: Sequence[str],
    verdicts: Sequence[str],
) -> str:
    """Return the results as Markdown; see `write_results`."""
    lines = [
        "# Results of the benchmarks",
        "",
        f"Written by `{command}` on {date}, all in one run. What is measured, and how, is in",
        "[README.md](README.md). Times are the processor's, of all threads, for one item; a ratio says how",
        "many times as long as this package a contender takes.",
        "",
        *(f"* {name}: {value}" for name, value in machine.items()),
        "",
        "## Verdicts",
        "",
        "Ratios of what two contenders took in turns (A B A B): the median of all pairs, and in brackets",
        "its quartiles.",
        "",
        *(f"* {verdict}" for verdict in verdicts),
        "",
        *(f"![{chart}]({chart})" for chart in charts),
    ]
    for title, (heads, rows) in list_tables(results, with_topics=True):
        lines += [
            "",
            f"## {title}",
            "",
            _format_row(heads),
            _format_row(["---"] + ["---:"] * (len(heads) - 1)),
        ]
        lines += map(_format_row, rows)
    return "\n".join(lines) + "\n"


def list_tables(results: Results, *, with_topics: bool) -> Iterator[tuple[str, Cells]]:
    """Make the tables: one for each workload that is no topic, and one of all topics of a stage."""
    for stage in results.stages:
        workloads = results.workloads(stage)
        for workload in workloads:
            if workload not in TOPIC_NAMES:
                yield f"{stage}: {workload}", _tabulate_workload(results, stage, workload)
        topics = [workload for workload in workloads if workload in TOPIC_NAMES]
        if with_topics and topics:
            yield f"{stage}: single topics [us]", _tabulate_topics(results, stage, topics)


def _tabulate_workload(results: Results, stage: str, workload: str) -> Cells:
    found = results.contenders(stage, workload)
    has_rate = any(result.items_per_second is not None for result in found)
    heads = ["contender", "us an item", "+-", "GB/s", "ratio", *(["items/s, wall clock"] if has_rate else [])]
    rows = []
    for result in found:
        cells = [
            result.contender,
            f"{result.microseconds:.3f}",
            f"{result.spread * 1e6 / 2:.3f}",
            f"{result.gigabytes_per_second:.2f}",
            f"{result.seconds / found[0].seconds:.2f}",
        ]
        if result.items_per_second is not None:
            cells.append(f"{result.items_per_second:,.0f}")
        rows.append(cells)
    return heads, rows


def _tabulate_topics(results: Results, stage: str, topics: Sequence[str]) -> Cells:
    names = [result.contender for result in results.contenders(stage, topics[0])]
    assert names[0] == OURS
    rows = []
    for topic in topics:
        found = results.contenders(stage, topic)
        rows.append(
            [topic, f"{found[0].item_size:,.0f}", *(f"{result.microseconds:.3f}" for result in found)]
        )
    return ["topic", "bytes", *names], rows


def _format_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _make_rich_table(title: str, cells: Cells) -> Table:
    heads, rows = cells
    table = Table(title=title, title_justify="left")
    table.add_column(heads[0])
    for head in heads[1:]:
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
