"""The page of log messages has all that the client can log, and nothing else."""

import re
from pathlib import Path

from .log_calls import ANY_LEVEL, LogCall, find_client_modules, find_log_calls

PAGE = Path(__file__).parents[2] / "doc" / "reference" / "log-messages.md"

#: Texts that are made elsewhere than in the call that logs them, by module and what that call says.
PASSED_ON = {
    ("pipeline/user_code_time.py", "The ... ... (told once)"): [
        "The ... took ... s for one frame; meanwhile no telemetry is read (told once)",
        "The ... returned a dict, which is ignored: expected that it changes its argument (told once)",
    ],
    ("program/client_program.py", "..."): ["Ended by force, ... s after the end began; lost: ..."],
    ("resilience/slow_await_warning.py", "... for ... s"): [
        "connect_callback has been running for ... s",
        "heartbeat_loop has published nothing for ... s",
        "....start has not ended for ... s",
    ],
    # These pass on what others log.
    ("pipeline/member_report.py", "..."): [],
    ("resilience/rate_limited_log.py", "..."): [],
    ("sal/publisher.py", "..."): [
        "SASL is off, because LSST_KAFKA_SECURITY_... is not set",
        "The Kafka property ...=... is ignored: each delivery must be reported",
        "acks=0: acknowledged means sent, and what Kafka loses is not noticed",
    ],
    ("tcp/client.py", "... failed: ..."): [
        "heartbeat_send_task failed: ...",
        "monitor of the connection failed: ...",
    ],
    ("tma_interface/interface_choice.py", "..."): ["TMA interface: ... (...)", "TMA interface: ..."],
    ("telemetry_client.py", "Could not ..."): [
        "Could not stop the start",
        "Could not stop the tasks",
        "Could not disconnect",
        "Could not count what was not published",
        "Could not close the controller",
        "Could not close dead letters",
        "Could not close the recording",
    ],
}


def find_logged() -> list[LogCall]:
    calls = []
    for path in find_client_modules():
        for call in find_log_calls(path):
            module = call.place.partition(":")[0]
            texts = PASSED_ON.get((module, call.text), [call.text])
            assert "..." not in texts, f"{call.place}: its texts are not in PASSED_ON"
            calls += [call._replace(text=text) for text in texts]
    return calls


def find_documented() -> list[tuple[str, str]]:
    rows = re.findall(r"^\| (`.*?`) \| ([A-Z]+) \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [(pattern, level) for cell, level in rows for pattern in re.findall(r"`([^`]+)`", cell)]


def fits(pattern: str, level: str, call: LogCall) -> bool:
    expression = ".*".join(re.escape(part) for part in pattern.split("..."))
    return call.level in (level, ANY_LEVEL) and re.fullmatch(expression, call.text) is not None


def test_every_message_is_in_the_page() -> None:
    documented = find_documented()
    calls = find_logged()
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
