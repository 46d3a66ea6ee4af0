"""What is to be seen of the telemetry: the state of each topic and field."""

import math
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any

from ...constants import TELEMETRY_TIMEOUT
from ...tma_interface import TmaInterface, load_packaged_tma_interface
from ..reader.live_consumer import Arrival, BadMessage, MessageWithoutSchema
from ..reader.record_decoder import ReceivedRecord
from .latency import SAL_STAMP, TMA_STAMP, measure_latency
from .publishers import Publishers
from .selection import FieldName, Selection, to_short_name
from .sequence_numbers import SequenceNumbers
from .timeline import Timeline

__all__ = [
    "PRIVATE_PREFIX",
    "SPAN",
    "FieldState",
    "MonitorState",
    "TopicState",
    "TopicStatus",
    "list_periods",
]

#: Rates and latencies are those of the last this many seconds: two periods of
#: the TMA's slowest topic.
SPAN = 10

#: Time between two heartbeats of the telemetry client [s].
HEARTBEAT_PERIOD = 1.0

#: What is SAL's own in a record, and not the topic's.
PRIVATE_PREFIX = "private_"

#: A topic is late after this many of its periods.
LATE_PERIODS = 3


class TopicStatus(StrEnum):
    """How a topic is; the worst first."""

    #: The newest message is not a record.
    BAD = "bad"
    #: The schema registry did not give the schema of the newest message.
    NO_SCHEMA = "no schema"
    #: No record for longer than it may take.
    LATE = "late"
    #: Kafka does not have the topic.
    MISSING = "no topic"
    #: There is no record yet, and need not be one: it is too early, or an event.
    WAITING = "waiting"
    #: There were records, and need not be more: an event.
    SEEN = "seen"
    LIVE = "live"


def list_periods(interface: TmaInterface) -> dict[str, float]:
    """Return the time between two records of the telemetry topics [s], by SAL name."""
    periods = {topic.sal_topic: topic.period_ms / 1000 for topic in interface.topics}
    return {"telemetryClientHeartbeat": HEARTBEAT_PERIOD, **periods}


class TopicState:
    """What was seen of one topic. Its period is the time between two records [s]; None: any time."""

    def __init__(self, name: str, period: float | None, now: float, *, is_sent_by_tma: bool) -> None:
        self.name = name
        self.num_records = 0  #: Records that were decoded
        self.num_bad = 0  #: Messages that are not records
        self.num_without_schema = 0  #: Messages whose schema the registry did not give
        self.sequence_numbers = SequenceNumbers()
        self.arrivals = Timeline(now)  #: When records came
        #: Latencies of the records of the last seconds, by SAL's stamp and by the TMA's.
        self.latencies = Timeline(now)
        self.tma_latencies = Timeline(now)
        self.is_missing = False  #: Does Kafka not have the topic?
        self.is_unread = False  #: Is there perhaps a last record that was not read yet? Of events alone.
        self.values: dict[str, Any] = {}  #: Fields of the last record of an event; empty for telemetry
        # Other records may have a field of the stamp's name that means something else, or is never set.
        self._is_sent_by_tma = is_sent_by_tma
        # None: an event, which is never late.
        self._late_after = None if period is None else max(LATE_PERIODS * period, TELEMETRY_TIMEOUT)
        self._start = now
        self._last_arrival: float | None = None
        # What is wrong with the newest message.
        self._last_problem: TopicStatus | None = None

    @property
    def label(self) -> str:
        """Name for people: ``azimuth``, ``evt_clockOffset``."""
        return to_short_name(self.name)

    @property
    def is_event(self) -> bool:
        """Whether this is an event, not telemetry."""
        return self._late_after is None

    @property
    def num_lost(self) -> int:
        """Sequence numbers that were left out."""
        return self.sequence_numbers.num_lost

    def take(self, arrival: Arrival, now: float) -> None:
        """Take what was read of the topic."""
        self._last_problem = None
        if isinstance(arrival, BadMessage):
            self.num_bad += 1
            self._last_problem = TopicStatus.BAD
        elif isinstance(arrival, MessageWithoutSchema):
            self.num_without_schema += 1
            self._last_problem = TopicStatus.NO_SCHEMA
        else:
            self._take_record(arrival, now)

    def _take_record(self, received: ReceivedRecord, now: float) -> None:
        record = received.record
        if self.is_event:
            self.values = {
                name: value for name, value in record.items() if not name.startswith(PRIVATE_PREFIX)
            }
        if received.is_earlier:
            # It tells the state, and nothing of rate and latency.
            self._last_arrival = now - max(0.0, received.arrival_time - received.kafka_timestamp)
            return
        self.num_records += 1
        self._last_arrival = now
        self.arrivals.add(now)
        self.latencies.add(now, measure_latency(received, SAL_STAMP))
        self.tma_latencies.add(now, self.measure_tma_latency(received))
        self.sequence_numbers.take(
            record.get("private_origin"), record.get("private_seqNum"), record.get(SAL_STAMP)
        )

    def measure_tma_latency(self, received: ReceivedRecord) -> float:
        """Measure how old a record is by the TMA's stamp [s]; NaN if the TMA does not send the topic."""
        return measure_latency(received, TMA_STAMP) if self._is_sent_by_tma else math.nan

    def get_age(self, now: float) -> float:
        """Return how long ago the last record came [s]; NaN if none did."""
        return math.nan if self._last_arrival is None else now - self._last_arrival

    def get_status(self, now: float) -> TopicStatus:
        """Tell how the topic is."""
        if self.is_missing:
            return TopicStatus.MISSING
        if self._last_problem is not None:
            return self._last_problem
        since = self._start if self._last_arrival is None else self._last_arrival
        if self._late_after is not None and now - since > self._late_after:
            return TopicStatus.LATE
        if self._last_arrival is None:
            return TopicStatus.WAITING
        return TopicStatus.SEEN if self._late_after is None else TopicStatus.LIVE


