import math
from typing import Any

import pytest

from lsst.ts.mtmount.sal import load_packaged_interface
from lsst.ts.mtmount.tma_interface import load_packaged_tma_interface
from lsst.ts.mtmount.tools.monitor import BadMessage, FieldName, MonitorState, Selection, Status
from lsst.ts.mtmount.tools.monitor.monitor_state import find_units, list_periods

from .records import PREFIX, get_schema, make_record

START = 1000.0


def make_picture(*topics: str, fields: tuple[str, ...] = ()) -> MonitorState:
    selection = Selection(topics, tuple(map(FieldName.parse, fields)))
    return MonitorState(selection, PREFIX, START, get_schema)


def test_every_telemetry_topic_has_a_period() -> None:
    names = {name for name in load_packaged_interface().topics if name.startswith("tel_")}
    periods = list_periods(load_packaged_tma_interface())
    assert {f"tel_{name}" for name in periods} == names
    assert periods["azimuth"] == 0.05
    assert periods["oilSupplySystem"] == 5


def test_rate_age_and_latency() -> None:
    picture = make_picture("azimuth", "encoder")
    for tick in range(200):
        picture.take([make_record("azimuth", seq_num=tick + 1)], START + tick / 20)
    now = START + 10
    azimuth, encoder = picture.topics.values()
    assert azimuth.num_records == 200
    assert azimuth.arrivals.compute_rate(now, 10) == pytest.approx(20)
    assert azimuth.get_age(now) == pytest.approx(0.05)
    # Stamps are TAI, 37 s before UTC.
    assert azimuth.latencies.compute_mean(now, 10) == pytest.approx(0.25)
    assert azimuth.tma_latencies.find_maximum(now, 10) == pytest.approx(0.5)
    assert encoder.num_records == 0
    assert math.isnan(encoder.get_age(now))


def test_topics_without_a_time_of_the_tma() -> None:
    picture = make_picture("telemetryClientHeartbeat")
    record = make_record("telemetryClientHeartbeat")
    del record.record["timestamp"]
    picture.take([record], START)
    topic = picture.topics["telemetryClientHeartbeat"]
    assert math.isnan(topic.tma_latencies.compute_mean(START, 10))
    assert topic.latencies.compute_mean(START, 10) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("topic", "patience"), [("azimuth", 1), ("oilSupplySystem", 15), ("telemetryClientHeartbeat", 3)]
)
def test_late_after_some_periods(topic: str, patience: float) -> None:
    picture = make_picture(topic)
    state = picture.topics[topic]
    assert state.get_status(START + patience) is Status.WAITING
    # Also if there never was a record.
    assert state.get_status(START + patience + 0.1) is Status.LATE
    picture.take([make_record(topic)], START + 20)
    assert state.get_status(START + 20 + patience) is Status.LIVE
    assert state.get_status(START + 20 + patience + 0.1) is Status.LATE


def test_events_are_never_late() -> None:
    picture = make_picture("logevent_clockOffset")
    state = picture.topics["logevent_clockOffset"]
    assert state.get_status(START + 1e6) is Status.WAITING
    picture.take([make_record("logevent_clockOffset")], START)
    assert state.get_status(START + 1e6) is Status.SEEN


def test_bad_messages_until_a_good_one() -> None:
    picture = make_picture("azimuth")
    state = picture.topics["azimuth"]
    picture.take([make_record("azimuth"), BadMessage(PREFIX + "azimuth", "odd")], START)
    assert state.get_status(START) is Status.BAD
    assert (state.num_records, state.num_bad) == (1, 1)
    picture.take([make_record("azimuth")], START)
    assert state.get_status(START) is Status.LIVE
    assert (state.num_records, state.num_bad) == (2, 1)


def test_missing_topics() -> None:
    picture = make_picture("azimuth", "encoder")
    picture.mark_missing({PREFIX + "encoder"})
    assert [state.get_status(START) for state in picture.topics.values()] == [Status.WAITING, Status.MISSING]
    picture.mark_missing(set())
    assert picture.topics["encoder"].get_status(START) is Status.WAITING


@pytest.mark.parametrize(
    ("numbers", "num_lost"),
    [
        ([5, 6, 7], 0),
        ([5, 8, 9], 2),
        # Twice, or out of order.
        ([5, 5, 6], 0),
        ([5, 7, 6, 7, 8], 1),
        ([2**31 - 1, 1, 2], 0),
        ([2**31 - 2, 2], 2),
    ],
)
def test_lost_records(numbers: list[int], num_lost: int) -> None:
    picture = make_picture("azimuth")
    picture.take([make_record("azimuth", seq_num=number) for number in numbers], START)
    assert picture.topics["azimuth"].num_lost == num_lost


def test_another_writer_has_numbers_of_its_own() -> None:
    picture = make_picture("azimuth")
    records = [make_record("azimuth", origin=origin, seq_num=number) for origin, number in ((1, 900), (2, 1))]
    picture.take(records, START)
    state = picture.topics["azimuth"]
    assert (state.num_lost, state.origin, state.seq_num) == (0, 2, 1)


@pytest.mark.parametrize("value", [None, "text", [1.0], {}, math.nan])
def test_odd_private_fields(value: Any) -> None:
    picture = make_picture("azimuth")
    odd = {"private_sndStamp": value, "timestamp": value, "private_seqNum": value, "private_origin": value}
    picture.take([make_record("azimuth", **odd), make_record("azimuth")], START)
    state = picture.topics["azimuth"]
    assert (state.num_records, state.num_lost) == (2, 0)
    assert state.latencies.compute_mean(START, 10) == pytest.approx(0.25)


def test_fields() -> None:
    picture = make_picture(
        "azimuth",
        fields=("azimuth.actualPosition", "azimuth.current", "azimuth.current[1]", "azimuth.noUnits"),
    )
    position, currents, current, without = picture.fields
    picture.take([make_record("azimuth", actualPosition=1.5, current=[2.0, 4.0], noUnits=1)], START + 0.5)
    picture.take([make_record("azimuth", actualPosition=2.5, current=[2.0, 6.0], noUnits=1)], START + 0.6)
    assert [field.value for field in picture.fields] == [2.5, [2.0, 6.0], 6.0, 1]
    assert [field.units for field in picture.fields] == ["deg", "", "", ""]
    now = START + 1
    assert position.history.list_means(now, 1) == [2.0]
    assert currents.history.list_means(now, 1) == [3.5]
    assert current.history.list_means(now, 1) == [5.0]
    assert without.history.list_means(now, 1) == [1.0]


def test_fields_that_are_no_numbers_or_absent() -> None:
    picture = make_picture("azimuth", fields=("azimuth.actualPosition", "azimuth.current[7]"))
    text, absent = picture.fields
    picture.take([make_record("azimuth", actualPosition="on", current=[1.0])], START)
    assert (text.value, text.is_absent) == ("on", False)
    assert (absent.value, absent.is_absent) == (None, True)
    assert text.history.list_means(START + 1, 1) == [None]
    picture.take([make_record("azimuth", actualPosition=math.nan, current=[])], START)
    assert math.isnan(text.value)
    assert text.history.list_means(START + 1, 1) == [None]


@pytest.mark.parametrize("schema", ['{"type": "string"}', '{"type": "record", "fields": []}'])
def test_schemas_without_the_field(schema: str) -> None:
    assert find_units(schema, "actualPosition") == ""
