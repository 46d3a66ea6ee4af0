"""The packaged interface, and the telemetry map that is made from it."""

from pathlib import Path

from lsst.ts.mtmount import RAW_TELEMETRY_MAP, TelemetryTopicId
from lsst.ts.mtmount.core import member_names
from lsst.ts.mtmount.sal import load_packaged_interface
from lsst.ts.mtmount.tma_interface import (
    fit_to_sal,
    format_table,
    load_packaged_tma_interface,
    load_tma_interface,
)
from lsst.ts.mtmount.tma_interface.interface_choice import PACKAGED_TABLE

from .configuration import format_interface


def test_size_and_members() -> None:
    interface = load_packaged_tma_interface()
    assert interface.describe_size() == "26 topics, 746 fields, 1114 members"
    for topic in interface.topics:
        for name, members in topic.fields.items():
            assert tuple(member.name for member in members) == member_names(name, len(members))


def test_maps_are_made_from_it() -> None:
    interface = load_packaged_tma_interface()
    assert {topic_id: name for topic_id, (name, _) in RAW_TELEMETRY_MAP.items()} == {
        topic.topic_id: topic.sal_topic for topic in interface.topics
    }
    assert RAW_TELEMETRY_MAP[5][1] == {"current": 16, "currentTimestamp": 16, "timestamp": 1}


def test_topic_ids_are_written_out() -> None:
    assert {member.name: member.value for member in TelemetryTopicId} == {
        topic.sal_topic: topic.topic_id for topic in load_packaged_tma_interface().topics
    }


def test_sal_agrees() -> None:
    """The packaged SAL interface has all fields, in the same types and groups."""
    known = {
        topic.sal_name: {field.name: (field.sal_type, field.count) for field in topic.fields}
        for topic in load_packaged_interface().topics.values()
    }
    interface = load_packaged_tma_interface()
    assert all(set(topic.fields) <= set(known[topic.sal_topic]) for topic in interface.topics)
    assert fit_to_sal(interface, known) == interface


def test_table_is_as_exported() -> None:
    assert format_table(load_packaged_tma_interface()) == PACKAGED_TABLE.read_text(encoding="ascii")


def test_as_the_tma_s_own_file(tmp_path: Path) -> None:
    """All topics, written in the TMA's form, become the same again."""
    file = tmp_path / "TelemetryTopicsConfiguration.ini"
    file.write_bytes(format_interface(load_packaged_tma_interface()))
    assert load_tma_interface(file) == load_packaged_tma_interface()
