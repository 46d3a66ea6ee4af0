import asyncio
import dataclasses
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from lsst.ts.mtmount.core import DeliveryCounter
from lsst.ts.mtmount.sal import (
    FieldInfo,
    KafkaPublisher,
    KafkaSettings,
    KafkaSetupError,
    RegistryError,
    TopicInfo,
)
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka

from ..fatal_error import raise_fatal_error
from .reading import count_messages, read_messages

LOG = logging.getLogger("test.publisher")
TOPICS = [TopicInfo("brake", (FieldInfo("pressure", "double"),)), TopicInfo("logevent_brake", ())]
TIMEOUT = 60


@asynccontextmanager
async def started(settings: KafkaSettings, **arguments: Any) -> AsyncIterator[KafkaPublisher]:
    publisher = KafkaPublisher(settings, LOG, **arguments)
    await publisher.start(TOPICS)
    try:
        yield publisher
    finally:
        await publisher.close(TIMEOUT)


async def test_published_bytes_arrive_in_partition_0(settings: KafkaSettings) -> None:
    async with started(settings) as publisher:
        for topic in TOPICS:
            for i in range(3):
                await publisher.send(topic.kafka_topic(settings.subname), b"%d" % i, topic.message_key())
        assert await publisher.flush(TIMEOUT) == 0
        assert publisher.num_queued == 0
        assert (publisher.deliveries.acknowledged, publisher.deliveries.failed) == (6, 0)
    for topic in TOPICS:
        messages = read_messages(settings, topic.sal_name, 3)
        assert [message.value() for message in messages] == [b"0", b"1", b"2"]
        # An empty key is not no key.
        assert {message.key() for message in messages} == {topic.message_key()}


async def test_schemas_are_registered_once(settings: KafkaSettings) -> None:
    async with started(settings) as first:
        pass
    async with started(settings) as second:
        pass
    assert list(first.schemas) == ["tel_brake", "evt_brake"]
    assert first.schemas == second.schemas
    assert first.schemas["tel_brake"].rev_code == TOPICS[0].rev_code


async def test_delivery_reports_are_collected_without_a_call(settings: KafkaSettings) -> None:
    delivered = asyncio.Event()
    async with started(settings) as publisher:
        publisher.produce(
            TOPICS[0].kafka_topic(settings.subname), b"x", b"", 0, lambda error, message: delivered.set()
        )
        async with asyncio.timeout(TIMEOUT):
            await delivered.wait()


async def test_own_delivery_counter_counts(settings: KafkaSettings) -> None:
    async with started(settings) as publisher:
        deliveries = DeliveryCounter(publisher.report_failure)
        await publisher.send(TOPICS[0].kafka_topic(settings.subname), b"x", b"", deliveries)
        await publisher.flush(TIMEOUT)
        assert (deliveries.acknowledged, publisher.deliveries.acknowledged) == (1, 0)


async def test_nothing_can_be_sent_before_the_start_and_after_the_end(settings: KafkaSettings) -> None:
    publisher = KafkaPublisher(settings, LOG)
    for _ in range(2):
        assert not publisher.is_running
        assert publisher.num_queued == 0
        publisher.serve()
        with pytest.raises(RuntimeError, match="not running"):
            publisher.produce("x", b"", b"", 0, publisher.deliveries)
        with pytest.raises(RuntimeError, match="not running"):
            await publisher.send("x", b"", b"")
        with pytest.raises(RuntimeError, match="not running"):
            await publisher.wait_for_room()
        assert await publisher.flush(TIMEOUT) == 0
        assert await publisher.close(TIMEOUT) == 0
        if not publisher.schemas:
            await publisher.start(TOPICS)
            assert publisher.is_running
            with pytest.raises(RuntimeError, match="started already"):
                await publisher.start(TOPICS)
            await publisher.close(TIMEOUT)


async def test_full_queue_waits_and_nothing_is_lost(settings: KafkaSettings) -> None:
    capacity, num_messages = 10, 100
    async with started(
        settings, producer_defaults={"queue.buffering.max.messages": capacity, "linger.ms": 20}
    ) as publisher:
        name = TOPICS[0].kafka_topic(settings.subname)
        for _ in range(capacity):
            publisher.produce(name, b"x", b"", 0, publisher.deliveries)
        with pytest.raises(BufferError):
            publisher.produce(name, b"x", b"", 0, publisher.deliveries)
        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(*(publisher.send(name, b"x", b"") for _ in range(num_messages)))
        await publisher.flush(TIMEOUT)
        assert publisher.deliveries.acknowledged == capacity + num_messages
    assert count_messages(settings, "brake") == capacity + num_messages


