"""Creation of topics on the embedded broker; on a real one: tests/integration/test_sal_setup.py."""

import gc
import logging
import threading
import time

import pytest
from confluent_kafka import Producer

from lsst.ts.mtmount.sal import KafkaSettings, KafkaSetupError, TopicInfo
from lsst.ts.mtmount.sal.kafka_topics import create_missing_topics

from ..kafka_threads import count_kafka_threads

LOG = logging.getLogger("test.kafka_topics")
TOPICS = [TopicInfo("brake", ()), TopicInfo("logevent_brake", ())]


def create(
    settings: KafkaSettings, *, timeout: float = 10.0, stop: threading.Event | None = None
) -> Producer:
    producer = Producer({**settings.producer_configuration(), "log_level": 0})
    create_missing_topics(settings, TOPICS, producer, LOG, timeout=timeout, stop=stop or threading.Event())
    return producer


def test_missing_topics_are_created_once(settings: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    producer = create(settings)
    assert "2 missing topics are left to its automatic creation" in caplog.text
    names = {topic.kafka_topic(settings.subname) for topic in TOPICS}
    ours = {name for name in producer.list_topics(timeout=5).topics if settings.subname in name}
    # These, and no others.
    assert ours == names
    caplog.clear()
    create(settings)
    assert not caplog.records


def test_no_admin_client_stays(settings: KafkaSettings) -> None:
    gc.collect()
    before = count_kafka_threads("rdk:bg")
    # It must not take a garbage collection, which a client that runs hardly ever makes.
    gc.disable()
    try:
        create(settings)
        assert count_kafka_threads("rdk:bg") == before
    finally:
        gc.enable()


def test_absent_broker_is_told(settings: KafkaSettings, unused_port: int) -> None:
    absent = KafkaSettings(settings.subname, f"127.0.0.1:{unused_port}")
    start = time.monotonic()
    with pytest.raises(
        KafkaSetupError, match=rf"Kafka at 127\.0\.0\.1:{unused_port} did not answer within 0\.2 s"
    ):
        create(absent, timeout=0.2)
    assert time.monotonic() - start >= 0.2


def test_silent_broker_is_given_up(settings: KafkaSettings, silent_port: int) -> None:
    with pytest.raises(KafkaSetupError, match=r"did not answer within 0\.2 s"):
        create(KafkaSettings(settings.subname, f"127.0.0.1:{silent_port}"), timeout=0.2)


def test_waiting_for_a_broker_can_be_stopped(settings: KafkaSettings, unused_port: int) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(KafkaSetupError):
        create(KafkaSettings(settings.subname, f"127.0.0.1:{unused_port}"), timeout=1e6, stop=stop)


def test_bad_client_settings_are_told_without_the_password(settings: KafkaSettings) -> None:
    bad = KafkaSettings(
        settings.subname,
        settings.broker_addr,
        username="me",
        password="pa55",
        security_mechanism="pa55",
    )
    producer = Producer({"bootstrap.servers": settings.broker_addr, "log_level": 0})
    with pytest.raises(KafkaSetupError, match="client settings are refused") as raised:
        create_missing_topics(bad, TOPICS, producer, LOG, timeout=1, stop=threading.Event())
    assert "pa55" not in str(raised.value)
    assert raised.value.__suppress_context__
