import logging

import pytest

from lsst.ts.mtmount.resilience.rate_limited_log import RateLimitedLog


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limited(clock: Clock) -> RateLimitedLog:
    return RateLimitedLog(logging.getLogger("test.limited"), max_lines=2, interval=10, clock=clock)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def test_summary_comes_with_the_next_message(
    limited: RateLimitedLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert [limited.log("bad frame", logging.WARNING, f"m{i}") for i in range(5)] == [True, True] + 3 * [
        False
    ]
    assert messages(caplog) == ["m0", "m1"]
    clock.time += 10
    assert limited.log("bad frame", logging.WARNING, "m5")
    assert messages(caplog) == ["bad frame: suppressed 3 more messages like this", "m5"]


def test_kinds_do_not_share_a_limit(limited: RateLimitedLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        limited.log("a", logging.WARNING, "a!")
        limited.log("b", logging.WARNING, "b!")
    assert messages(caplog) == ["a!", "b!", "a!", "b!"]


def test_flush_writes_the_summary_when_the_interval_has_ended(
    limited: RateLimitedLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for level in (logging.WARNING, logging.WARNING, logging.ERROR, logging.WARNING):
        limited.log("a", level, "m")
    messages(caplog)
    clock.time += 9.9
    limited.flush()
    assert messages(caplog) == []
    clock.time += 0.1
    limited.flush()
    # At the highest level of what was suppressed.
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "a: suppressed 2 more messages like this")
    ]
    messages(caplog)
    limited.flush(force=True)
    assert messages(caplog) == []


def test_forced_flush_does_not_wait(limited: RateLimitedLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        limited.log("a", logging.WARNING, "m")
    limited.flush(force=True)
    assert messages(caplog) == ["m", "m", "a: suppressed 1 more messages like this"]


def test_exception_is_logged(limited: RateLimitedLog, caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("odd")
    limited.log("a", logging.WARNING, "m", exc_info=error)
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].exc_info[1] is error


def test_handler_may_log_again(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("test.again")
    limited = RateLimitedLog(log, max_lines=2, interval=10, clock=clock)

    class Again(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            limited.log("a", logging.WARNING, "again")

    handler = Again()
    log.addHandler(handler)
    try:
        limited.log("a", logging.WARNING, "first")
    finally:
        log.removeHandler(handler)
    assert sorted(messages(caplog)) == ["again", "first"]
