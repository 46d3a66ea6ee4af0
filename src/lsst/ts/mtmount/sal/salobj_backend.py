"""SAL with the installed ``lsst.ts.salobj``: see `SalobjBackend`."""

import asyncio
import dataclasses
import functools
import importlib
import json
import logging
import operator
import time
from types import ModuleType
from typing import Any

from ..constants import LOGGER_NAME
from ..tma_interface import TmaInterface
from .avro_schema import COMPONENT, TopicInfo
from .event_outage_buffer import OutageBuffer, OutageLogFilter
from .fields import PRIVATE_FIELDS, FieldInfo
from .interface import load_packaged_interface
from .interface_differences import warn_of_differences
from .interface_fitting import fit_tma_to_sal, fit_to_wire
from .kafka_settings import KafkaSettings
from .publisher import KafkaPublisher
from .salobj_flush import FlushWhenWritten
from .tai import LEAP_SECOND_TABLE, TaiClock
from .write_topic import WriteTopic

__all__ = ["SalobjBackend", "SalobjError", "SalobjTelemetryTopic", "import_salobj"]

PACKAGE = "lsst.ts.salobj"

#: Share of the time for closing that events and log messages may take.
EVENTS_SHARE = 0.3

#: How long salobj gets until its closing is cancelled [s]; it flushes its last events then.
CLOSING_TIME = 0.1

#: How long Kafka may take to answer a question before it counts as not answering [s].
ANSWER_TIMEOUT = 0.5

#: How long messages may be under way, beside the linger, before Kafka counts as not taking any [s].
MAX_STALL = 0.5


class SalobjError(RuntimeError):
    """The installed ``lsst.ts.salobj`` cannot be used."""


def import_salobj() -> ModuleType:
    """Import ``lsst.ts.salobj``.

    `SalobjError` if it is not installed, cannot be imported, or is of the
    generation that did not use Kafka.
    """
    try:
        salobj = importlib.import_module(PACKAGE)
    except Exception as error:
        # Anything may go wrong in a broken installation, or if what it needs is missing.
        raise SalobjError(f"{PACKAGE} cannot be imported: {error!r}") from error
    missing = [
        name
        for name in ("Controller", "SalInfo.get_broker_client_configuration", "SalLogHandler")
        if not _has(salobj, name)
    ]
    if missing:
        raise SalobjError(
            f"{PACKAGE} {_version(salobj)} in {salobj.__file__} has no {', no '.join(missing)}: "
            "it is none that publishes to Kafka"
        )
    return salobj


class SalobjTelemetryTopic(WriteTopic):
    """A telemetry topic in the place of salobj's, for the fused path.

    What is not defined here is that of salobj's topic, a
    `lsst.ts.salobj.topics.ControllerTelemetry`.
    """

    def __init__(self, original: Any, info: TopicInfo, publisher: KafkaPublisher, clock: TaiClock) -> None:
        self._original = original
        super().__init__(info, publisher, clock)

    def __getattr__(self, name: str) -> Any:
        # Only called for what is not an ordinary attribute.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self._original, name)

    @property
    def DataType(self) -> type:  # noqa: N802
        """The dataclass that salobj has made for the topic."""
        data_type: type = self._original.DataType
        return data_type


