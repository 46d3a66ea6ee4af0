"""Every command and example of the documents runs, or says why it does not."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .commands import RUN_LANGUAGES, SHOWN_LANGUAGES, CodeBlock, find_blocks, make_script

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "doc").rglob("*.md"))]
RUN_PAGES = [page for page in PAGES if any(block.is_run for block in find_blocks(page))]
#: How long the blocks of one page may take [s].
TIME_LIMIT = 240


def name_page(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_languages(page: Path) -> None:
    for block in find_blocks(page):
        assert block.language in RUN_LANGUAGES | SHOWN_LANGUAGES or block.language.startswith("{"), (
            f"{name_page(page)}:{block.line}: expected a language, got {block.language!r}"
        )


def test_a_reason_is_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: needs a summit -->\n\n```sh\na\n```\n\n```sh\nb\n```\n```text\nc\n```\n")
    assert find_blocks(page) == [
        CodeBlock("sh", "a\n", 3, "needs a summit"),
        CodeBlock("sh", "b\n", 7, ""),
        CodeBlock("text", "c\n", 10, ""),
    ]
    assert [block.is_run for block in find_blocks(page)] == [False, True, False]


@pytest.mark.slow
@pytest.mark.timeout(TIME_LIMIT + 30)
@pytest.mark.parametrize("page", RUN_PAGES, ids=name_page)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    """Run a page in an empty folder, with a link to the checkout, and this Python's programs on the PATH."""
    blocks = [block for block in find_blocks(page) if block.is_run]
    (tmp_path / "ts-mtmount-telemetry").symlink_to(ROOT)
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "MTMOUNT": str(tmp_path / "mtmount-telemetry"),
    }
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    output = tmp_path / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            ["bash", "-c", make_script(page, blocks)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(TIME_LIMIT)
        finally:
            # What the page started in the background, if that still runs.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    text = output.read_text(encoding="utf-8", errors="replace")
    assert status == 0, text[-5000:]
    num_lines = sum(len(block.text.splitlines()) for block in blocks)
    print(f"{name_page(page)}: {len(blocks)} blocks run, {num_lines} lines")