async def test_close_does_not_leave_those_who_wait_for_room(settings: KafkaSettings) -> None:
    async with started(
        settings, producer_defaults={"queue.buffering.max.messages": 1, "linger.ms": 60_000}
    ) as publisher:
        name = TOPICS[0].kafka_topic(settings.subname)
        publisher.produce(name, b"x", b"", 0, publisher.deliveries)
        waiting = asyncio.create_task(publisher.send(name, b"y", b""))
        await asyncio.sleep(0)
        await publisher.close(TIMEOUT)
        with pytest.raises(RuntimeError, match="was closed"):
            await waiting


async def test_no_time_to_flush_is_no_negative_time(
    settings: KafkaSettings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float] = []

    def end(producer: Producer, timeout: float) -> int:
        # How fast the broker is must not matter: a message is lost.
        times.append(timeout)
        return 1

    async with started(settings) as publisher:
        monkeypatch.setattr(publisher, "_end", end)
        assert await publisher.close(-0.1) == 1
    assert times == [0.0]
    assert "1 messages were not delivered to Kafka within 0 s, and are lost" in caplog.text


@pytest.mark.parametrize("is_served", [True, False])
async def test_fatal_error_is_told_once(settings: KafkaSettings, is_served: bool) -> None:
    errors: list[KafkaError] = []
    idempotent = dataclasses.replace(settings, producer_overrides={"enable.idempotence": True})
    async with started(idempotent) as publisher:
        publisher.health.on_fatal = errors.append
        assert publisher._producer is not None
        raise_fatal_error(publisher._producer)
        for _ in range(3 * is_served):
            publisher.serve()
        with pytest.raises(KafkaException, match="Fatal error"):
            publisher.produce(TOPICS[0].kafka_topic(settings.subname), b"x", b"", 0, publisher.deliveries)
        assert len(errors) == is_served
        # Also where the end is the first to meet it.
        assert await publisher.close(TIMEOUT) == 0
    assert [error.fatal() for error in errors] == [True]
    assert "it is over" in errors[0].str()


async def test_too_large_message_is_refused(settings: KafkaSettings) -> None:
    async with started(settings) as publisher:
        with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
            await publisher.send(TOPICS[0].kafka_topic(settings.subname), b"x" * 2_000_000, b"")


@pytest.mark.slow
async def test_errors_of_a_broker_that_is_gone_end_no_stall() -> None:
    """Attempts to connect fail several times a second, and each is an event that is served."""
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings.from_environment(kafka.environment())
        publisher = KafkaPublisher(settings, LOG)
        await publisher.start(TOPICS)
        name = TOPICS[0].kafka_topic(settings.subname)
        await publisher.send(name, b"x", b"")
        assert await publisher.flush(TIMEOUT) == 0
        assert publisher.measure_stall() == 0
    await publisher.send(name, b"x", b"")
    async with asyncio.timeout(TIMEOUT):
        while publisher.measure_stall() < 3:
            await asyncio.sleep(0.05)
    await publisher.close(0.1)


