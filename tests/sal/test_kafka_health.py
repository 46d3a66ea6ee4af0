"""What is logged of a Kafka that stalls, refuses, or talks too much."""

import logging
import types
from typing import Any

import pytest
from confluent_kafka import KafkaError

from lsst.ts.mtmount.sal import KafkaSettings
from lsst.ts.mtmount.sal.kafka_health import KafkaHealth

LOG = logging.getLogger("test.kafka_health")
SETTINGS = KafkaSettings("sal", "kafka:9092", username="me", password="pa55")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock, caplog: pytest.LogCaptureFixture) -> KafkaHealth:
    caplog.set_level(logging.DEBUG)
    return KafkaHealth(SETTINGS, LOG, clock=clock)


def test_a_stall_is_told_once_in_30_s_and_its_end(
    health: KafkaHealth, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    times = []
    for second in range(80):
        clock.now = 100.0 + second
        health.update(7, 218 * second)
        times += [second] * len(caplog.records)
        if caplog.records:
            assert caplog.records[0].levelno == logging.WARNING
            assert "Kafka at kafka:9092 has acknowledged nothing for" in caplog.text
            assert f"; {218 * second} messages wait" in caplog.text
        caplog.clear()
    # The first messages wait from second 1 on.
    assert times == [6, 36, 66]
    assert health.measure_stall() == 78
    health.update(8, 17_000)
    health.update(9, 16_000)
    assert caplog.messages == ["Kafka acknowledges messages again, after 78 s"]
    assert health.measure_stall() == 0


def test_short_pauses_and_silence_are_not_told(
    health: KafkaHealth, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(200):
        clock.now = 100.0 + second
        # Acknowledged every 4 s; nothing at all is sent in the second half.
        health.update(second // 4 if second < 100 else 25, 10 if second < 100 else 0)
    assert not caplog.records


def test_messages_that_gather_for_long_do_not_count(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    health = KafkaHealth(SETTINGS, LOG, min_stall=60.0, clock=clock)
    for second in range(64):
        clock.now = 100.0 + second
        health.update(0, 1)
    assert not caplog.records


def test_a_missing_permission_is_named(health: KafkaHealth, caplog: pytest.LogCaptureFixture) -> None:
    message: Any = types.SimpleNamespace(topic=lambda: "lsst.sal.MTMount.azimuth")
    for _ in range(1000):
        health.report_failure(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), message)
    # Each topic once in a minute, and how often it was.
    health.report_missing_permission("lsst.sal.MTMount.elevation")
    health.flush(force=True)
    assert caplog.messages == [
        *(
            f"Kafka does not authorize WRITE to {topic} for User:me: messages are not delivered"
            for topic in ("lsst.sal.MTMount.azimuth", "lsst.sal.MTMount.elevation")
        ),
        "WRITE to lsst.sal.MTMount.azimuth is not authorized: suppressed 999 more messages like this",
    ]
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


@pytest.mark.parametrize(
    "code",
    [KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART],
)
def test_a_missing_topic_is_named(health: KafkaHealth, caplog: pytest.LogCaptureFixture, code: int) -> None:
    message: Any = types.SimpleNamespace(topic=lambda: "lsst.sal.MTMount.azimuth")
    for _ in range(10):
        health.report_failure(KafkaError(code), message)
    assert caplog.messages == [
        "Kafka has no topic lsst.sal.MTMount.azimuth any more: "
        "messages are not delivered until it is made again"
    ]


def test_what_kafka_says_is_redacted_and_escaped(
    health: KafkaHealth, caplog: pytest.LogCaptureFixture
) -> None:
    error: Any = types.SimpleNamespace(
        fatal=lambda: False, name=lambda: "X", str=lambda: "no pa55\x1b[2J\nMTMount: all is well"
    )
    health.report_error(error)
    assert caplog.messages == [r"Kafka: no ***\x1b[2J\nMTMount: all is well"]


def test_information_of_librdkafka_is_for_debugging(
    health: KafkaHealth, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(228):
        health.log(logging.INFO, "", "TOPICAUTH", "", "no")
        # Told by `report_error`, too.
        health.log(logging.ERROR, "", "FAIL", "", "Connection refused")
    assert not caplog.records
    health.log(logging.WARNING, "", "CONFWARN", "", "pa55")
    assert caplog.messages == ["librdkafka CONFWARN: ***"]


def test_errors_of_an_outage_are_few(
    caplog: pytest.LogCaptureFixture,
) -> None:
    health = KafkaHealth(SETTINGS, LOG)
    for _ in range(3600):
        health.report_error(KafkaError(KafkaError._TRANSPORT, "Connection refused"))
        health.report_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
        health.flush()
    assert len(caplog.records) == 10
    health.flush(force=True)
    assert [text for text in caplog.messages if "suppressed" in text] == [
        "Kafka error _TRANSPORT: suppressed 3595 more messages like this",
        "Kafka error _ALL_BROKERS_DOWN: suppressed 3595 more messages like this",
    ]
