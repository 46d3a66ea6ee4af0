import asyncio
import logging
import os
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lsst.ts.mtmount.sal import (
    Controller,
    InterfaceError,
    KafkaPublisher,
    KafkaSettings,
    KafkaSetupError,
    SettingsError,
    load_packaged_interface,
)
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka

from ..kafka_reader import KafkaReader, Records
from .interface_files import packaged_fields, write_interface, write_package

LOG = logging.getLogger("MTMount")
TIMEOUT = 60


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Leave the logger as it was, without handlers of a controller."""
    level, handlers = LOG.level, list(LOG.handlers)
    LOG.setLevel(logging.NOTSET)
    yield
    assert LOG.handlers == handlers
    LOG.setLevel(level)


@asynccontextmanager
async def running(controller: Controller) -> AsyncIterator[Controller]:
    async with asyncio.timeout(30):
        try:
            await controller.start_task
            yield controller
        finally:
            await controller.close()


async def test_life_cycle(sal_environment: str) -> None:
    controller = Controller()
    assert controller.isopen
    assert not controller.start_task.done()
    assert not controller.done_task.done()
    with pytest.raises(RuntimeError, match="not running"):
        await controller.tel_azimuth.write()
    await controller.start_task
    assert (await controller.tel_azimuth.write()).private_seqNum == 1
    await controller.close()
    assert not controller.isopen
    assert controller.done_task.done()
    assert controller.done_task.result() is None
    with pytest.raises(RuntimeError, match="not running"):
        await controller.tel_azimuth.write()
    await controller.close()


async def test_topics_are_attributes(sal_environment: str) -> None:
    async with running(Controller()) as controller:
        assert list(controller.topics) == list(load_packaged_interface().topics)
        for attr_name, topic in controller.topics.items():
            assert getattr(controller, attr_name) is topic
            assert topic.kafka_topic == sal_environment + topic.info.sal_name
            assert hasattr(topic.record, "values")
        assert "evt_logMessage" in dir(controller)
        assert "close" in dir(controller)
        assert not hasattr(controller, "tel_nothing")
        with pytest.raises(AttributeError, match="Controller has no attribute 'evt_heartbeat'"):
            _ = controller.evt_heartbeat


async def test_topics_that_the_interface_lacks_are_no_attributes(
    sal_environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kafka_reader: KafkaReader
) -> None:
    topics = packaged_fields()
    for name in ("capacitorBank", "logevent_logMessage", "logevent_logLevel"):
        del topics[name]
    topics["mainPowerSupply"].pop(0)
    monkeypatch.setenv("LSST_SAL_INTERFACES_DIR", str(write_interface(tmp_path / "xml", topics)))
    async with running(Controller()) as controller:
        assert not hasattr(controller, "tel_capacitorBank")
        assert not hasattr(controller, "evt_logLevel")
        lost_field = packaged_fields()["mainPowerSupply"][0].name
        with pytest.raises(AttributeError, match=lost_field):
            controller.tel_mainPowerSupply.set(**{lost_field: 1})
        await controller.tel_mainPowerSupply.set_write(timestamp=3)
    (message,) = await kafka_reader.read_count("mainPowerSupply", 1)
    assert message["timestamp"] == 3
    assert lost_field not in message


async def test_schemas_of_the_observatory_are_registered_as_they_are(
    sal_environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Controller()) as controller:
        packaged = dict(controller.publisher.schemas)
    monkeypatch.setenv("LSST_SAL_INTERFACES_DIR", str(write_package(tmp_path)))
    async with running(Controller()) as controller:
        exact = dict(controller.publisher.schemas)
        assert controller.interface.is_exact
        for name, schema in exact.items():
            assert schema.rev_code == controller.interface.topics[name].rev_code
            assert schema != packaged[name]
    monkeypatch.delenv("LSST_SAL_INTERFACES_DIR")
    async with running(Controller()) as controller:
        # The packaged tables have the same substance: no third version, and the rev code of the second.
        assert controller.publisher.schemas == exact
        assert (await controller.tel_azimuth.write()).private_revCode == exact["tel_azimuth"].rev_code


@pytest.mark.parametrize(
    ("level", "expected"), [(logging.NOTSET, 20), (logging.WARNING, 20), (logging.DEBUG, 10)]
)
async def test_log_level(sal_environment: str, kafka_reader: KafkaReader, level: int, expected: int) -> None:
    # The root logger, and so MTMount if it has no level of its own, is at WARNING.
    assert logging.getLogger().getEffectiveLevel() == logging.WARNING
    LOG.setLevel(level)
    async with running(Controller()) as controller:
        assert controller.log is LOG
        assert LOG.getEffectiveLevel() == expected
        assert controller.evt_logLevel.data.level == expected
    (message,) = await kafka_reader.read_count("logevent_logLevel", 1)
    assert (message["level"], message["subsystem"]) == (expected, "")


def find(records: Records, *texts: str) -> list[str]:
    """Return those log messages that are in ``texts``, in the order of the topic."""
    return [record["message"] for record in records["logevent_logMessage"] if record["message"] in texts]


async def test_log_messages_are_published_from_the_making_to_the_closing(
    sal_environment: str, kafka_reader: KafkaReader
) -> None:
    controller = Controller()
    LOG.getChild("early").warning("before the start")
    async with running(controller):
        LOG.debug("too verbose")
        LOG.getChild("TelemetryClient.Deep").info("from a child")
        thread = threading.Thread(target=LOG.error, args=("from a thread",))
        thread.start()
        await asyncio.to_thread(thread.join)
        for _ in range(3):
            LOG.warning("the same")
        try:
            raise ValueError("odd \udcff value")
        except ValueError:
            LOG.exception("with traceback")
        logging.getLogger("Other").error("of another program part")
        LOG.warning("before the end")
    LOG.warning("after the end")
    expected = [
        "before the start",
        "from a child",
        "from a thread",
        "the same",
        "with traceback",
        "before the end",
    ]
    records = await kafka_reader.read_until(lambda records: bool(find(records, "before the end")))
    others = ["too verbose", "of another program part", "after the end"]
    assert find(records, *expected, *others) == expected
    messages = {record["message"]: record for record in records["logevent_logMessage"]}
    child = messages["from a child"]
    assert (child["name"], child["level"], child["traceback"]) == ("MTMount.TelemetryClient.Deep", 20, "")
    assert (child["filePath"], child["process"], child["timestamp"]) == (__file__, os.getpid(), 0.0)
    assert messages["with traceback"]["traceback"].endswith("ValueError: odd \\udcff value")


async def test_settings_are_logged_without_password(
    embedded_kafka: EmbeddedKafka,
    sal_environment: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kafka_reader: KafkaReader,
) -> None:
    url = embedded_kafka.registry_url.replace("//", "//user:pa55word@")
    monkeypatch.setenv("LSST_SCHEMA_REGISTRY_URL", url)
    monkeypatch.setenv("LSST_KAFKA_SECURITY_PASSWORD", "pa55word")
    async with running(Controller()):
        LOG.warning("the last")
    records = await kafka_reader.read_until(lambda records: bool(find(records, "the last")))
    assert embedded_kafka.bootstrap_servers in caplog.text
    assert "pa55word" not in caplog.text
    assert "pa55word" not in str(records)


async def test_failed_start(sal_environment: str, monkeypatch: pytest.MonkeyPatch, unused_port: int) -> None:
    monkeypatch.setenv("LSST_KAFKA_BROKER_ADDR", f"127.0.0.1:{unused_port}")
    settings = KafkaSettings.from_environment()
    controller = Controller(publisher=KafkaPublisher(settings, LOG, start_timeout=0.2))
    with pytest.raises(KafkaSetupError, match=f"127.0.0.1:{unused_port} did not answer"):
        await controller.start_task
    assert controller.isopen
    with pytest.raises(RuntimeError, match="not running"):
        await controller.evt_logLevel.write()
    await controller.close()
    assert controller.done_task.done()


async def test_close_during_the_start(
    sal_environment: str, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    monkeypatch.setenv("LSST_KAFKA_BROKER_ADDR", f"127.0.0.1:{unused_port}")
    controller = Controller()
    await asyncio.sleep(0)
    async with asyncio.timeout(TIMEOUT):
        await controller.close()
    assert controller.start_task.cancelled()
    assert controller.done_task.done()


async def test_close_before_the_start(sal_environment: str) -> None:
    controller = Controller()
    await controller.close()
    assert controller.start_task.cancelled()
    assert controller.done_task.done()


async def test_two_may_close_at_once(sal_environment: str) -> None:
    controller = Controller()
    await controller.start_task
    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(controller.close(), controller.close())
    assert controller.done_task.done()


async def test_close_without_broker_is_bounded_and_says_what_is_lost(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedKafka() as kafka:
        for name, value in kafka.environment().items():
            monkeypatch.setenv(name, value)
        controller = Controller()
        await controller.start_task
        await controller.publisher.flush(TIMEOUT)
    for i in range(5):
        await controller.evt_clockOffset.set_write(offset=i)
    async with asyncio.timeout(TIMEOUT):
        await controller.close(timeout=0.2)
    deliveries = controller.publisher.deliveries
    assert deliveries.failed >= 5
    assert f"{deliveries.failed} messages were not delivered to Kafka" in caplog.text


async def test_environment_must_be_complete(
    sal_environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LSST_SAL_INTERFACES_DIR", str(write_interface(tmp_path / "xml")))
    (tmp_path / "xml" / "SALGenerics.xml").write_text("<")
    with pytest.raises(InterfaceError):
        Controller()
    monkeypatch.delenv("LSST_SAL_INTERFACES_DIR")
    monkeypatch.delenv("LSST_TOPIC_SUBNAME")
    with pytest.raises(SettingsError, match="LSST_TOPIC_SUBNAME") as raised:
        Controller()
    assert "Error" in "".join(traceback.format_exception_only(raised.value))


def test_a_running_loop_is_needed(sal_environment: str) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        Controller()
