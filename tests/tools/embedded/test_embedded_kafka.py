import asyncio
import signal
import subprocess
import sys
import urllib.request

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from lsst.ts.mtmount.sal import KafkaSettings, SettingsError
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka

TIMEOUT = 60


def consume(bootstrap_servers: str, topic: str, num_messages: int) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "test", "fetch.wait.max.ms": 1})
    try:
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        messages = consumer.consume(num_messages, TIMEOUT)
    finally:
        consumer.close()
    return messages


def test_produce_and_consume(capfd: pytest.CaptureFixture[str]) -> None:
    with EmbeddedKafka() as kafka:
        kafka.create_topics(["brake", "brake"])
        delivered: list[tuple[KafkaError | None, int | None]] = []
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "acks": 1, "linger.ms": 0})
        for value in (b"one", b"two", b""):
            producer.produce(
                "brake",
                value,
                b"",
                0,
                on_delivery=lambda error, message: delivered.append((error, message.offset())),
            )
        assert producer.flush(TIMEOUT) == 0
        del producer
        assert delivered == [(None, 0), (None, 1), (None, 2)]
        messages = consume(kafka.bootstrap_servers, "brake", 3)
        assert [message.value() for message in messages] == [b"one", b"two", b""]
        assert [message.key() for message in messages] == [b"", b"", b""]
    # Nothing clutters the terminal.
    assert capfd.readouterr() == ("", "")


def test_each_instance_starts_empty() -> None:
    with EmbeddedKafka() as first, EmbeddedKafka() as second:
        assert first.bootstrap_servers != second.bootstrap_servers
        first.create_topics(["brake"])
        producer = Producer({"bootstrap.servers": second.bootstrap_servers})
        assert "brake" not in producer.list_topics(timeout=TIMEOUT).topics
        del producer


def test_kafka_state() -> None:
    kafka = EmbeddedKafka()
    with pytest.raises(RuntimeError, match="not running"):
        _ = kafka.bootstrap_servers
    with pytest.raises(RuntimeError, match="not running"):
        kafka.create_topics(["brake"])
    with kafka, pytest.raises(RuntimeError, match="already"):
        kafka.__enter__()
    with pytest.raises(RuntimeError, match="not running"):
        _ = kafka.bootstrap_servers
    kafka.close()
    with kafka:
        assert kafka.bootstrap_servers


def test_environment() -> None:
    with EmbeddedKafka() as kafka:
        assert kafka.environment("test") == {
            "LSST_TOPIC_SUBNAME": "test",
            "LSST_KAFKA_BROKER_ADDR": kafka.bootstrap_servers,
            "LSST_SCHEMA_REGISTRY_URL": kafka.registry_url,
        }


def test_failed_start_leaves_nothing_running() -> None:
    kafka = EmbeddedKafka()
    with kafka.registry:
        with pytest.raises(RuntimeError, match="registry is running already"):
            kafka.__enter__()
        with pytest.raises(RuntimeError, match="broker is not running"):
            _ = kafka.bootstrap_servers


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_program(signum: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lsst.ts.mtmount.embedded", "--subname", "abc"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            assert process.stdout is not None
            lines = [(await process.stdout.readline()).decode().rstrip("\n") for _ in range(3)]
            environment = dict(line.split("=", 1) for line in lines)
            assert environment["LSST_TOPIC_SUBNAME"] == "abc"
            url = f"{environment['LSST_SCHEMA_REGISTRY_URL']}/subjects"
            with await asyncio.to_thread(urllib.request.urlopen, url, timeout=TIMEOUT) as response:
                assert response.read() == b"[]"
            producer = Producer({"bootstrap.servers": environment["LSST_KAFKA_BROKER_ADDR"], "log_level": 0})
            metadata = await asyncio.to_thread(producer.list_topics, "brake", timeout=TIMEOUT)
            assert 0 in metadata.topics["brake"].partitions
            del producer
            process.send_signal(signum)
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, output, errors) == (0, b"", b"")


@pytest.mark.parametrize("subname", ["a b;c", ""])
def test_a_subname_that_the_client_refuses(subname: str) -> None:
    with pytest.raises(SettingsError) as expected:
        KafkaSettings(subname)
    command = [sys.executable, "-m", "lsst.ts.mtmount.embedded", "--subname", subname]
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.endswith(f"error: argument --subname: {expected.value}\n")
