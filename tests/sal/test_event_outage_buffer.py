import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from lsst.ts.mtmount.sal.event_outage_buffer import OutageBuffer, OutageLogFilter
from lsst.ts.mtmount.sal.send_queue import SendQueue

LOG = logging.getLogger("test.outage_buffer")
TIMEOUT = 60


class Kafka:
    """What is behind the buffer: takes messages for topics, or does not."""

    def __init__(self) -> None:
        self.closed: set[str] = set()
        self.questions = 0
        self.sent: list[Any] = []
        self.was_sent = asyncio.Event()

    async def is_open(self, kafka_topic: str) -> bool:
        self.questions += 1
        await asyncio.sleep(0)
        return kafka_topic not in self.closed

    async def send(self, what: Any) -> None:
        await asyncio.sleep(0)
        self.sent.append(what)
        self.was_sent.set()

    async def wait_for(self, num_sent: int) -> None:
        async with asyncio.timeout(TIMEOUT):
            while len(self.sent) < num_sent:
                self.was_sent.clear()
                await self.was_sent.wait()


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
async def buffer(kafka: Kafka) -> AsyncIterator[OutageBuffer]:
    buffer = OutageBuffer(kafka.is_open, LOG, retry_interval=0.01)
    yield buffer
    await buffer.stop(0)


async def test_events_are_sent_at_once_and_in_order(buffer: OutageBuffer, kafka: Kafka) -> None:
    buffer.start()
    for number in range(5):
        await buffer.send_event(f"topic{number % 2}", partial(kafka.send, number))
        assert kafka.sent[-1] == number
    assert len(buffer) == 0
    assert kafka.questions == 5


@pytest.mark.parametrize("is_held_back", [False, True])
async def test_a_cancelled_task_is_begun_anew(
    buffer: OutageBuffer, kafka: Kafka, caplog: pytest.LogCaptureFixture, is_held_back: bool
) -> None:
    others = asyncio.all_tasks()
    buffer.start()
    (task,) = asyncio.all_tasks() - others
    kafka.closed = {"a"} if is_held_back else set()
    async with asyncio.timeout(TIMEOUT):
        await buffer.send_event("a", partial(kafka.send, 1))
        task.cancel()
        await asyncio.wait([task])
        kafka.closed.clear()
        await buffer.send_event("a", partial(kafka.send, 2))
        buffer.put("log", partial(kafka.send, "text"))
        await kafka.wait_for(3)
    # What was held back waits for its time.
    assert kafka.sent == (["text", 1, 2] if is_held_back else [1, 2, "text"])
    assert [record.levelname for record in caplog.records if "begun anew" in record.message] == ["WARNING"]


async def test_what_waits_is_sent_by_the_next_task(buffer: OutageBuffer, kafka: Kafka) -> None:
    """Nothing else comes that would begin it."""
    others = asyncio.all_tasks()
    buffer.start()
    (task,) = asyncio.all_tasks() - others
    event = asyncio.create_task(buffer.send_event("a", partial(kafka.send, 1)))
    while not kafka.questions:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait_for(event, TIMEOUT)
    assert kafka.sent == [1]


def test_the_end_of_the_event_loop_begins_no_task(caplog: pytest.LogCaptureFixture) -> None:
    """It cancels all tasks, and nobody would run the new one."""
    sent = []

    async def send() -> None:
        sent.append(1)

    async def put() -> SendQueue:
        queue = SendQueue()
        queue.start()
        await asyncio.sleep(0)
        queue.put("a", send)
        return queue

    queue = asyncio.run(put())
    assert queue._task is not None and queue._task.done()
    assert (len(queue), sent) == (1, [])
    assert not caplog.records


async def test_a_cancelled_error_of_a_sender_costs_what_it_sends(
    buffer: OutageBuffer, kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise asyncio.CancelledError("of the sender")

    buffer.start()
    async with asyncio.timeout(TIMEOUT):
        await buffer.send_event("a", fail)
        await buffer.send_event("a", partial(kafka.send, 1))
    assert (kafka.sent, buffer.num_failed) == ([1], 1)
    assert "Could not publish to a: CancelledError: of the sender" in caplog.text
    assert "begun anew" not in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("no thread"), asyncio.CancelledError()], ids=repr)
