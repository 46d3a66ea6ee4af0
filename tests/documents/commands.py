"""The code blocks of the documents, and a shell script that runs those of a page.

A comment in the line above a block changes what is done with it:

* ``<!-- not run: REASON -->``: it is only shown.
* ``<!-- runs on: TEXT -->``: it runs to the end of the page; the next block waits until it has printed TEXT.

A page that names ``$TMA_HOST`` gets a simulated TMA there, and an embedded Kafka.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "RUN_LANGUAGES",
    "SHOWN_LANGUAGES",
    "SURROUNDINGS",
    "CodeBlock",
    "count_commands",
    "find_blocks",
    "make_script",
]

#: Blocks in these languages are run, unless the line above says why not.
RUN_LANGUAGES = {"sh", "python"}

#: Blocks in these are only shown: what is printed, what is in a file.
SHOWN_LANGUAGES = {"text", "json", "yaml", "ini", "toml", "xml"}

REMARK = re.compile(r"<!-- (?P<kind>not run|runs on): (?P<text>\S.*) -->")

#: What a page finds that names the TMA.
SURROUNDINGS = """\
python -m lsst.ts.mtmount.embedded > .kafka &
until grep -q REGISTRY .kafka; do sleep 0.1; done
set -a; . ./.kafka; set +a
run_mock_tma_telemetry > .tma &
until grep -q port= .tma; do sleep 0.1; done
export TMA_HOST=127.0.0.1
"""


class CodeBlock(NamedTuple):
    """A fenced block of a page.

    Parameters
    ----------
    language, text
        What it is written in, and its lines.
    line
        The line of the page on which it begins.
    reason
        Why it is not run; empty: it is run.
    ready
        What it has printed when the next block may run, and it goes on; empty: it ends by itself.
    """

    language: str
    text: str
    line: int
    reason: str = ""
    ready: str = ""

    @property
    def is_run(self) -> bool:
        """Whether the block is to be run."""
        return self.language in RUN_LANGUAGES and not self.reason


def find_blocks(page: Path) -> list[CodeBlock]:
    """Find the fenced blocks of a page."""
    blocks: list[CodeBlock] = []
    lines: list[str] | None = None
    language, start, above = "", 0, ""
    remark = {"not run": "", "runs on": ""}
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        assert lines is not None or not line.startswith(" ") or "```" not in line, (
            f"{page}:{number}: indented"
        )
        if lines is None and line.startswith("```"):
            lines, language, start = [], line.removeprefix("```").strip(), number
            found = REMARK.fullmatch(above.strip())
            remark = {"not run": "", "runs on": ""} | ({found["kind"]: found["text"]} if found else {})
        elif lines is not None and line == "```":
            text = "\n".join(lines) + "\n"
            blocks.append(CodeBlock(language, text, start, remark["not run"], remark["runs on"]))
            lines = None
        elif lines is not None:
            lines.append(line)
        if line.strip():
            above = line
    assert lines is None, f"{page}:{start}: the block does not end"
    return blocks


def count_commands(block: CodeBlock) -> int:
    """Count the command lines of a block: those that continue another and comments are none of their own."""
    if block.language != "sh":
        return 0
    lines = block.text.replace("\\\n", " ").splitlines()
    return sum(bool(line.strip()) and not line.startswith("#") for line in lines)


def make_script(page: Path, blocks: list[CodeBlock]) -> str:
    """Make one shell script of the blocks of a page: what one exports or starts, the next ones have."""
    parts = ["set -euo pipefail"]
    if any("TMA_HOST" in block.text for block in blocks):
        parts.append(SURROUNDINGS)
    for block in blocks:
        parts.append(f"echo {shlex.quote(f'== {page.name}:{block.line}')}")
        if block.language == "python":
            name = f"example_{block.line}.py"
            parts.append(f"cat > {name} <<'END_OF_EXAMPLE'\n{block.text}END_OF_EXAMPLE\npython {name}")
        elif block.ready:
            log = f".block_{block.line}"
            parts.append(
                f"{{\n{block.text}}} > {log} 2>&1 &\n"
                f"until grep -qF {shlex.quote(block.ready)} {log}; do\n"
                f"    kill -0 $! || {{ cat {log}; exit 1; }}\n    sleep 0.1\ndone"
            )
        else:
            parts.append(block.text)
    return "\n".join(parts) + "\n"
