"""The log messages of the client, as its source has them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["ANY_LEVEL", "LogCall", "find_client_modules", "find_log_calls"]

SOURCE = Path(__file__).parents[2] / "src" / "lsst" / "ts" / "mtmount"

#: Not part of the client.
OTHER_ROOMS = {"tools", "commands"}

#: Methods of a logger, and the level of each.
METHODS = {
    "info": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "exception": "ERROR",
    "critical": "CRITICAL",
}

#: Of a call whose level is known only when it runs.
ANY_LEVEL = "any"

#: Functions that return the text that they are given, made fit for the log.
PASSING = {"escape", "self._show"}


class LogCall(NamedTuple):
    """A call that logs: its place, its level, and its text with ``...`` for what is filled in."""

    place: str
    level: str
    text: str


def find_client_modules() -> list[Path]:
    """Find the modules that the client consists of."""
    return [
        path for path in sorted(SOURCE.rglob("*.py")) if path.relative_to(SOURCE).parts[0] not in OTHER_ROOMS
    ]


def find_log_calls(path: Path) -> Iterator[LogCall]:
    """Find the calls of a module that log, directly or by way of a rate-limited log."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        place = f"{path.relative_to(SOURCE)}:{node.lineno}"
        is_logger = ast.unparse(node.func.value).lower().endswith("log")
        if is_logger and node.func.attr in METHODS:
            yield LogCall(place, METHODS[node.func.attr], render(node.args[0]))
        if is_logger and node.func.attr == "log" and isinstance(node.args[0], ast.Name):
            yield LogCall(place, ANY_LEVEL, render(node.args[1]))
        # A call with a level, which stands in front of the text.
        for i, argument in enumerate(node.args[:-1]):
            for name in find_levels(argument):
                yield LogCall(place, name, render(node.args[i + 1]))


def find_levels(node: ast.expr) -> Iterator[str]:
    """Find the levels that an argument may have: ``logging.ERROR``, also as a choice of two."""
    match node:
        case ast.Attribute(value=ast.Name(id="logging"), attr=name) if name in METHODS.values():
            yield name
        case ast.IfExp(body=body, orelse=other):
            yield from find_levels(body)
            yield from find_levels(other)


def render(node: ast.expr) -> str:
    """Render a text with ``...`` in place of each expression."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(render(value) for value in values)
        case ast.Call(func=function, args=[argument, *_]) if ast.unparse(function) in PASSING:
            return render(argument)
    return "..."
