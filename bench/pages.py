"""The pages of the documentation that the benchmarks write."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from lsst.ts.mtmount.tools.load_test.tables import format_markdown

__all__ = ["FOLDER", "README", "ROOT", "describe_figures", "update_readme", "write_page"]

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "doc" / "benchmarks"
README = ROOT / "README.md"

#: What stands around the paragraph of the README that is made of the figures.
BEGIN, END = "<!-- figures: begin, written by make bench -->\n", "<!-- figures: end -->\n"


def write_page(
    name: str,
    title: str,
    command: str,
    tables: Iterable[Table],
    machine: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Path:
    """Write a page of tables.

    Parameters
    ----------
    name : `str`
        The page's file, without its suffix.
    title, command : `str`
        What it shows, and what writes it.
    tables : iterable of `rich.table.Table`
        The tables, with titles.
    machine : mapping of `str` to `str`
        Where it was measured.
    notes : sequence of `str`
        Further lines.

    Returns
    -------
    path : `Path`
        The page.
    """
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    lines = [
        f"# {title}",
        "",
        f"Written by `{command}` on {date}; how it is measured is in [README.md](README.md).",
        "",
    ]
    lines += [f"* {key}: {value}" for key, value in machine.items()]
    for table in tables:
        lines += ["", f"## {table.title}", "", format_markdown(table)]
    lines += [line for note in notes for line in ("", note)]
    path = FOLDER / f"{name}.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def describe_figures(figures: Mapping[str, Any]) -> str:
    """Describe for the README what the benchmarks measured.

    Parameters
    ----------
    figures : mapping
        The content of ``results.json``.
    """

    measured = {
        (result["stage"], result["workload"], result["contender"]): result for result in figures["results"]
    }

    def find(stage: str, workload: str) -> list[Mapping[str, Any]]:
        """Return ours and the plain one."""
        return [
            measured[stage, workload, contender]
            for contender in ("this package", "StreamReader, json, fastavro")
        ]

    def describe_row(text: str, cells: Iterable[str]) -> str:
        return f"| {' | '.join([text, *cells])} |\n"

    def describe_time(text: str, found: Sequence[Mapping[str, Any]]) -> str:
        cells = []
        for result in found:
            digits = 1 if result["seconds"] > 1e-6 else 2
            middle, spread = result["seconds"] * 1e6, result["spread"] * 1e6 / 2
            cells.append(f"{middle:.{digits}f} +- {spread:.{digits}f} us")
        return describe_row(text, cells)

    kafkas = {"embedded broker": find("client", "1x mix")}
    if ("client", apache := "1x mix, Apache Kafka", "this package") in measured:
        kafkas["Apache Kafka"] = find("client", apache)
    return (
        f"Measured by `{figures['command']}` on {figures['date']}, {figures['machine']['processor']}; "
        "processor's time for a frame,\n"
        "the median and half the distance of the quartiles:\n\n"
        "| work | this package | plain Python |\n"
        "|---|---:|---:|\n"
        + describe_time("from the received bytes to the Kafka message", find("core", "1x mix"))
        + "".join(
            describe_time(f"the whole client, acknowledgement included: {name}", found)
            for name, found in kafkas.items()
        )
        + "".join(
            describe_row(
                f"frames/s of a burst, the TMA sends 218: {name}",
                (f"{result['items_per_second']:,.0f}" for result in found),
            )
            for name, found in kafkas.items()
        )
    )


def update_readme(description: str, readme: Path = README) -> None:
    """Put the description of the figures into the README."""
    head, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    readme.write_text(f"{head}{BEGIN}\n{description}\n{END}{tail}", encoding="utf-8")
