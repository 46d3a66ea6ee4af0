"""The page of log messages has all that the client can log, and nothing else."""

import re
from pathlib import Path

from .log_calls import LogCall, find_client_modules, find_log_calls

PAGE = Path(__file__).parents[2] / "doc" / "reference" / "log-messages.md"

#: Texts that are made elsewhere than in the call that logs them, by module.
PASSED_ON = {
    "program/client_program.py": ["Ended by force, ... s after the end began; lost: ..."],
    "sal/publisher.py": [
        "SASL is off, because LSST_KAFKA_SECURITY_... is not set",
        "The Kafka property ...=... is ignored: each delivery must be reported",
        "acks=0: acknowledged means sent, and what Kafka loses is not noticed",
    ],
}


def find_logged() -> list[LogCall]:
    calls = []
    for path in find_client_modules():
        for call in find_log_calls(path):
            texts = [call.text] if call.text != "..." else PASSED_ON[call.place.partition(":")[0]]
            calls += [call._replace(text=text) for text in texts]
    return calls


def find_documented() -> list[tuple[str, str]]:
    rows = re.findall(r"^\| (`.*?`) \| ([A-Z]+) \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [(pattern, level) for cell, level in rows for pattern in re.findall(r"`([^`]+)`", cell)]


def fits(pattern: str, level: str, call: LogCall) -> bool:
    expression = ".*".join(re.escape(part) for part in pattern.split("..."))
    return level == call.level and re.fullmatch(expression, call.text) is not None


def test_every_warning_and_error_is_in_the_page() -> None:
    documented = find_documented()
    calls = [call for call in find_logged() if call.level != "INFO"]
    assert len(calls) > 50
    missing = [call for call in calls if not any(fits(*entry, call) for entry in documented)]
    assert missing == []


def test_the_page_has_nothing_that_is_not_logged() -> None:
    calls = find_logged()
    assert [entry for entry in find_documented() if not any(fits(*entry, call) for call in calls)] == []


def test_patterns_are_no_catch_all() -> None:
    """A pattern must have words of its own, or it would stand for messages that are not described."""
    for pattern, _ in find_documented():
        assert re.search(r"[A-Za-z]{4}", pattern), pattern