async def test_a_question_that_fails_is_asked_again(
    buffer: OutageBuffer,
    kafka: Kafka,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    async def fail_once(kafka_topic: str) -> bool:
        if not kafka.questions:
            kafka.questions += 1
            raise error
        return await kafka.is_open(kafka_topic)

    monkeypatch.setattr(buffer, "_is_taking", fail_once)
    buffer.start()
    await buffer.send_event("a", partial(kafka.send, 1))
    await kafka.wait_for(1)
    assert f"Kafka takes no messages for a ({type(error).__name__}" in caplog.text


async def test_a_stop_that_is_cancelled_leaves_no_task(buffer: OutageBuffer, kafka: Kafka) -> None:
    others = asyncio.all_tasks()
    buffer.start()
    kafka.closed = {"a"}
    await buffer.send_event("a", partial(kafka.send, 1))
    # As the end of the event loop does it: all at once.
    stopping = asyncio.create_task(buffer.stop(TIMEOUT))
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - others:
        task.cancel()
    await asyncio.wait([stopping])
    for _ in range(3):
        await asyncio.sleep(0)
    assert not asyncio.all_tasks() - others


async def test_what_waits_is_sent_when_kafka_takes_it(
    buffer: OutageBuffer, kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    buffer.start()
    kafka.closed = {"a"}
    async with asyncio.timeout(TIMEOUT):
        # It does not wait for Kafka, only to know that it is held back.
        await buffer.send_event("a", partial(kafka.send, 1))
        await buffer.send_event("a", partial(kafka.send, 2))
        # What is for other topics does not wait.
        buffer.put("log", partial(kafka.send, "text"))
        await buffer.send_event("b", partial(kafka.send, 3))
        await kafka.wait_for(2)
    assert len(buffer) == 2
    assert kafka.sent == [3, "text"]
    kafka.closed.clear()
    await kafka.wait_for(4)
    assert kafka.sent == [3, "text", 1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "Kafka takes no messages for a: they are held back",
        "Kafka takes messages for a again: what was held back is published",
    ]


async def test_log_messages_wait_alone_if_only_these_are_not_taken(
    buffer: OutageBuffer, kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    buffer.start()
    kafka.closed = {"log"}
    async with asyncio.timeout(TIMEOUT):
        for number in range(5):
            buffer.put("log", partial(kafka.send, f"text {number}"))
            await buffer.send_event("a", partial(kafka.send, number))
            questions = kafka.questions
            # It is asked again and again, and not in a busy loop.
            while kafka.questions == questions:
                await asyncio.sleep(0.001)
    assert kafka.sent == [0, 1, 2, 3, 4]
    assert len(caplog.records) == 1
    kafka.closed.clear()
    await kafka.wait_for(10)
    assert kafka.sent[5:] == [f"text {number}" for number in range(5)]


async def test_only_the_latest_may_matter(buffer: OutageBuffer, kafka: Kafka) -> None:
    buffer.start()
    kafka.closed = {"offset", "state"}
    async with asyncio.timeout(TIMEOUT):
        for number in range(3):
            await buffer.send_event("offset", partial(kafka.send, number), is_latest_only=True)
            await buffer.send_event("state", partial(kafka.send, f"state {number}"))
    kafka.closed.clear()
    await kafka.wait_for(4)
    assert [sent for sent in kafka.sent if sent != 2] == ["state 0", "state 1", "state 2"]
    assert 2 in kafka.sent


async def test_events_go_before_log_messages(buffer: OutageBuffer, kafka: Kafka) -> None:
    for number in range(3):
        buffer.put("log", partial(kafka.send, f"text {number}"))
    # Not started, it holds everything back.
    await asyncio.wait_for(buffer.send_event("a", partial(kafka.send, 1)), TIMEOUT)
    buffer.start()
    await kafka.wait_for(4)
    assert kafka.sent == [1, "text 0", "text 1", "text 2"]


async def test_log_messages_come_from_any_thread(buffer: OutageBuffer, kafka: Kafka) -> None:
    buffer.start()
    thread = threading.Thread(target=buffer.put, args=("log", partial(kafka.send, "text")))
    thread.start()
    await kafka.wait_for(1)
    thread.join()


async def test_memory_is_bounded(kafka: Kafka) -> None:
    buffer = OutageBuffer(kafka.is_open, LOG, 3)
    for number in range(5):
        await buffer.send_event("a", partial(kafka.send, number))
        buffer.put("log", partial(kafka.send, f"text {number}"))
    assert buffer.num_dropped == 4
    buffer.start()
    await kafka.wait_for(6)
    assert kafka.sent == [2, 3, 4, "text 2", "text 3", "text 4"]
    await buffer.stop(TIMEOUT)


async def test_a_failure_is_logged_and_the_next_one_is_sent(
    buffer: OutageBuffer, kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise RuntimeError("no longer open")

    buffer.start()
    await buffer.send_event("a", fail)
    await buffer.send_event("a", partial(kafka.send, 1))
    assert kafka.sent == [1]
    assert buffer.num_failed == 1
    assert repr(buffer.last_error) == "RuntimeError('no longer open')"
    assert "Could not publish to a: RuntimeError: no longer open" in caplog.text


async def test_stop_sends_what_waits(buffer: OutageBuffer, kafka: Kafka) -> None:
    buffer.start()
    for number in range(3):
        buffer.put("log", partial(kafka.send, number))
    assert await buffer.stop(TIMEOUT) == []
    assert kafka.sent == [0, 1, 2]


async def test_stop_tells_what_is_left(buffer: OutageBuffer, kafka: Kafka) -> None:
    buffer.start()
    kafka.closed = {"a", "b"}
    buffer.put("b", partial(kafka.send, 2))
    await buffer.send_event("a", partial(kafka.send, 1))
    assert await buffer.stop(0.05) == ["b", "a"]
    assert kafka.sent == []


async def test_stop_does_not_wait_for_a_sender_that_hangs(buffer: OutageBuffer) -> None:
    buffer.start()
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    buffer.put("log", hang)
    await asyncio.wait_for(begun.wait(), TIMEOUT)
    assert await buffer.stop(0.05) == ["log"]


class Handler(logging.Handler):
    """Publishes in a task, as salobj's does."""

    def __init__(self, kafka: Kafka) -> None:
        super().__init__()
        self.futures: list[asyncio.Task[None]] = []
        self._kafka = kafka

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        # What is logged about publishing must not be published in turn.
        LOG.info("publishing")
        self.futures.append(asyncio.create_task(self._kafka.send(text)))


@pytest.fixture
async def handler(buffer: OutageBuffer, kafka: Kafka) -> AsyncIterator[Handler]:
    handler = Handler(kafka)
    handler.addFilter(OutageLogFilter(handler, "log", buffer))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    yield handler
    LOG.removeHandler(handler)
    LOG.setLevel(logging.NOTSET)


async def test_records_pass_through_the_buffer(buffer: OutageBuffer, kafka: Kafka, handler: Handler) -> None:
    arguments = ["first"]
    LOG.info("The %s record", arguments)
    arguments[0] = "changed"
    assert kafka.sent == []
    buffer.start()
    await kafka.wait_for(1)
    try:
        raise ValueError("bad")
    except ValueError:
        LOG.exception("Something failed")
    assert await buffer.stop(TIMEOUT) == []
    assert kafka.sent[0] == "The ['first'] record"
    text, _, trace = kafka.sent[1].partition("\n")
    assert text == "Something failed"
    assert trace.endswith("ValueError: bad")
    assert len(kafka.sent) == 2
    assert all(future.done() for future in handler.futures)


async def test_a_record_that_cannot_be_formatted_is_the_handler_s(
    buffer: OutageBuffer, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[logging.LogRecord] = []
    monkeypatch.setattr(handler, "emit", taken.append)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    LOG.propagate = False
    try:
        LOG.info("%d", "text")
    finally:
        LOG.propagate = True
    assert len(taken) == 1
    assert len(buffer) == 0
