import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lsst.ts.mtmount.sal import SalLogHandler

TIMEOUT = 60


class Published:
    """Takes what is published, and may be told to wait or to fail."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.error: Exception | None = None
        self.changed = asyncio.Condition()

    async def publish(self, **fields: Any) -> None:
        await self.may_go_on.wait()
        if self.error is not None:
            raise self.error
        async with self.changed:
            self.messages.append(fields)
            self.changed.notify_all()

    async def wait_for(self, num_messages: int) -> list[str]:
        async with asyncio.timeout(TIMEOUT), self.changed:
            await self.changed.wait_for(lambda: len(self.messages) >= num_messages)
        return [fields["message"] for fields in self.messages]


@pytest.fixture
def handler() -> SalLogHandler:
    return SalLogHandler(capacity=3)


@pytest.fixture
def log(handler: SalLogHandler) -> Iterator[logging.Logger]:
    logger = logging.getLogger("test.log_handler")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


async def test_fields_of_a_message(handler: SalLogHandler, log: logging.Logger) -> None:
    published = Published()
    handler.start(published.publish)
    try:
        raise ValueError("the reason")
    except ValueError:
        log.getChild("child").exception("Bad %s", "frame")
    await published.wait_for(1)
    await handler.stop(TIMEOUT)
    fields = published.messages[0]
    traceback = fields.pop("traceback")
    assert traceback.startswith("Traceback (most recent call last):")
    assert traceback.endswith("ValueError: the reason")
    record = log.makeRecord("", 0, "", 0, "", (), None)
    assert fields.pop("lineNumber") > 0
    assert fields == {
        "name": "test.log_handler.child",
        "level": logging.ERROR,
        "message": "Bad frame",
        "filePath": __file__,
        "functionName": "test_fields_of_a_message",
        "process": record.process,
        "timestamp": 0.0,
    }


async def test_no_exception_no_traceback(handler: SalLogHandler, log: logging.Logger) -> None:
    published = Published()
    handler.start(published.publish)
    log.info("plain")
    # There is no exception to tell of, although it was asked for.
    log.info("empty", exc_info=True)
    await published.wait_for(2)
    await handler.stop(TIMEOUT)
    assert [fields["traceback"] for fields in published.messages] == ["", ""]


async def test_records_before_the_start_are_kept_within_a_bound(
    handler: SalLogHandler, log: logging.Logger
) -> None:
    for i in range(5):
        log.info("early %d", i)
    assert (len(handler.queue), handler.queue.num_dropped) == (3, 2)
    published = Published()
    handler.start(published.publish)
    log.info("late")
    # The oldest were dropped; "late" found the store full, too.
    assert await published.wait_for(3) == ["early 3", "early 4", "late"]
    await handler.stop(TIMEOUT)
    assert handler.queue.num_dropped == 3


async def test_one_that_cannot_publish_keeps_no_other_from_it(
    handler: SalLogHandler, log: logging.Logger
) -> None:
    published = Published()
    able = SalLogHandler()
    log.addHandler(able)
    try:
        # Two clients in one process, of which the first was left behind, or waits for its Kafka.
        able.start(published.publish)
        log.info("first")
        assert await published.wait_for(1) == ["first"]
        # What is published is not published again.
        handler.start(published.publish)
        log.info("second")
        await published.wait_for(2)
        await handler.stop(TIMEOUT)
        await able.stop(TIMEOUT)
    finally:
        log.removeHandler(able)
    assert [fields["message"] for fields in published.messages] == ["first", "second"]


async def test_stop_publishes_what_waits(handler: SalLogHandler, log: logging.Logger) -> None:
    published = Published()
    handler.start(published.publish)
    log.info("first")
    await published.wait_for(1)
    # The task sleeps; it is not told before the loop runs again.
    log.info("second")
    log.info("third")
    await handler.stop(TIMEOUT)
    assert await published.wait_for(3) == ["first", "second", "third"]


async def test_stop_is_bounded_and_counts(handler: SalLogHandler, log: logging.Logger) -> None:
    published = Published()
    published.may_go_on.clear()
    handler.start(published.publish)
    for i in range(3):
        log.info("m%d", i)
    await handler.stop(0.05)
    assert published.messages == []
    assert handler.queue.num_failed == 3
    assert isinstance(handler.queue.last_error, TimeoutError)


async def test_records_from_threads(handler: SalLogHandler, log: logging.Logger) -> None:
    published = Published()
    wide = SalLogHandler()
    log.addHandler(wide)
    try:
        wide.start(published.publish)
        barrier = threading.Barrier(4)

        def write(name: str) -> None:
            barrier.wait(TIMEOUT)
            for i in range(50):
                log.info("%s %d", name, i)

        await asyncio.gather(*(asyncio.to_thread(write, name) for name in "abcd"))
        messages = await published.wait_for(200)
        await wide.stop(TIMEOUT)
    finally:
        log.removeHandler(wide)
    for name in "abcd":
        assert [text for text in messages if text.startswith(name)] == [f"{name} {i}" for i in range(50)]
    assert (wide.queue.num_dropped, wide.queue.num_failed) == (0, 0)


async def test_failures_are_counted_and_the_next_record_is_published(
    handler: SalLogHandler, log: logging.Logger
) -> None:
    published = Published()
    handler.start(published.publish)
    # Not by way of the logger: the handler of pytest raises what it cannot format.
    handler.handle(log.makeRecord("x", logging.INFO, __file__, 1, "%d", ("no number",), None))
    assert (handler.queue.num_failed, repr(handler.queue.last_error)[:9]) == (1, "TypeError")

    published.error = RuntimeError("no broker")
    log.info("lost")
    await handler.stop(TIMEOUT)
    assert handler.queue.num_failed == 2
    assert handler.queue.last_error is published.error

    published.error = None
    handler.start(published.publish)
    log.info("found")
    assert await published.wait_for(1) == ["found"]
    await handler.stop(TIMEOUT)


async def test_what_publishing_logs_is_not_published(handler: SalLogHandler, log: logging.Logger) -> None:
    published = Published()

    async def publish_and_log(**fields: Any) -> None:
        log.info("publishing %s", fields["message"])
        await published.publish(**fields)
        log.info("published %s", fields["message"])

    handler.start(publish_and_log)
    log.info("a")
    assert await published.wait_for(1) == ["a"]
    log.info("b")
    assert await published.wait_for(2) == ["a", "b"]
    await handler.stop(TIMEOUT)
    assert (len(handler.queue), handler.queue.num_failed, len(published.messages)) == (0, 0, 2)


async def test_text_that_utf8_cannot_encode(handler: SalLogHandler, log: logging.Logger) -> None:
    published = Published()
    handler.start(published.publish)
    log.info("file \udcff \u00e9")
    assert await published.wait_for(1) == ["file \\udcff \u00e9"]
    await handler.stop(TIMEOUT)


def test_closed_loop_is_counted(handler: SalLogHandler, log: logging.Logger) -> None:
    async def start_only() -> None:
        handler.start(Published().publish)

    asyncio.run(start_only())
    log.info("too late")
    assert handler.queue.num_failed == 1
    assert isinstance(handler.queue.last_error, RuntimeError)