async def test_broker_that_goes_away(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be delivered is reported, within a limit, and counted; so is the reason."""
    num_messages = 20
    seen_error = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("Kafka: "):
                loop.call_soon_threadsafe(seen_error.set)

    watch = Watch()
    LOG.addHandler(watch)
    try:
        with EmbeddedKafka() as kafka:
            settings = KafkaSettings.from_environment(kafka.environment())
            publisher = KafkaPublisher(settings, LOG, producer_defaults={"message.timeout.ms": 1000})
            await publisher.start(TOPICS)
            name = TOPICS[0].kafka_topic(settings.subname)
            await publisher.send(name, b"x", b"")
            assert await publisher.flush(TIMEOUT) == 0
        for _ in range(num_messages):
            await publisher.send(name, b"x", b"")
        assert await publisher.flush(TIMEOUT) == 0
        assert (publisher.deliveries.acknowledged, publisher.deliveries.failed) == (1, num_messages)
        async with asyncio.timeout(TIMEOUT):
            await seen_error.wait()
        assert await publisher.close(TIMEOUT) == 0
    finally:
        LOG.removeHandler(watch)
    failures = [record for record in caplog.records if "was not delivered" in record.getMessage()]
    assert len(failures) == 5
    assert name in failures[0].getMessage()
    assert f"delivery failed: suppressed {num_messages - 5} more messages like this" in caplog.text


async def test_close_is_bounded_and_accounts_for_what_is_lost(
    settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = KafkaPublisher(settings, LOG, producer_defaults={"linger.ms": 60_000})
    await publisher.start(TOPICS)
    name = TOPICS[0].kafka_topic(settings.subname)
    for _ in range(3):
        publisher.produce(name, b"x", b"", 0, publisher.deliveries)
    assert publisher.num_queued == 3
    num_lost = await publisher.close(0)
    # Even the shortest flush sends something, of which an answer may arrive.
    deliveries = publisher.deliveries
    assert deliveries.acknowledged + deliveries.failed == 3
    assert num_lost == deliveries.failed == publisher.num_failed
    if num_lost:
        assert f"{num_lost} messages were not delivered to Kafka within 0 s, and are lost" in caplog.text


async def test_flush_does_not_block_the_loop(settings: KafkaSettings) -> None:
    async with started(settings, producer_defaults={"linger.ms": 60_000}) as publisher:
        release = threading.Event()

        def hold(error: object, message: object) -> None:
            release.wait(TIMEOUT)

        publisher._timer.cancel()  # type: ignore[union-attr]  # Only the flush is to serve this.
        publisher.produce(TOPICS[0].kafka_topic(settings.subname), b"x", b"", 0, hold)
        flushing = asyncio.create_task(publisher.flush(TIMEOUT))
        # The flush cannot end before the loop has run this.
        asyncio.get_running_loop().call_later(0.01, release.set)
        assert await flushing == 0
        assert release.is_set()


async def test_missing_registry_is_told(settings: KafkaSettings, unused_port: int) -> None:
    bad = KafkaSettings(settings.subname, settings.broker_addr, f"http://u:pa55@127.0.0.1:{unused_port}")
    publisher = KafkaPublisher(bad, LOG)
    with pytest.raises(RegistryError, match="cannot be reached") as raised:
        await publisher.start(TOPICS)
    assert "pa55" not in str(raised.value)
    assert not publisher.is_running


async def test_start_can_be_cancelled(settings: KafkaSettings, unused_port: int) -> None:
    publisher = KafkaPublisher(
        KafkaSettings(settings.subname, f"127.0.0.1:{unused_port}"), LOG, start_timeout=1e6
    )
    # The thread at work must end as well: the loop waits for it at its end.
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await publisher.start(TOPICS)
    assert not publisher.is_running


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"no.such.property": 1}, "no.such.property"),
        ({"retries": "often"}, "retries"),
        ({"enable.idempotence": True, "acks": 1}, "acks"),
    ],
)
async def test_bad_producer_settings_are_told(
    settings: KafkaSettings, overrides: dict[str, Any], expected: str
) -> None:
    bad = KafkaSettings(
        settings.subname, settings.broker_addr, settings.registry_url, producer_overrides=overrides
    )
    with pytest.raises(KafkaSetupError, match=rf"producer settings are refused: .*{expected}"):
        await KafkaPublisher(bad, LOG).start(TOPICS)


async def test_idempotent_producer_waits_for_all(settings: KafkaSettings) -> None:
    idempotent = KafkaSettings(
        settings.subname,
        settings.broker_addr,
        settings.registry_url,
        producer_overrides={"enable.idempotence": True},
    )
    async with started(idempotent) as publisher:
        await publisher.send(TOPICS[0].kafka_topic(settings.subname), b"x", b"")
        assert await publisher.flush(TIMEOUT) == 0
        assert publisher.deliveries.acknowledged == 1


async def test_librdkafka_logs_by_way_of_python(
    settings: KafkaSettings, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    talkative = KafkaSettings(
        settings.subname,
        settings.broker_addr,
        settings.registry_url,
        producer_overrides={"debug": "topic", "client.id": "pa55", "sasl.password": "pa55"},
    )
    async with started(talkative) as publisher:
        await publisher.send(TOPICS[0].kafka_topic(settings.subname), b"x", b"")
        await publisher.flush(TIMEOUT)
        publisher.serve()
    lines = [record for record in caplog.records if record.getMessage().startswith("librdkafka ")]
    assert lines
    assert {record.name for record in lines} == {"test.publisher.Kafka"}
    assert "pa55" not in caplog.text
    assert capfd.readouterr().err == ""