class SalobjBackend:
    """SAL with ``lsst.ts.salobj``; see `SalBackend`.

    The controller is a real `lsst.ts.salobj.Controller`: events, log messages
    and the life cycle are salobj's. In the place of its telemetry topics are
    this package's own, which write the same messages with the same schemas
    through a producer of their own. Only salobj's public interface is used.

    When salobj flushes its producer, it blocks the event loop, and with it all
    reading, until Kafka has taken all messages. So an event or a log message is
    given to it only while Kafka takes messages for its topic, and is held back
    here while it does not; and it flushes only when Kafka takes what it has got.

    Raises
    ------
    SettingsError
        If an environment variable is missing or cannot be used.
    SalobjError
        If salobj cannot make the controller, or describes a topic in a manner
        that is not known here.
    """

    def __init__(self, salobj: ModuleType, tma_interface: TmaInterface) -> None:
        settings = KafkaSettings.from_environment()
        try:
            self.controller = salobj.Controller(COMPONENT, write_only=True)
        except Exception as error:
            raise SalobjError(f"{PACKAGE} cannot make a controller: {error!r}") from error
        # It starts when Kafka is known to be there: salobj would wait for it forever.
        self.controller.delay_start_event.clear()
        self.log: logging.Logger = self.controller.log
        self._outage_buffer = OutageBuffer(self._does_kafka_take, self.log)
        self._flusher: FlushWhenWritten | None = None
        if hasattr(self.controller.salinfo, "flush_loop"):
            self._flusher = FlushWhenWritten(self.controller.salinfo, self._outage_buffer.may_send)
        self.clock = TaiClock()
        self._closing: asyncio.Task[None] | None = None
        try:
            self._topics = self._replace_topics(salobj, settings, tma_interface)
        except Exception:
            self._closing = asyncio.create_task(self.controller.close())
            raise
        self._log_filters = [
            (
                handler,
                OutageLogFilter(
                    handler, self.controller.evt_logMessage.topic_info.kafka_name, self._outage_buffer
                ),
            )
            for handler in self.log.handlers
            if isinstance(handler, salobj.SalLogHandler) and handler.controller is self.controller
        ]
        for handler, log_filter in self._log_filters:
            handler.addFilter(log_filter)
        self.log.info(
            f"SAL backend: {PACKAGE} {_version(salobj)} in {salobj.__file__}; publishing telemetry to "
            f"{self.publisher.settings}"
        )
        self.start_task = asyncio.create_task(self._start())

    def _replace_topics(
        self, salobj: ModuleType, settings: KafkaSettings, tma_interface: TmaInterface
    ) -> list[SalobjTelemetryTopic]:
        """Put our telemetry topics into the places of salobj's."""
        salinfo = self.controller.salinfo
        infos = {
            topic_info.sal_name: describe_topic(topic_info, settings.subname)
            for topic_info in salinfo.component_info.topics.values()
            if topic_info.attr_name.startswith(("tel_", "evt_"))
        }
        packaged = load_packaged_interface().topics
        self.tma_interface = fit_tma_to_sal(tma_interface, infos.values())
        warn_of_differences(infos, packaged.values(), self.tma_interface, PACKAGE, self.log)
        self.publisher = KafkaPublisher(adapt_settings(settings, salinfo), logging.getLogger(LOGGER_NAME))
        telemetry_class = salobj.topics.ControllerTelemetry
        telemetry_class.register(SalobjTelemetryTopic)
        topics = []
        telemetry = [topic.sal_name for topic in packaged.values() if not topic.is_event]
        # salobj writes these. It tells of no delivery, so the permission to write them is asked for.
        self._event_infos = [
            infos[topic.sal_name] for topic in packaged.values() if topic.is_event and topic.sal_name in infos
        ]
        for sal_name in dict.fromkeys([*telemetry, *self.tma_interface.by_name]):
            if (info := infos.get(sal_name)) is not None:
                topic = SalobjTelemetryTopic(
                    getattr(self.controller, info.attr_name),
                    fit_to_wire(info, self.tma_interface),
                    self.publisher,
                    self.clock,
                )
                setattr(self.controller, info.attr_name, topic)
                topics.append(topic)
        return topics

    async def _start(self) -> None:
        await LEAP_SECOND_TABLE.load_in_thread()
        self.clock.refresh()
        await self.publisher.start(
            [*(topic.info for topic in self._topics), *self._event_infos], is_exact=True
        )
        for topic in self._topics:
            topic.prepare(self.publisher.schemas[topic.attr_name])
        self.controller.delay_start_event.set()
        # Our end must not reach salobj's tasks, which may outlive a cancellation: it is told by its `close`.
        await asyncio.wait([self.controller.start_task])
        self.controller.start_task.result()
        if not self.controller.salinfo.running:
            # salobj has logged why, and ends by itself.
            await asyncio.wait([self.controller.done_task])
            self.controller.done_task.result()
            raise SalobjError(f"{PACKAGE} could not start")
        self._outage_buffer.start()

    async def write_event(self, name: str, **fields: Any) -> None:
        """Write an event, as soon as Kafka takes it; see `SalBackend`."""
        topic = getattr(self.controller, f"evt_{name}", None)
        if topic is None:
            return
        known = {field: value for field, value in fields.items() if field in topic.topic_info.fields}
        if known:
            await self._outage_buffer.send_event(
                topic.topic_info.kafka_name,
                functools.partial(topic.set_write, **known),
                # Where the TMA's clock was a while ago is of no use.
                is_latest_only=name == "clockOffset",
            )

    def note_end(self) -> None:
        """Take note that the client begins to end; see `SalBackend`."""
        self._outage_buffer.is_ending = True

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109
        """Publish what waits, and close the controller; see `SalBackend`.

        salobj's own part has no bound if it has a message that Kafka does not
        take: then it blocks the event loop until librdkafka gives that up
        (``message.timeout.ms``).
        """
        deadline = time.monotonic() + timeout
        self.start_task.cancel()
        try:
            await asyncio.wait([self.start_task])
            left = await self._outage_buffer.stop(EVENTS_SHARE * timeout)
        finally:
            # The end of the event loop may have come before.
            self._outage_buffer.abandon()
        for handler, log_filter in self._log_filters:
            handler.removeFilter(log_filter)
            # Given to salobj now, messages would block the loop.
            self.log.removeHandler(handler)
        self._report_lost(left)
        if self._flusher is not None:
            # Kafka cannot be asked without the publisher.
            await self._flusher.stop()
        await self.publisher.close(deadline - time.monotonic())
        await self._close_controller()

    async def _close_controller(self) -> None:
        """Close the controller without the pauses of its orderly end.

        There it waits 1 s, and then 0.5 s for a task that waits for it in turn. Cancelled, it flushes its
        producer, and closes at once; that task is left to the end of the event loop.
        """
        closing = asyncio.create_task(self.controller.close())
        await asyncio.wait([closing], timeout=CLOSING_TIME)
        closing.cancel()
        await asyncio.wait([closing])
        if not closing.cancelled():
            closing.result()
        elif not self.controller.done_task.done():
            # A late event loop: it was already beyond the pause that takes a cancellation for its end.
            self.controller.done_task.set_result(None)

    def _report_lost(self, left: list[str]) -> None:
        buffer = self._outage_buffer
        num_lost = len(left) + buffer.num_dropped + buffer.num_failed
        if num_lost:
            self.log.error(
                f"{num_lost} events and log messages were not published: {len(left)} had to wait for Kafka "
                f"to the end (the last: {', '.join(left[-3:]) or 'none'}), {buffer.num_dropped} were "
                f"dropped, {buffer.num_failed} failed (last error: {buffer.last_error!r})"
            )

    async def _does_kafka_take(self, kafka_topic: str) -> bool:
        if self.publisher.measure_stall() > MAX_STALL + self.publisher.health.min_stall:
            return False
        return await self.publisher.has_leader(kafka_topic, ANSWER_TIMEOUT)


