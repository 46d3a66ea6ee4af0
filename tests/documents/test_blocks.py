"""Every command and example of the documents runs, or says why it does not."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .commands import RUN_LANGUAGES, SHOWN_LANGUAGES, CodeBlock, find_blocks, make_script

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "doc").rglob("*.md"))]
RUN_PAGES = [page for page in PAGES if any(block.is_run for block in find_blocks(page))]
#: How long the blocks of one page may take [s]; some install the package, also beside other work.
TIME_LIMIT = 600

#: A network of its own: the ports that the pages name are free there, whatever else runs here.
OWN_NETWORK = ("unshare", "--map-root-user", "--net", sys.executable, "-c")
#: Its loopback interface is made without being up; SIOCSIFFLAGS of Linux sets IFF_UP. Then run the command.
BRING_UP_LOOPBACK = """\
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as interface:
    fcntl.ioctl(interface, 0x8914, struct.pack("16sh", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


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


@pytest.fixture(scope="session")
def own_network() -> list[str]:
    """What comes before a command that is to have a network of its own."""
    prefix = [*OWN_NETWORK, BRING_UP_LOOPBACK]
    if shutil.which(prefix[0]) is None:
        pytest.skip("needs unshare (util-linux)")
    trial = subprocess.run([*prefix, "true"], capture_output=True, text=True, timeout=60, check=False)
    if trial.returncode != 0:
        pytest.skip(f"needs the right to make a network namespace: {trial.stderr.strip()[-200:]}")
    return prefix


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
    (tmp_path / "ts-mtmount-telemetry").symlink_to(ROOT)
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "MTMOUNT": str(tmp_path / "mtmount-telemetry"),
    }
    if any("pip install" in block.text for block in blocks):
        environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(request.getfixturevalue("packages"))}
    output = tmp_path / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [*own_network, "bash", "-c", make_script(page, blocks)],
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
