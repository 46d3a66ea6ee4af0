import math
from typing import Any

import pytest

from lsst.ts.mtmount.sal import load_packaged_interface
from lsst.ts.mtmount.tma_interface import load_packaged_tma_interface
from lsst.ts.mtmount.tools.monitor.monitor_state import MonitorState, TopicStatus, list_periods
from lsst.ts.mtmount.tools.monitor.selection import FieldName, Selection
from lsst.ts.mtmount.tools.reader.live_consumer import BadMessage, MessageWithoutSchema

from .records import ARRIVAL, PREFIX, make_record

START = 1000.0


def make_state(*topics: str, fields: tuple[str, ...] = ()) -> MonitorState:
    selection = Selection(topics, tuple(map(FieldName.parse, fields)))
    return MonitorState(selection, PREFIX, START)


def test_every_telemetry_topic_has_a_period() -> None:
    names = {name for name in load_packaged_interface().topics if name.startswith("tel_")}
    periods = list_periods(load_packaged_tma_interface())
    assert {f"tel_{name}" for name in periods} == names
    assert periods["azimuth"] == 0.05
    assert periods["oilSupplySystem"] == 5


def test_rate_age_and_latency() -> None:
    whole = make_state("azimuth", "encoder")
    for tick in range(200):
        whole.take([make_record("azimuth", seq_num=tick + 1)], START + tick / 20)
    now = START + 10
    azimuth, encoder = whole.topics.values()
    assert azimuth.num_records == 200
    assert azimuth.arrivals.compute_rate(now, 10) == pytest.approx(20)
    assert azimuth.get_age(now) == pytest.approx(0.05)
    # Stamps are TAI, 37 s before UTC.
    assert azimuth.latencies.compute_mean(now, 10) == pytest.approx(0.25)
    assert azimuth.tma_latencies.find_maximum(now, 10) == pytest.approx(0.5)
    assert encoder.num_records == 0
    assert math.isnan(encoder.get_age(now))


@pytest.mark.parametrize("name", ["telemetryClientHeartbeat", "logevent_logMessage"])
def test_topics_that_the_tma_does_not_send(name: str) -> None:
    whole = make_state(name)
    record = make_record(name, timestamp=0.0)
    whole.take([record], START)
    topic = whole.topics[name]
    assert math.isnan(topic.tma_latencies.compute_mean(START, 10))
    assert math.isnan(topic.measure_tma_latency(record))
    assert topic.latencies.compute_mean(START, 10) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("topic", "late_after"), [("azimuth", 1), ("oilSupplySystem", 15), ("telemetryClientHeartbeat", 3)]
)
def test_late_after_some_periods(topic: str, late_after: float) -> None:
    whole = make_state(topic)
    state = whole.topics[topic]
    assert state.get_status(START + late_after) is TopicStatus.WAITING
    # Also if there never was a record.
    assert state.get_status(START + late_after + 0.1) is TopicStatus.LATE
    whole.take([make_record(topic)], START + 20)
    assert state.get_status(START + 20 + late_after) is TopicStatus.LIVE
    assert state.get_status(START + 20 + late_after + 0.1) is TopicStatus.LATE


def test_events_are_never_late() -> None:
    whole = make_state("logevent_clockOffset")
    state = whole.topics["logevent_clockOffset"]
    assert state.get_status(START + 1e6) is TopicStatus.WAITING
    whole.take([make_record("logevent_clockOffset")], START)
    assert state.get_status(START + 1e6) is TopicStatus.SEEN


def test_bad_messages_until_a_good_one() -> None:
    whole = make_state("azimuth")
    state = whole.topics["azimuth"]
    whole.take([make_record("azimuth"), BadMessage(PREFIX + "azimuth", "odd")], START)
    assert state.get_status(START) is TopicStatus.BAD
    assert (state.num_records, state.num_bad) == (1, 1)
    whole.take([make_record("azimuth")], START)
    assert state.get_status(START) is TopicStatus.LIVE
    assert (state.num_records, state.num_bad) == (2, 1)


def test_messages_without_schema() -> None:
    whole = make_state("azimuth")
    state = whole.topics["azimuth"]
    whole.take([make_record("azimuth"), MessageWithoutSchema(PREFIX + "azimuth", "down")], START)
    assert state.get_status(START) is TopicStatus.NO_SCHEMA
    assert (state.num_records, state.num_bad, state.num_without_schema) == (1, 0, 1)
    whole.take([make_record("azimuth")], START)
    assert state.get_status(START) is TopicStatus.LIVE


def test_an_earlier_event_tells_its_values_and_its_age() -> None:
    name = "logevent_telemetryConnected"
    whole = make_state(name)
    state = whole.topics[name]
    earlier = make_record(name, connected=False)._replace(is_earlier=True, kafka_timestamp=ARRIVAL - 60)
    whole.take([earlier], START)
    assert state.values == {"timestamp": earlier.record["timestamp"], "connected": False}
    assert state.get_age(START) == 60
    assert state.get_status(START) is TopicStatus.SEEN
    assert state.num_records == 0
    assert math.isnan(state.latencies.compute_mean(START, 10))
    whole.take([make_record(name, connected=True)], START + 1)
    assert state.values["connected"] is True
    assert (state.get_age(START + 1), state.num_records, state.num_lost) == (0, 1, 0)


