import csv
import dataclasses
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lsst.ts.mtmount.sal import FieldInfo, Interface, InterfaceError, load_interface, load_packaged_interface
from lsst.ts.mtmount.sal.interface_xml import find_private_fields
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP

from .interface_files import (
    GENERIC_CATEGORIES,
    PRIVATE_NAMES,
    change_field,
    packaged_count,
    packaged_fields,
    write_interface,
    write_package,
)

LOG = logging.getLogger("test.interface")
EVENTS = {"evt_telemetryConnected", "evt_clockOffset", "evt_logMessage", "evt_logLevel"}


def load(folder: Path) -> Interface:
    return load_interface(LOG, {"LSST_SAL_INTERFACES_DIR": str(folder)})


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what is said of differences, less what is said of the private fields."""
    return [
        record.getMessage().partition("expected: ")[2]
        for record in caplog.records
        if not record.getMessage().startswith("The private fields")
    ]


def test_packaged_topics(caplog: pytest.LogCaptureFixture) -> None:
    interface = load_interface(LOG, {})
    assert interface == load_packaged_interface()
    assert interface.source == "packaged tables"
    assert not interface.is_exact
    telemetry = {f"tel_{sal_name}" for sal_name, _ in RAW_TELEMETRY_MAP.values()}
    assert len(telemetry) == 26
    assert set(interface.topics) == telemetry | {"tel_telemetryClientHeartbeat"} | EVENTS
    assert not caplog.records
    for name, topic in interface.topics.items():
        assert topic.attr_name == name
        assert topic.description
        assert all(field.description and field.units for field in topic.fields)


def test_packaged_fields_hold_the_wire_fields() -> None:
    topics = load_packaged_interface().topics
    for sal_name, wire_fields in RAW_TELEMETRY_MAP.values():
        counts = {field.name: field.count for field in topics[f"tel_{sal_name}"].fields}
        assert wire_fields.items() <= counts.items()


def test_interface_files_win(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    interface = load(write_interface(tmp_path / "xml"))
    packaged = load_packaged_interface()
    assert interface.source == str(tmp_path / "xml")
    assert list(interface.topics) == list(packaged.topics)
    for name, topic in interface.topics.items():
        assert topic.fields == packaged.topics[name].fields
        assert topic.description == f"About {topic.sal_name}."
    assert warnings(caplog) == []


def test_descriptions_of_private_fields_may_be_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    interface = load(write_interface(tmp_path / "xml"))
    assert not interface.is_exact
    assert len(caplog.records) == 1
    assert "not exactly salobj's" in caplog.text


def test_private_fields_come_from_the_package_of_the_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    interface = load(write_package(tmp_path))
    assert interface.is_exact
    assert not caplog.records
    private = interface.topics["tel_azimuth"].private_fields
    assert [field.description for field in private] == [f"Private: {name}." for name in PRIVATE_NAMES]
    packaged = load_packaged_interface().topics["tel_azimuth"].private_fields
    assert [dataclasses.replace(field, description="") for field in private] == [
        dataclasses.replace(field, description="") for field in packaged
    ]


@pytest.mark.parametrize("change", ["FIELDS = [", 'name="private_origin"', "\n"])
def test_private_fields_are_described_all_or_none(tmp_path: Path, change: str) -> None:
    folder = write_package(tmp_path)
    source = folder.parents[1] / "topic_info.py"
    source.write_text(source.read_text().replace(change, "\0" if change == "\n" else "other"))
    assert not load(folder).is_exact


def test_folder_may_be_close_to_the_root() -> None:
    assert find_private_fields(Path("/")) is None


LOAD_AND_SHOW = """
import json, logging, sys
from lsst.ts.mtmount.sal import load_interface
interface = load_interface(logging.getLogger())
print(json.dumps([interface.source, interface.is_exact, "lsst.ts.xml" in sys.modules]))
"""


@pytest.mark.parametrize("named", ["", "missing", "xml"])
def test_installed_package_is_used_without_import(tmp_path: Path, named: str) -> None:
    installed = write_package(tmp_path / "site")
    write_interface(tmp_path / "xml")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    environment.pop("LSST_SAL_INTERFACES_DIR", None)
    if named:
        environment["LSST_SAL_INTERFACES_DIR"] = str(tmp_path / named)
    result = subprocess.run(
        [sys.executable, "-c", LOAD_AND_SHOW],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    # A folder that is named wins; the installed package knows the private fields in any case.
    expected = tmp_path / "xml" if named == "xml" else installed
    assert json.loads(result.stdout) == [str(expected), True, False]
    assert ("is not used" in result.stderr) == (named == "missing")


@pytest.mark.parametrize("missing", ["SALGenerics.xml", "SALSubsystems.xml", "MTMount"])
def test_incomplete_folder_is_not_used(
    tmp_path: Path, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_interface(tmp_path / "xml")
    if missing == "MTMount":
        for path in (folder / missing).iterdir():
            path.unlink()
    else:
        (folder / missing).unlink()
    assert load(folder) == load_packaged_interface()
    assert len(caplog.records) == 1
    assert f"{folder} is not used: there is no {missing}" in caplog.text


@pytest.mark.parametrize(
    ("added_generics", "category", "expected"),
    [
        ("logevent_clockOffset", "", True),
        ("csc,configurable,logevent_clockOffset", "", True),
        ("csc, logevent_clockOffset , configurable", "other", True),
        ("csc, clocks", "clocks", True),
        ("csc", "mandatory", True),
        ("", "mandatory", True),
        (None, "mandatory", True),
        ("csc", "", False),
        ("clockOffset", "", False),
        (None, "clocks", False),
    ],
)
def test_generic_topics_are_chosen_by_name_and_category(
    tmp_path: Path, added_generics: str | None, category: str, expected: bool
) -> None:
    folder = write_interface(
        tmp_path / "xml",
        added_generics=added_generics,
        categories={**GENERIC_CATEGORIES, "logevent_clockOffset": category},
    )
    topics = load(folder).topics
    assert ("evt_clockOffset" in topics) == expected
    assert {"evt_logLevel", "evt_logMessage"} <= topics.keys()


def test_missing_topic(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    topics = packaged_fields()
    del topics["capacitorBank"]
    interface = load(write_interface(tmp_path / "xml", topics))
    assert "tel_capacitorBank" not in interface.topics
    assert warnings(caplog) == ["there is no tel_capacitorBank; it is not published"]


def test_missing_field(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    topics = packaged_fields()
    del topics["azimuth"][0:2]
    interface = load(write_interface(tmp_path / "xml", topics))
    assert interface.topics["tel_azimuth"].fields == tuple(topics["azimuth"])
    assert warnings(caplog) == [
        "tel_azimuth lacks actualAcceleration, actualAccelerationTimestamp; not written"
    ]


def test_extra_field(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    topics = packaged_fields()
    topics["azimuth"].insert(3, FieldInfo("wobble", "long long", 2, "deg", "New."))
    interface = load(write_interface(tmp_path / "xml", topics))
    assert interface.topics["tel_azimuth"].record_fields()[3] == ("wobble", "long", 2, True)
    assert warnings(caplog) == ["tel_azimuth also has wobble; left at zero"]


def test_changed_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    topics = packaged_fields()
    topics["azimuth"].reverse()
    interface = load(write_interface(tmp_path / "xml", topics))
    assert interface.topics["tel_azimuth"].fields == tuple(topics["azimuth"])
    assert warnings(caplog) == ["tel_azimuth has its fields in another order; the interface's is used"]


def test_changed_count_and_type(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    topics = packaged_fields()
    current, *others = topics["azimuthDrives"]
    topics["azimuthDrives"] = [dataclasses.replace(current, count=18, sal_type="float"), *others]
    interface = load(write_interface(tmp_path / "xml", topics))
    topic = interface.topics["tel_azimuthDrives"]
    # The schema is the interface's, the elements are the TMA's.
    assert topic.fields[0].count == 18
    assert topic.record_fields()[0] == ("current", "float", 16, True)
    assert warnings(caplog) == [
        "tel_azimuthDrives has other counts: current 18 instead of 16; the TMA's elements are written",
        "tel_azimuthDrives has other types: current float instead of double; the interface's are used",
    ]


def test_scalars_and_arrays_changed_places(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    topics = packaged_fields()
    change_field(topics, "azimuthDrives", "current", count=1)
    change_field(topics, "azimuth", "timestamp", count=3)
    change_field(topics, "azimuth", "actualTorque", sal_type="string")
    # These two are not on the wire.
    change_field(topics, "capacitorBank", "fuseCapacitorBank", count=5)
    change_field(topics, "logevent_clockOffset", "offset", sal_type="float")
    interface = load(write_interface(tmp_path / "xml", topics))
    records = {
        name: {field: place for field, *place in topic.record_fields()}
        for name, topic in interface.topics.items()
    }
    assert records["tel_azimuthDrives"]["current"] == ["double", 1, False]
    assert records["tel_azimuth"]["timestamp"] == ["double", 1, True]
    assert records["tel_capacitorBank"]["fuseCapacitorBank"][1:] == [5, True]
    assert sorted(warnings(caplog)) == [
        "evt_clockOffset has other types: offset float instead of double; the interface's are used",
        "tel_azimuth has other counts: timestamp 3 instead of 1; the TMA's elements are written",
        "tel_azimuth has strings where the TMA sends numbers: "
        "actualTorque string instead of double; not written",
        "tel_azimuthDrives has scalars where the TMA sends arrays: current 1 instead of 16; not written",
        "tel_capacitorBank has other counts: fuseCapacitorBank 5 instead of "
        f"{packaged_count('capacitorBank', 'fuseCapacitorBank')}; the interface's are used",
    ]


def test_other_topics_and_their_faults_do_not_matter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_interface(tmp_path / "xml")
    path = folder / "MTMount" / "MTMount_Telemetry.xml"
    other = (
        "<SALTelemetry><EFDB_Topic>MTMount_other</EFDB_Topic>"
        "<item><EFDB_Name>x</EFDB_Name><IDL_Type>octet</IDL_Type></item></SALTelemetry></SALTelemetrySet>"
    )
    path.write_text(path.read_text().replace("</SALTelemetrySet>", other))
    assert len(load(folder).topics) == 31
    assert warnings(caplog) == []


def replace_telemetry(folder: Path, items: str, description: str = "") -> None:
    """Let tel_azimuth be the only telemetry topic, with these items."""
    (folder / "MTMount" / "MTMount_Telemetry.xml").write_text(
        f"<SALTelemetrySet><SALTelemetry><EFDB_Topic>MTMount_azimuth</EFDB_Topic>{description}{items}"
        "</SALTelemetry></SALTelemetrySet>",
        encoding="utf-8",
    )


def test_texts_are_taken_as_they_are(tmp_path: Path) -> None:
    folder = write_interface(tmp_path / "xml")
    replace_telemetry(
        folder,
        "<item><EFDB_Name>a</EFDB_Name><IDL_Type>double</IDL_Type></item>"
        "<item><EFDB_Name>b</EFDB_Name><IDL_Type>string</IDL_Type><Count>256</Count>"
        "<Description/><Units></Units></item>"
        "<item><EFDB_Name>c</EFDB_Name><IDL_Type>unsigned int</IDL_Type><Count> 4 </Count>"
        "<Description>\n  Two\n  lines &amp; \u00b5m. </Description><Units> m </Units></item>",
    )
    topic = load(folder).topics["tel_azimuth"]
    assert topic.description == ""
    assert topic.fields == (
        FieldInfo("a", "double", 1, "unitless", ""),
        FieldInfo("b", "string", 1, "unitless", ""),
        FieldInfo("c", "unsigned int", 4, " m ", "\n  Two\n  lines & \u00b5m. "),
    )


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("<item><IDL_Type>double</IDL_Type></item>", "expected EFDB_Name and IDL_Type in an item"),
        ("<item><EFDB_Name>a</EFDB_Name></item>", "expected EFDB_Name and IDL_Type in an item"),
        ("<item><EFDB_Name>a</EFDB_Name><IDL_Type>quad</IDL_Type></item>", "expected a SAL type, got 'quad'"),
        (
            "<item><EFDB_Name>a</EFDB_Name><IDL_Type>double</IDL_Type><Count>many</Count></item>",
            "'many'",
        ),
        (
            "<item><EFDB_Name>a</EFDB_Name><IDL_Type>double</IDL_Type><Count>0</Count></item>",
            "expected one element at least, got 0",
        ),
        (2 * "<item><EFDB_Name>a</EFDB_Name><IDL_Type>double</IDL_Type></item>", "got 'a' twice"),
        ("<item>", "expected well-formed XML"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, items: str, expected: str) -> None:
    folder = write_interface(tmp_path / "xml")
    replace_telemetry(folder, items)
    with pytest.raises(InterfaceError, match=expected) as raised:
        load(folder)
    assert "MTMount_Telemetry.xml" in str(raised.value)


@pytest.mark.parametrize("encoding", ["gbk", "no-such-encoding"])
def test_encodings_that_cannot_be_read_are_refused(tmp_path: Path, encoding: str) -> None:
    folder = write_interface(tmp_path / "xml")
    path = folder / "MTMount" / "MTMount_Telemetry.xml"
    path.write_text(path.read_text().replace("UTF-8", encoding))
    with pytest.raises(InterfaceError, match="expected well-formed XML in .*MTMount_Telemetry.xml, got: "):
        load(folder)


def test_foreign_topic_name_is_refused(tmp_path: Path) -> None:
    folder = write_interface(tmp_path / "xml")
    replace_telemetry(folder, "")
    path = folder / "MTMount" / "MTMount_Telemetry.xml"
    path.write_text(path.read_text().replace("MTMount_azimuth", "ATMount_azimuth"))
    with pytest.raises(InterfaceError, match="starts with 'MTMount_', got 'ATMount_azimuth'"):
        load(folder)


def test_component_must_be_known(tmp_path: Path) -> None:
    folder = write_interface(tmp_path / "xml")
    path = folder / "SALSubsystems.xml"
    path.write_text(path.read_text().replace(">MTMount<", ">Mount<"))
    with pytest.raises(InterfaceError, match="expected component MTMount"):
        load(folder)


def test_packaged_table_is_regular() -> None:
    path = Path(sys.modules["lsst.ts.mtmount.sal"].__file__ or "").parent / "sal_topics.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["topic", "field", "type", "count", "units", "description"]
    assert all(len(row) == 6 for row in rows)
    # Text that looks the same is the same: no odd spaces.
    assert all(cell == cell.strip() for row in rows for cell in row)
