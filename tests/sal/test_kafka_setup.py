"""A start that hangs, and what is told of it."""

import asyncio
import logging
import re
import socket
import threading

import pytest

from lsst.ts.mtmount.sal import KafkaPublisher, KafkaSettings, KafkaSetupError, TopicInfo, kafka_setup

from ..thread_server import serve

LOG = logging.getLogger("test.kafka_setup")
TOPICS = [TopicInfo("brake", ()), TopicInfo("logevent_brake", ())]
TIMEOUT = 60


async def test_an_attempt_is_bounded_as_a_whole(
    settings: KafkaSettings,
    silent_port: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A registry's answer may take a minute here, all that is needed may not."""
    monkeypatch.setattr(kafka_setup, "PROGRESS_INTERVAL", 0.3)
    caplog.set_level(logging.INFO)
    url = f"http://127.0.0.1:{silent_port}"
    step = f"asking the schema registry {url} for schema 1 of 2"
    for limit in (1, 4, 16):
        monkeypatch.setattr(kafka_setup, "ATTEMPT_TIMEOUT", float(limit))
        publisher = KafkaPublisher(
            KafkaSettings(settings.subname, settings.broker_addr, url), LOG, start_timeout=60.0
        )
        async with asyncio.timeout(limit + TIMEOUT):
            with pytest.raises(
                KafkaSetupError, match=f"The start took over {limit} s, and was still "
            ) as raised:
                await publisher.start(TOPICS)
        if step in str(raised.value):
            break
        # A busy computer had not come to the registry yet.
    assert str(raised.value).endswith(step)
    assert re.search(rf"Starting for \d+ s: {re.escape(step)}", caplog.text)


async def test_a_name_that_hangs(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver has no time-out; nobody waits for its thread."""
    monkeypatch.setattr(kafka_setup, "ATTEMPT_TIMEOUT", 1.0)
    release = threading.Event()
    resolve = socket.getaddrinfo

    def hang(host: str, *args: object, **kwargs: object) -> object:
        if host == "registry.example":
            release.wait(TIMEOUT)
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return resolve(host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    publisher = KafkaPublisher(
        KafkaSettings(settings.subname, settings.broker_addr, "http://registry.example"), LOG
    )
    try:
        async with asyncio.timeout(TIMEOUT / 2):
            with pytest.raises(KafkaSetupError, match="asking the schema registry http://registry.example"):
                await publisher.start(TOPICS)
    finally:
        release.set()


@pytest.mark.parametrize(
    ("answer", "protocol"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"), (b'{"topicID": 6}\r\n', "another protocol")],
)
async def test_something_else_in_the_place_of_kafka(
    settings: KafkaSettings, answer: bytes, protocol: str
) -> None:
    def receive_and_answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(answer)

    with serve(receive_and_answer) as port:
        address = f"127.0.0.1:{port}"
        publisher = KafkaPublisher(KafkaSettings(settings.subname, address), LOG)
        async with asyncio.timeout(TIMEOUT):
            with pytest.raises(
                KafkaSetupError,
                match=f"expected Kafka at {address}, got {protocol}: is LSST_KAFKA_BROKER_ADDR",
            ):
                await publisher.start(TOPICS)