def take_from(whole: MonitorState, topic: str, origin: int, now: float) -> None:
    whole.take([make_record(topic, origin=origin)], now)


def test_publishers() -> None:
    whole = make_state("azimuth", "encoder", "logevent_logMessage")
    assert whole.publishers.list_at_once(START) == []
    take_from(whole, "azimuth", 11, START)
    take_from(whole, "encoder", 11, START + 1)
    # The CSC publishes log messages, too.
    take_from(whole, "logevent_logMessage", 99, START + 1)
    assert whole.publishers.list_at_once(START + 1) == [11]
    # A client that takes the place of another is alone.
    take_from(whole, "azimuth", 12, START + 2)
    assert whole.publishers.list_at_once(START + 2) == [12]
    # Both at once.
    take_from(whole, "azimuth", 11, START + 3)
    assert whole.publishers.list_at_once(START + 3) == [11, 12]
    take_from(whole, "azimuth", 12, START + 12)
    assert whole.publishers.list_at_once(START + 13.1) == [12]
    assert whole.publishers.list_at_once(START + 100) == []


def test_publishers_of_a_flood_are_bounded() -> None:
    whole = make_state("azimuth")
    for origin in range(1000):
        take_from(whole, "azimuth", origin, START)
    assert len(whole.publishers.list_at_once(START)) <= 100


def test_missing_topics() -> None:
    whole = make_state("azimuth", "encoder")
    whole.mark(missing={PREFIX + "encoder"})
    expected = [TopicStatus.WAITING, TopicStatus.MISSING]
    assert [state.get_status(START) for state in whole.topics.values()] == expected
    whole.mark()
    assert whole.topics["encoder"].get_status(START) is TopicStatus.WAITING


def test_two_publishers_with_one_process_id() -> None:
    whole = make_state("azimuth", "encoder")
    for number in range(10):
        take_from(whole, "encoder", 1, START)
        for first in (1, 5000):
            record = make_record("azimuth", seq_num=first + number, private_sndStamp=first + number)
            whole.take([record], START + number)
    assert whole.publishers.list_at_once(START + 9) == [1, 1]
    assert whole.topics["azimuth"].num_lost == 0
    # One of them has ended.
    for number in range(10, 21):
        record = make_record("azimuth", seq_num=number + 1, private_sndStamp=number + 1)
        whole.take([record], START + number)
    assert whole.publishers.list_at_once(START + 20.1) == [1]


@pytest.mark.parametrize("value", [None, "text", [1.0], {}, math.nan])
def test_odd_private_fields(value: Any) -> None:
    whole = make_state("azimuth")
    odd = {"private_sndStamp": value, "timestamp": value, "private_seqNum": value, "private_origin": value}
    whole.take([make_record("azimuth", **odd), make_record("azimuth")], START)
    state = whole.topics["azimuth"]
    assert (state.num_records, state.num_lost) == (2, 0)
    assert state.latencies.compute_mean(START, 10) == pytest.approx(0.25)


def test_fields() -> None:
    whole = make_state(
        "azimuth",
        fields=("azimuth.actualPosition", "azimuth.current", "azimuth.current[1]", "azimuth.noUnits"),
    )
    position, currents, current, without = whole.fields
    whole.take([make_record("azimuth", actualPosition=1.5, current=[2.0, 4.0], noUnits=1)], START + 0.5)
    whole.take([make_record("azimuth", actualPosition=2.5, current=[2.0, 6.0], noUnits=1)], START + 0.6)
    assert [field.value for field in whole.fields] == [2.5, [2.0, 6.0], 6.0, 1]
    assert [field.units for field in whole.fields] == ["deg", "", "", ""]
    now = START + 1
    assert position.history.list_means(now, 1) == [2.0]
    assert currents.history.list_means(now, 1) == [3.5]
    assert current.history.list_means(now, 1) == [5.0]
    assert without.history.list_means(now, 1) == [1.0]


def test_fields_that_are_no_numbers_or_absent() -> None:
    whole = make_state("azimuth", fields=("azimuth.actualPosition", "azimuth.current[7]"))
    text, absent = whole.fields
    whole.take([make_record("azimuth", actualPosition="on", current=[1.0])], START)
    assert (text.value, text.is_absent) == ("on", False)
    assert (absent.value, absent.is_absent) == (None, True)
    assert text.history.list_means(START + 1, 1) == [None]
    whole.take([make_record("azimuth", actualPosition=math.nan, current=[])], START)
    assert math.isnan(text.value)
    assert text.history.list_means(START + 1, 1) == [None]


def test_other_fields_are_kept() -> None:
    names = [FieldName("azimuth", "x"), FieldName("azimuth", "y"), FieldName("elevation", "x")]
    state = MonitorState(Selection(("azimuth",), (names[0],)), PREFIX, START)
    (first,) = state.fields
    state.keep_fields(names, START)
    # The history goes on; a topic that is not read has none.
    assert [field.name for field in state.fields] == names[:2]
    assert state.fields[0] is first
    state.keep_fields([names[1]], START)
    assert [field.name for field in state.fields] == [names[1]]
