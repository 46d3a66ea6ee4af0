"""The documents are finished, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "doc").rglob("*.md"))]

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
PLACEHOLDER = re.compile(r"@[A-Z_]+@|\bTODO\b|\bFIXME\b|\bTBD\b")


def find_anchors(document: Path) -> set[str]:
    """Return what a fragment may name, as GitHub makes it of the headings."""
    titles = HEADING.findall(document.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert not PLACEHOLDER.findall(text)
    for link in LINK.findall(text):
        if "://" in link:
            continue
        target, _, fragment = link.partition("#")
        # A fragment becomes a part of the changelog, one folder up.
        folder = document.parent.parent if document.parent.name == "changes" else document.parent
        path = (folder / target).resolve() if target else document
        assert path.exists(), link
        assert not fragment or fragment in find_anchors(path), link


def test_there_are_documents() -> None:
    assert len(DOCUMENTS) > 5
