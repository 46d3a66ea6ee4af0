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
#: How long the blocks of one page may take [s]; some install the package, also beside other work.
TIME_LIMIT = 600


def name_page(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_languages(page: Path) -> None:
    for block in find_blocks(page):
        assert block.language in RUN_LANGUAGES | SHOWN_LANGUAGES or block.language.startswith("{"), (
            f"{name_page(page)}:{block.line}: expected a language, got {block.language!r}"
        )


def test_remarks_are_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: needs a summit -->\n\n```sh\na\n```\n\n```sh\nb\n```\n```text\nc\n```\n"
        "<!-- runs on: running -->\n```sh\nd\n```\n"
    )
    blocks = find_blocks(page)
    assert blocks == [
        CodeBlock("sh", "a\n", 3, reason="needs a summit"),
        CodeBlock("sh", "b\n", 7),
        CodeBlock("text", "c\n", 10),
        CodeBlock("sh", "d\n", 14, ready="running"),
    ]
    assert [block.is_run for block in blocks] == [False, True, False, True]


def test_blocks_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Most blocks are run; the others are listed with their reasons."""
    blocks = [
        (page, block) for page in PAGES for block in find_blocks(page) if block.language in RUN_LANGUAGES
    ]
    num_run = sum(block.is_run for _, block in blocks)
    with capsys.disabled():
        print(f"\ndocuments: {num_run} of {len(blocks)} blocks of commands and examples are run by tests")
        for page, block in blocks:
            if not block.is_run:
                print(f"  not run: {name_page(page)}:{block.line}: {block.reason}")
    assert num_run > 3 * (len(blocks) - num_run)


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