class FieldState:
    """What was seen of one field."""

    def __init__(self, name: FieldName, now: float) -> None:
        self.name = name
        self.value: Any = None  #: The last value: the wanted element, or the whole array
        self.units = ""  #: Units, as the schema has them
        self.is_absent = False  #: Did the last record not have it?
        self.history = Timeline(now)  #: Values of the last seconds, for an array their means

    def take(self, received: ReceivedRecord, now: float) -> None:
        """Take a record of the field's topic."""
        value = self.name.find_value(received.record)
        self.is_absent = value is None
        if value is None:
            return
        self.value = value
        self.units = received.units.get(self.name.field, "")
        self.history.add(now, _reduce(value))


class MonitorState:
    """What is to be seen of the telemetry.

    The interface tells how often each topic comes; it is the packaged one by default.
    """

    def __init__(
        self, selection: Selection, prefix: str, now: float, interface: TmaInterface | None = None
    ) -> None:
        interface = interface or load_packaged_tma_interface()
        periods = list_periods(interface)
        #: By SAL name.
        self.topics = {
            name: TopicState(name, periods.get(name), now, is_sent_by_tma=name in interface.by_name)
            for name in selection.topics
        }
        self.fields = [FieldState(name, now) for name in selection.fields]
        self.prefix = prefix
        self.publishers = Publishers()
        self.start = now
        self.trouble = ""  #: Why Kafka cannot be read at the moment; empty if it can

    def take(self, arrivals: Iterable[Arrival], now: float) -> None:
        """Take what was read of these topics."""
        for arrival in arrivals:
            topic = self.get_topic(arrival)
            topic.take(arrival, now)
            if not isinstance(arrival, ReceivedRecord):
                continue
            # The CSC publishes some events beside the telemetry client.
            if not topic.is_event:
                is_shared = topic.sequence_numbers.is_shared
                self.publishers.add(arrival.record.get("private_origin"), now, is_shared=is_shared)
            for field in self.fields:
                if field.name.topic == topic.name:
                    field.take(arrival, now)

    def keep_fields(self, names: Iterable[FieldName], now: float) -> None:
        """Keep these fields from now on, and no others; those of topics that are not read are left out."""
        kept = {field.name: field for field in self.fields}
        self.fields = [kept.get(name) or FieldState(name, now) for name in names if name.topic in self.topics]

    def get_topic(self, arrival: Arrival) -> TopicState:
        """Return the topic of something that was read."""
        return self.topics[arrival.topic.removeprefix(self.prefix)]

    def mark(self, *, missing: Collection[str] = (), unread: Collection[str] = ()) -> None:
        """Take note of all Kafka topics that do not exist, and of events that were not read yet."""
        for topic in self.topics.values():
            topic.is_missing = self.prefix + topic.name in missing
            topic.is_unread = self.prefix + topic.name in unread


def _reduce(value: Any) -> float:
    """Reduce a value to one number for a curve; NaN if it is none."""
    if isinstance(value, list):
        numbers = [_reduce(element) for element in value]
        return sum(numbers) / len(numbers) if numbers else math.nan
    return float(value) if isinstance(value, int | float) else math.nan
