import dataclasses

import pytest

from lsst.ts.mtmount.sal import load_packaged_interface
from lsst.ts.mtmount.tma_interface import TmaInterface, TmaMember, TmaTopic
from lsst.ts.mtmount.tools.monitor.selection import (
    FieldName,
    Selection,
    SelectionError,
    to_sal_name,
    to_short_name,
)

INTERFACE = load_packaged_interface()
SAL_NAMES = tuple(topic.sal_name for topic in INTERFACE.topics.values())


def select(topics: list[str], *fields: str) -> Selection:
    return Selection.make(INTERFACE, topics, map(FieldName.parse, fields))


def test_topics_by_all_their_names() -> None:
    selection = select(["azimuth", "tel_elevation", "evt_clockOffset", "logevent_logMessage", "azimuth"])
    assert selection.topics == ("azimuth", "elevation", "logevent_clockOffset", "logevent_logMessage")
    assert selection.fields == ()


def test_all_topics() -> None:
    assert len(SAL_NAMES) == 31
    assert select(["all"]).topics == SAL_NAMES
    assert select(["azimuth", "all"]).topics == (
        "azimuth",
        *(name for name in SAL_NAMES if name != "azimuth"),
    )


def test_events_of_the_csc_may_be_unknown() -> None:
    selection = select(["evt_summaryState"], "logevent_heartbeat.anything[7]")
    assert selection.topics == ("logevent_summaryState", "logevent_heartbeat")


def test_fields_bring_their_topics() -> None:
    selection = select(["encoder"], "azimuth.actualPosition", "azimuthDrives.current[3]", "azimuth.timestamp")
    assert selection.topics == ("encoder", "azimuth", "azimuthDrives")
    assert [str(field) for field in selection.fields] == [
        "azimuth.actualPosition",
        "azimuthDrives.current[3]",
        "azimuth.timestamp",
    ]
    # Events have one spelling.
    assert str(FieldName.parse("logevent_clockOffset.offset")) == "evt_clockOffset.offset"


def test_fields_of_sals_own_and_of_events() -> None:
    selection = select([], "tel_azimuth.private_seqNum", "evt_clockOffset.offset")
    assert selection.topics == ("azimuth", "logevent_clockOffset")


@pytest.mark.parametrize(
    ("topics", "fields", "message"),
    [
        (["azimut"], [], "expected a topic, got 'azimut'; did you mean azimuth"),
        (["xyzzy"], [], "expected a topic, got 'xyzzy'$"),
        (["evt_a.b"], [], "expected a topic, got 'evt_a.b'"),
        ([], ["azimut.actualPosition"], "expected a topic, got 'azimut'"),
        (
            [],
            ["azimuth.actualPos"],
            "expected a field of azimuth, got 'actualPos'; did you mean actualPosition",
        ),
        ([], ["azimuth.actualPosition[0]"], "no index for azimuth.actualPosition, which"),
        ([], ["azimuthDrives.current[16]"], "an index from 0 to 15 for azimuthDrives.current, got 16"),
    ],
)
def test_what_does_not_exist(topics: list[str], fields: list[str], message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        select(topics, *fields)


@pytest.mark.parametrize(
    "text",
    [
        "azimuth",
        "azimuth.",
        ".actualPosition",
        "a.b[x]",
        "a.b[-1]",
        "a.b.c",
        "a.b[1234567890]",
        "a.b[\u0661]",
        "",
    ],
)
def test_no_field_names(text: str) -> None:
    with pytest.raises(SelectionError, match="expected a field such as"):
        FieldName.parse(text)


def test_find_value() -> None:
    record = {"position": 2.5, "current": [1.0, 2.0]}
    assert FieldName("t", "position").find_value(record) == 2.5
    assert FieldName("t", "current").find_value(record) == [1.0, 2.0]
    assert FieldName("t", "current", 1).find_value(record) == 2.0
    # An older interface may have fewer elements, no array, or no such field.
    for field in (FieldName("t", "current", 2), FieldName("t", "position", 0), FieldName("t", "other")):
        assert field.find_value(record) is None


@pytest.mark.parametrize("name", SAL_NAMES)
def test_short_names_lead_back(name: str) -> None:
    assert to_sal_name(to_short_name(name)) == name
    assert len(to_short_name(name)) <= 25


def test_a_topic_that_only_the_tma_has() -> None:
    topic = TmaTopic(28, "onlyTheTmaHas", 50, (TmaMember("timestamp", "timestamp"),))
    interface = dataclasses.replace(INTERFACE, tma_interface=TmaInterface((topic,)))
    with pytest.raises(SelectionError, match="onlyTheTmaHas: SAL has no such topic; the TMA sends it"):
        Selection.make(interface, ["onlyTheTmaHas"], ())
