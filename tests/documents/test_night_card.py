"""The night card quotes what the client says, and its commands have options that there are."""

import ast
import re
from pathlib import Path

from .log_calls import find_client_modules, render
from .test_reference import run

CARD = (Path(__file__).parents[2] / "doc" / "night-card.md").read_text(encoding="utf-8")


def find_texts() -> str:
    """All texts of the client, with ``...`` for what is filled in."""
    return "\n".join(
        render(node)
        for path in find_client_modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr | ast.Constant)
    )


def test_it_quotes_what_is_logged() -> None:
    quotes = re.findall(r"log: `([^`]+)`|look for `([^`]+)` in the log", CARD)
    texts = find_texts()
    assert len(quotes) >= 4
    assert [quote for pair in quotes for quote in pair if quote not in texts] == []


def test_its_options_exist() -> None:
    for program in ("run_mtmount_telemetry_client", "monitor_mtmount_telemetry"):
        options = re.findall(rf"`[^`]*\b{program}\b[^`]*`", CARD)
        assert options
        known = run(program, "--help").stdout
        assert all(option in known for text in options for option in re.findall(r"--[\w-]+", text))


def test_it_is_one_page() -> None:
    assert len(CARD.splitlines()) < 40
