"""The code blocks of the documents, and a shell script that runs those of a page."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

__all__ = ["RUN_LANGUAGES", "SHOWN_LANGUAGES", "CodeBlock", "find_blocks", "make_script"]

#: Blocks in these languages are run, unless the line above says why not.
RUN_LANGUAGES = {"sh", "python"}

#: Blocks in these are only shown: what is printed, what is in a file.
SHOWN_LANGUAGES = {"text", "json", "yaml", "ini", "toml", "xml"}

NOT_RUN = re.compile(r"<!-- not run: (?P<reason>\S.*) -->")


class CodeBlock(NamedTuple):
    """A fenced block: its language, its text, where it begins, and why it is not run ("": it is)."""

    language: str
    text: str
    line: int
    reason: str

    @property
    def is_run(self) -> bool:
        """Whether the block is to be run."""
        return self.language in RUN_LANGUAGES and not self.reason


def find_blocks(page: Path) -> list[CodeBlock]:
    """Find the fenced blocks of a page."""
    blocks: list[CodeBlock] = []
    lines: list[str] | None = None
    language, start, above = "", 0, ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if lines is None and line.startswith("```"):
            lines, language, start = [], line.removeprefix("```").strip(), number
            found = NOT_RUN.fullmatch(above.strip())
            reason = found["reason"] if found else ""
        elif lines is not None and line == "```":
            blocks.append(CodeBlock(language, "\n".join(lines) + "\n", start, reason))
            lines = None
        elif lines is not None:
            lines.append(line)
        if line.strip():
            above = line
    assert lines is None, f"{page}:{start}: the block does not end"
    return blocks


def make_script(page: Path, blocks: list[CodeBlock]) -> str:
    """Make one shell script of the blocks of a page: what one exports or starts, the next ones have."""
    parts = ["set -euo pipefail"]
    for block in blocks:
        parts.append(f"echo {shlex.quote(f'== {page.name}:{block.line}')}")
        if block.language == "python":
            name = f"example_{block.line}.py"
            parts.append(f"cat > {name} <<'END_OF_EXAMPLE'\n{block.text}END_OF_EXAMPLE\npython {name}")
        else:
            parts.append(block.text)
    return "\n".join(parts) + "\n"
