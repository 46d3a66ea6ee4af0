"""The figures of the documents are those of the files that the benchmarks wrote."""

import json
import re
from pathlib import Path

from bench.pages import BEGIN, END, FOLDER, README, ROOT, describe_figures, update_readme

FIGURES = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))


def test_the_readme_has_the_figures_of_the_results() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == describe_figures(FIGURES).strip()


def test_the_readme_is_updated(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(f"before\n{BEGIN}old\n{END}after\n")
    update_readme(describe_figures(FIGURES), copy)
    once = copy.read_text()
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert "old" not in once
    assert " us |" in once
    update_readme(describe_figures(FIGURES), copy)
    assert copy.read_text() == once


def test_the_table_of_results_is_of_the_same_run() -> None:
    assert f"on {FIGURES['date']}" in (FOLDER / "results.md").read_text(encoding="utf-8")


def test_speeds_stand_only_where_commands_write_them() -> None:
    """A speed that is copied by hand is wrong after the next change of the core."""
    pages = [README, *(path for path in (ROOT / "doc").rglob("*.md") if FOLDER not in path.parents)]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        if page == README:
            head, _, rest = text.partition(BEGIN)
            text = head + rest.partition(END)[2]
        assert re.findall(r"[\d.,]+ (?:us|µs|ns|frames/s|% of a core)\b.*", text) == [], page
