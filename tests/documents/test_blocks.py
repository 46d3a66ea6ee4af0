"""Every command and example of the documents runs, or says why it does not."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .commands import RUN_LANGUAGES, SHOWN_LANGUAGES, CodeBlock, count_commands, find_blocks, make_script
from .scripts import TIME_LIMIT, run_script

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "doc").rglob("*.md"))]
RUN_PAGES = [page for page in PAGES if any(block.is_run for block in find_blocks(page))]


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


def test_commands_are_counted() -> None:
    assert count_commands(CodeBlock("sh", "a \\\n    --b\n# comment\n\nc; d\n", 1)) == 2
    assert count_commands(CodeBlock("python", "a = 1\n", 1)) == 0


def test_blocks_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Most blocks are run; the others are listed with their reasons."""
    blocks = [
        (page, block) for page in PAGES for block in find_blocks(page) if block.language in RUN_LANGUAGES
    ]
    num_run = sum(block.is_run for _, block in blocks)
    num_programs = sum(block.is_run and block.language == "python" for _, block in blocks)
    with capsys.disabled():
        num_commands = sum(count_commands(block) for _, block in blocks if block.is_run)
        print(
            f"\ndocuments: {num_run} of {len(blocks)} blocks of commands and examples are run by tests: "
            f"{num_commands} commands and {num_programs} Python programs"
        )
        for page, block in blocks:
            if not block.is_run:
                print(f"  not run: {name_page(page)}:{block.line}: {block.reason}")
    assert num_run > 3 * (len(blocks) - num_run)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that pip needs to install the package with its extras: that network has no index."""
    folder = tmp_path_factory.mktemp("packages")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = ",".join(project["project"]["optional-dependencies"])
    wanted = [*project["build-system"]["requires"], f"{ROOT}[{extras}]"]
    pip = [sys.executable, "-m", "pip"]
    subprocess.run(
        [*pip, "download", "--quiet", "--no-build-isolation", "--dest", folder, *wanted],
        timeout=TIME_LIMIT,
        check=True,
    )
    return folder


@pytest.mark.slow
@pytest.mark.timeout(2 * TIME_LIMIT + 30)
@pytest.mark.parametrize("page", RUN_PAGES, ids=name_page)
def test_blocks_run(
    page: Path, tmp_path: Path, own_network: list[str], request: pytest.FixtureRequest
) -> None:
    """Run a page in an empty folder, with a link to the checkout, and this Python's programs on the PATH."""
    blocks = [block for block in find_blocks(page) if block.is_run]
    variables = {}
    if any("pip install" in block.text for block in blocks):
        variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(request.getfixturevalue("packages"))}
    run_script(make_script(page, blocks), tmp_path, own_network, variables)