def describe_topic(topic_info: Any, subname: str) -> TopicInfo:
    """Describe a topic of salobj's, a `lsst.ts.xml.topic_info.TopicInfo`, as one of ours.

    `SalobjError` if the two would not write the same.
    """
    schema = topic_info.make_avro_schema()
    try:
        fields = tuple(
            FieldInfo(
                name=field["name"],
                sal_type=topic_info.fields[field["name"]].sal_type,
                count=len(field["default"]) if isinstance(field["default"], list) else 1,
                units=field["units"],
                description=field["description"],
            )
            for field in schema["fields"]
        )
        info = TopicInfo(
            sal_name=topic_info.sal_name,
            fields=fields[len(PRIVATE_FIELDS) :],
            description=schema["description"],
            private_fields=fields[: len(PRIVATE_FIELDS)],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SalobjError(
            f"{PACKAGE} describes {topic_info.sal_name} in an unknown manner: {error!r}"
        ) from error
    compared = {
        "schema": (json.dumps(info.avro_schema()), json.dumps(schema)),
        "revision code": (info.rev_code, topic_info.get_revcode()),
        "Kafka topic": (info.kafka_topic(subname), topic_info.kafka_name),
        "subject": (info.subject(subname), topic_info.avro_subject),
        "private fields": (
            [(field.name, field.avro_type) for field in info.private_fields],
            [(field.name, field.avro_type) for field in PRIVATE_FIELDS],
        ),
    }
    if differing := [name for name, (ours, theirs) in compared.items() if ours != theirs]:
        raise SalobjError(f"{PACKAGE} has another {', '.join(differing)} of {topic_info.sal_name}")
    return info


def adapt_settings(settings: KafkaSettings, salinfo: Any) -> KafkaSettings:
    """Return the settings with all that a `lsst.ts.salobj.SalInfo` tells of Kafka."""
    return dataclasses.replace(
        settings,
        broker_addr=salinfo.kafka_broker_addr,
        registry_url=salinfo.schema_registry_url,
        replication_factor=salinfo.replication_factor,
        client_overrides=settings.client_overrides | salinfo.get_broker_client_configuration(),
    )


def _has(module: ModuleType, dotted_name: str) -> bool:
    try:
        operator.attrgetter(dotted_name)(module)
    except AttributeError:
        return False
    return True


def _version(module: ModuleType) -> str:
    return str(getattr(module, "__version__", "of unknown version"))
