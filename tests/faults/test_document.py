"""The document on reliability names tests; these exist."""

import re
from pathlib import Path

from .__main__ import BEGIN, END

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "doc" / "explanation" / "reliability.md"

#: A file of tests, or one test in it.
REFERENCE = re.compile(r"`((?:tests/)?[\w/]*test_\w+\.py)(?:::(test_\w+))?`")


def test_every_promise_names_tests_that_exist() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    references = REFERENCE.findall(text)
    assert len(references) > 30
    for file, test in references:
        path = ROOT / file if file.startswith("tests/") else Path(__file__).parent / file
        assert path.is_file(), file
        assert not test or f"def {test}(" in path.read_text(encoding="utf-8"), (file, test)
    (promises,) = re.findall(r"^## Promises\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    for row in promises.splitlines():
        if row.startswith("| ") and not row.startswith(("| promise ", "| **")):
            assert REFERENCE.search(row), row


def test_there_is_a_place_for_the_table() -> None:
    text = (ROOT / "doc" / "appendix" / "faults.md").read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
