"""A fake of the observatory's ``lsst.ts.salobj``, for tests of what this project uses of it.

Put ``tests/fakes/with_salobj`` on the path, and it is importable under the
real name. It conforms in the public interface of a write-only controller, and
in what matters for whoever lives with it on one event loop: the start waits
without a bound for Kafka, a task flushes the producer on the event loop without
a bound, closing flushes without a bound, too.

Topics come from the same interface files; the descriptions are made others, so
that it shows whose schema was registered. Records are written by fastavro.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import copy
import dataclasses
import io
import logging
import os
import re
import types
from functools import partial
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Producer

from lsst.ts.mtmount.sal import FieldInfo, SchemaRegistry, TaiClock, load_interface
from lsst.ts.mtmount.sal import TopicInfo as PlainTopicInfo
from lsst.ts.mtmount.tma_interface import TmaInterface, TmaTopic

__version__ = "8.0.fake"

SHUTDOWN_DELAY = 0.05
FLUSH_PERIOD = 0.025
FLUSH_END_TIMEOUT = 0.5


class TopicInfo:
    """A topic as ``lsst.ts.xml`` describes it."""

    def __init__(self, plain: PlainTopicInfo, subname: str) -> None:
        self._plain = dataclasses.replace(plain, description=f"Fake: {plain.description}")
        self.sal_name = plain.sal_name
        self.attr_name = plain.attr_name
        self.kafka_name = plain.kafka_topic(subname)
        self.avro_subject = plain.subject(subname)
        self.fields: dict[str, FieldInfo] = {
            field.name: field for field in plain.private_fields + plain.fields
        }
        self.parsed_schema = fastavro.parse_schema(self.make_avro_schema())

    def make_avro_schema(self) -> dict[str, Any]:
        return self._plain.avro_schema()

    def get_revcode(self) -> str:
        return self._plain.rev_code


class WriteTopic(abc.ABC):  # noqa: B024
    def __init__(self, salinfo: SalInfo, attr_name: str) -> None:
        self.salinfo = salinfo
        self.topic_info = salinfo.component_info.topics[attr_name]
        self.rev_code = self.topic_info.get_revcode()
        self.log = salinfo.log.getChild(self.topic_info.sal_name)
        self.DataType = dataclasses.make_dataclass(
            self.topic_info.sal_name,
            [
                (name, Any, dataclasses.field(default_factory=partial(copy.copy, field.default)))
                for name, field in self.topic_info.fields.items()
            ],
        )
        self.data = self.DataType()
        self.has_data = False
        self._seq_num = 0

    @property
    def attr_name(self) -> str:
        attr_name: str = self.topic_info.attr_name
        return attr_name

    def set(self, **fields: Any) -> bool:
        did_change = not self.has_data
        for name, value in fields.items():
            did_change |= bool(getattr(self.data, name) != value)
            setattr(self.data, name, value)
        self.has_data = True
        return did_change

    async def set_write(self, *, force_output: bool | None = None, **fields: Any) -> types.SimpleNamespace:
        did_change = self.set(**fields)
        was_written = did_change or bool(force_output)
        data = await self.write() if was_written else self.data
        return types.SimpleNamespace(did_change=did_change, was_written=was_written, data=data)

    async def write(self) -> Any:
        self.salinfo.assert_running()
        self._seq_num += 1
        now = TaiClock().now()
        for name, value in {
            "sndStamp": now,
            "efdStamp": now - 37,
            "kafkaStamp": now,
            "seqNum": self._seq_num,
            "revCode": self.rev_code,
            "identity": self.salinfo.identity,
            "origin": os.getpid(),
        }.items():
            setattr(self.data, f"private_{name}", value)
        await self.salinfo.write_data(topic_info=self.topic_info, data_dict=dataclasses.asdict(self.data))
        return copy.copy(self.data)


class ControllerEvent(WriteTopic):
    pass


class ControllerTelemetry(WriteTopic):
    async def write(self) -> Any:
        raise AssertionError("telemetry must not go through salobj")


def list_described_topics() -> TmaInterface | None:
    """List the telemetry topics of the interface files: salobj has them all."""
    folder = os.environ.get("LSST_SAL_INTERFACES_DIR")
    if not folder:
        return None
    text = (Path(folder) / "MTMount" / "MTMount_Telemetry.xml").read_text()
    names = re.findall(r"<EFDB_Topic>MTMount_(\w+)</EFDB_Topic>", text)
    return TmaInterface(tuple(TmaTopic(number, name, 50, ()) for number, name in enumerate(names, 1)))


class SalInfo:
    def __init__(self, name: str) -> None:
        subname = os.environ.get("LSST_TOPIC_SUBNAME")
        if not subname:
            raise RuntimeError("You must define environment variable LSST_TOPIC_SUBNAME")
        self.name = self.identity = name
        self.log = logging.getLogger(name)
        if self.log.getEffectiveLevel() > logging.INFO:
            self.log.setLevel(logging.INFO)
        self.kafka_broker_addr = os.environ["LSST_KAFKA_BROKER_ADDR"]
        self.schema_registry_url = os.environ["LSST_SCHEMA_REGISTRY_URL"]
        self.replication_factor = 1
        silent = logging.getLogger("fake")
        silent.setLevel(logging.CRITICAL)
        topics = load_interface(silent, tma_interface=list_described_topics()).topics
        self.component_info = types.SimpleNamespace(
            topics={attr_name: TopicInfo(info, subname) for attr_name, info in topics.items()}
        )
        self.schema_ids: dict[str, int] = {}
        self.producer: Producer | None = None
        self.num_flushes = self.num_written = 0
        self.running = False

    def get_broker_client_configuration(self) -> dict[str, Any]:
        configuration = {"bootstrap.servers": self.kafka_broker_addr}
        if password := os.environ.get("LSST_KAFKA_SECURITY_PASSWORD"):
            configuration |= {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": os.environ["LSST_KAFKA_SECURITY_USERNAME"],
                "sasl.password": password,
            }
        return configuration

    def assert_running(self) -> None:
        if not self.running:
            raise RuntimeError("Not running")

    async def write_data(self, topic_info: TopicInfo, data_dict: dict[str, Any]) -> None:
        await asyncio.to_thread(self._produce, topic_info, data_dict)
        self.num_written += 1

    def _produce(self, topic_info: TopicInfo, record: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        buffer.write(b"\0" + self.schema_ids[topic_info.attr_name].to_bytes(4, "big"))
        fastavro.schemaless_writer(buffer, topic_info.parsed_schema, record)
        key = f'{{ "name": "{self.name}", "topic": "{topic_info.sal_name}" }}'
        assert self.producer is not None
        # The embedded broker makes topics of several partitions.
        self.producer.produce(topic_info.kafka_name, buffer.getvalue(), key, 0)

    async def flush_loop(self) -> None:
        assert self.producer is not None
        while self.running:
            self.num_flushes += 1
            self.producer.flush()
            await asyncio.sleep(FLUSH_PERIOD)

    def set_up(self) -> None:
        """Do what blocks; in a thread."""
        self.producer = Producer(self.get_broker_client_configuration() | {"log_level": 0})
        for topic in self.component_info.topics.values():
            self.producer.list_topics(topic.kafka_name)
        with SchemaRegistry(self.schema_registry_url) as registry:
            for attr_name, topic in self.component_info.topics.items():
                self.schema_ids[attr_name] = registry.register(topic.avro_subject, topic.make_avro_schema())


class SalLogHandler(logging.Handler):
    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller
        self.futures: list[asyncio.Task[Any]] = []
        self._early: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not self.controller.salinfo.running:
            self._early.append(record)
            return
        early, self._early = self._early, []
        for waiting in [*early, record]:
            self.format(waiting)
            self.futures.append(
                asyncio.create_task(
                    self.controller.evt_logMessage.set_write(
                        name=waiting.name,
                        level=waiting.levelno,
                        message=waiting.message,
                        traceback=waiting.exc_text or "",
                        filePath=waiting.pathname,
                        functionName=waiting.funcName,
                        lineNumber=waiting.lineno,
                        process=waiting.process,
                    )
                )
            )

    def close(self) -> None:
        for future in self.futures:
            future.cancel()
        super().close()


class Controller:
    evt_logLevel: ControllerEvent  # noqa: N815
    evt_logMessage: ControllerEvent  # noqa: N815

    def __init__(self, name: str, index: int | None = None, *, write_only: bool = False) -> None:
        assert write_only
        self.isopen = False
        self.done_task: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.delay_start_event = asyncio.Event()
        self.delay_start_event.set()
        self.salinfo = SalInfo(name)
        self.log = self.salinfo.log
        for attr_name in self.salinfo.component_info.topics:
            kind = ControllerEvent if attr_name.startswith("evt_") else ControllerTelemetry
            setattr(self, attr_name, kind(self.salinfo, attr_name))
        self._handler = SalLogHandler(self)
        self.log.addHandler(self._handler)
        self._flush_task: asyncio.Task[None] | None = None
        self.isopen = True
        self.start_task = asyncio.create_task(self._protected_start())

    async def _protected_start(self) -> None:
        try:
            await self.start()
        except asyncio.CancelledError:
            # It does not raise that: as the original.
            self.log.warning("start canceled")
        except Exception as error:
            self.log.exception("start failed")
            await self.close(error)

    async def start(self) -> None:
        await asyncio.sleep(0)
        await self.delay_start_event.wait()
        await asyncio.to_thread(self.salinfo.set_up)
        self.salinfo.running = True
        self._flush_task = asyncio.create_task(self.salinfo.flush_loop())
        if hasattr(self, "evt_logLevel"):
            await self.evt_logLevel.set_write(level=self.log.getEffectiveLevel())

    async def close(self, exception: Exception | None = None) -> None:
        if asyncio.current_task() is not self.start_task:
            self.start_task.cancel()
        if not self.isopen:
            await asyncio.wait([self.done_task])
            return
        self.isopen = False
        self.log.removeHandler(self._handler)
        self._handler.close()
        # Cancelled, it closes at once, and does not raise that: as the original.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(SHUTDOWN_DELAY)
        self.salinfo.running = False
        if self._flush_task is not None:
            await asyncio.wait([self._flush_task], timeout=FLUSH_END_TIMEOUT)
            self._flush_task.cancel()
        if self.salinfo.producer is not None:
            self.salinfo.producer.flush()
            self.salinfo.producer = None
        if exception is None:
            self.done_task.set_result(None)
        else:
            self.done_task.set_exception(exception)


topics = types.SimpleNamespace(ControllerEvent=ControllerEvent, ControllerTelemetry=ControllerTelemetry)
