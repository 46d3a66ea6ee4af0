"""SAL topics that can be written."""

import dataclasses
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..core import DeliveryCounter, Record
from .avro_schema import COMPONENT, TopicInfo
from .fields import FieldInfo
from .publisher import KafkaPublisher
from .schema_registry import RegisteredSchema
from .tai import TaiClock

__all__ = ["SetWriteResult", "WriteTopic"]


@dataclass(frozen=True, slots=True)
class SetWriteResult:
    """What `WriteTopic.set_write` did."""

    did_change: bool  #: Did a field change?
    was_written: bool  #: Was a message published?
    data: Any  #: The topic's data after it


class WriteTopic:
    """A SAL topic that can be written: the `tel_...` and `evt_...` of a controller.

    Methods that publish raise `RuntimeError` if the controller is not running, and
    `confluent_kafka.KafkaException` if the message cannot be sent at all. Those that
    set values raise AttributeError if there is no such field, and TypeError,
    ValueError or OverflowError if a value does not fit; then none is set.

    Attributes
    ----------
    info : `TopicInfo`
        The topic.
    kafka_topic : `str`
        Name of the Kafka topic.
    key : `bytes`
        Key of the messages.
    record : `lsst.ts.mtmount.core.Record`
        State and sequence number of the topic.
    deliveries : `lsst.ts.mtmount.core.DeliveryCounter`
        Counts the deliveries of this topic's messages.
    """

    def __init__(self, info: TopicInfo, publisher: KafkaPublisher, clock: TaiClock) -> None:
        self.info = info
        self.kafka_topic = info.kafka_topic(publisher.settings.subname)
        self.key = info.message_key()
        self._origin = os.getpid()
        self.record = Record(
            info.record_fields(),
            schema_id=None,
            rev_code=info.rev_code,
            identity=COMPONENT,
            origin=self._origin,
        )
        self.deliveries: DeliveryCounter = publisher.deliveries
        self._publisher = publisher
        self._clock = clock
        self._rev_code = info.rev_code
        self._was_set = False
        self._data: Any = None
        # State of the record that _data shows; None: it must be made again.
        self._data_num_encoded: int | None = None

    def __repr__(self) -> str:
        return f"WriteTopic({self.info.attr_name!r})"

    @property
    def name(self) -> str:
        """SAL name."""
        return self.info.sal_name

    @property
    def attr_name(self) -> str:
        """Name of the controller's attribute."""
        return self.info.attr_name

    @cached_property
    def DataType(self) -> type:  # noqa: N802
        """A dataclass with the fields of the topic, the private ones included."""
        # Made on demand: the largest topic has several hundred fields.
        return dataclasses.make_dataclass(
            self.attr_name,
            [_make_member(field) for field in self.info.private_fields + self.info.fields],
        )

    @property
    def has_data(self) -> bool:
        """Whether any value was ever set."""
        return self._was_set or self.record.num_encoded > 0

    @property
    def data(self) -> Any:
        """The last values, as a `DataType`. Changing it does not change the topic."""
        if self._data_num_encoded != self.record.num_encoded:
            self._data = self._make_data()
            self._data_num_encoded = self.record.num_encoded
        return self._data

    def prepare(self, schema: RegisteredSchema) -> None:
        """Make it ready to be published with what the schema registry knows of it."""
        self.record.set_schema(schema.schema_id, schema.rev_code)
        self._rev_code = schema.rev_code
        self._data_num_encoded = None

    def set(self, **fields: Any) -> bool:
        """Set values by field name, and publish nothing. None leaves a field as it is.

        Return whether any value changed. NaN equals NaN. The first call always
        counts as a change.
        """
        is_first = not self.has_data
        did_change = self.record.set_fields(fields)
        self._was_set = True
        self._data_num_encoded = None
        return did_change or is_first

    async def set_write(self, *, force_output: bool | None = None, **fields: Any) -> SetWriteResult:
        """Set values as `set` does, and publish them.

        Telemetry is always published; an event if a field changed, or
        ``force_output`` is true.
        """
        did_change = self.set(**fields)
        if did_change or force_output or not self.info.is_event:
            return SetWriteResult(did_change, True, await self.write())
        return SetWriteResult(did_change, False, self.data)

    async def set_write_known(
        self, *, force_output: bool | None = None, **fields: Any
    ) -> SetWriteResult | None:
        """Do `set_write` with the fields that the interface has; return None if it has none of them."""
        known = {name: value for name, value in fields.items() if name in self.record.field_names}
        return await self.set_write(force_output=force_output, **known) if known else None

    async def write(self) -> Any:
        """Publish the values as they are; return a copy of the data. While the queue is full, wait."""
        if not self._publisher.is_running:
            raise RuntimeError(f"{self.attr_name} cannot be written: the controller is not running")
        tai = self._clock.now()
        payload = self.record.encode(tai, tai - self._clock.tai_minus_utc)
        data = self._make_data()
        await self._publisher.send(self.kafka_topic, payload, self.key, self.deliveries)
        return data

    def _make_data(self) -> Any:
        record = self.record
        return self.DataType(
            private_sndStamp=record.snd_stamp,
            private_efdStamp=record.efd_stamp,
            private_kafkaStamp=record.snd_stamp,
            private_seqNum=record.seq_num,
            private_revCode=self._rev_code,
            private_identity=COMPONENT,
            private_origin=self._origin,
            **record.values(),
        )


def _make_member(field: FieldInfo) -> tuple[str, type, Any]:
    """Describe a field for `dataclasses.make_dataclass`."""
    default = field.default
    if isinstance(default, list):
        return field.name, list, dataclasses.field(default_factory=default.copy)
    return field.name, type(default), dataclasses.field(default=default)
