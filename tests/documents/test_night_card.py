"""The night card quotes what the client says, and its commands run."""

import ast
import re
from pathlib import Path

import pytest

from .commands import SURROUNDINGS
from .log_calls import find_client_modules, render
from .scripts import TIME_LIMIT, run_script
from .test_reference import run

CARD = (Path(__file__).parents[2] / "doc" / "night-card.md").read_text(encoding="utf-8")

#: A client that the commands look at.
CLIENT = """\
run_mtmount_telemetry_client --host $TMA_HOST --pid-file client.pid > client.log 2>&1 &
until grep -q running client.log; do sleep 0.1; done
"""


def find_commands() -> list[str]:
    """The commands of the second column, for a client that runs here."""
    cells = re.findall(r"^\| [^|]+ \| ([^|]+) \| ", CARD, re.MULTILINE)
    commands = re.findall(r"`([^`]+)`", "\n".join(cell for cell in cells if " in the log" not in cell))
    return [re.sub(r"\bFILE\b", "client.pid", re.sub(r"\bH\b", "$TMA_HOST", command)) for command in commands]


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


@pytest.mark.slow
@pytest.mark.timeout(TIME_LIMIT + 30)
def test_its_commands_run(tmp_path: Path, own_network: list[str]) -> None:
    commands = find_commands()
    assert len(commands) > 8
    assert commands[-1] == "kill $(cat client.pid)"
    script = ["set -euxo pipefail", SURROUNDINGS, CLIENT, *commands, "wait $!", "grep ' done' client.log"]
    run_script("\n".join(script) + "\n", tmp_path, own_network, {})
