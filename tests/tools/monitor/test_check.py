import io
from types import SimpleNamespace

import pytest

from lsst.ts.mtmount.sal import load_packaged_interface
from lsst.ts.mtmount.tools.monitor import check
from lsst.ts.mtmount.tools.monitor.check import Check, find_problems
from lsst.ts.mtmount.tools.monitor.field_list import list_field_names, list_fields
from lsst.ts.mtmount.tools.monitor.monitor_state import MonitorState
from lsst.ts.mtmount.tools.monitor.selection import Selection
from lsst.ts.mtmount.tools.reader.live_consumer import BadMessage, MessageWithoutSchema

from .records import PREFIX, make_record

START = 1000.0
CONNECTED = "logevent_telemetryConnected"


def make_state(*topics: str) -> MonitorState:
    return MonitorState(Selection(topics, ()), PREFIX, START)


def test_problems() -> None:
    state = make_state("azimuth", "encoder", CONNECTED)
    # Events need not come; telemetry must.
    assert find_problems(state, START) == [
        "azimuth: expected live, got waiting",
        "encoder: expected live, got waiting",
    ]
    state.take(
        [make_record("azimuth"), make_record("encoder"), make_record(CONNECTED, connected=True)], START
    )
    assert find_problems(state, START) == []
    state.trouble = "down"
    assert find_problems(state, START) == ["Kafka cannot be read: down"]
    state.trouble = ""
    state.take([make_record("azimuth", origin=2), make_record("encoder", origin=1)], START + 0.5)
    state.take([make_record("azimuth", origin=2), make_record("encoder", origin=1)], START + 1)
    assert find_problems(state, START + 1) == ["expected one publisher, got 2: 1, 2"]


def test_problems_of_each_kind() -> None:
    state = make_state("azimuth", "encoder", "elevation", CONNECTED, "logevent_clockOffset")
    state.take(
        [
            BadMessage(PREFIX + "azimuth", "odd"),
            MessageWithoutSchema(PREFIX + "encoder", "down"),
            make_record("elevation"),
            make_record(CONNECTED, connected=False),
        ],
        START,
    )
    state.mark(missing={PREFIX + "logevent_clockOffset"}, unread={PREFIX + CONNECTED})
    assert find_problems(state, START + 5) == [
        "azimuth: expected live, got bad",
        "encoder: expected live, got no schema",
        "elevation: expected live, got late",
        "evt_telemetryConnected: expected its last record, or that there is none, got no answer",
        "evt_telemetryConnected: expected connected=true, got false",
        "evt_clockOffset: expected live, got no topic",
    ]


def test_check_is_over_when_all_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    now = START
    monkeypatch.setattr(check, "time", SimpleNamespace(monotonic=lambda: now))
    state = make_state("azimuth")
    output = io.StringIO()
    view = Check(state, output)
    view.show([])
    assert not view.is_over
    view.show_summary(now)
    # Another publisher would be seen within 1 s.
    for now in (START + 0.1, START + 1.2):
        assert not view.is_over
        state.take([make_record("azimuth")], now)
        view.show([])
    assert view.is_over
    view.show_summary(now)
    assert output.getvalue().splitlines() == [
        "azimuth: expected live, got waiting",
        "all 1 topics are as they should be",
    ]


def test_check_may_be_too_short_to_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "time", SimpleNamespace(monotonic=lambda: START))
    state = make_state("azimuth")
    view = Check(state, io.StringIO())
    state.take([make_record("azimuth")], START)
    view.show([])
    assert not view.is_over
    view.show_summary(START)
    # All is right at the end of the time.
    assert view.is_over


def test_list_of_fields() -> None:
    interface = load_packaged_interface()
    lines = [line.split() for line in list_fields(interface, ["azimuthDrives", CONNECTED])]
    assert ["azimuthDrives.current", "double[16]"] in [line[:2] for line in lines]
    assert lines[-1][:2] == ["evt_telemetryConnected.connected", "boolean"]
    # An event of the CSC.
    assert list(list_fields(interface, ["logevent_summaryState"])) == [
        "evt_summaryState: its fields are not known before a record comes"
    ]
    names = [str(name) for name in list_field_names(interface, ["azimuth", "azimuthDrives"])]
    assert {"azimuth.actualPosition", "azimuthDrives.current[0]", "azimuthDrives.current[15]"} <= set(names)
