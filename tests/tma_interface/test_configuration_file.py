"""The TMA's own file: what comes of it, and what is refused."""

import os
import re
from pathlib import Path

import pytest

from lsst.ts.mtmount.tma_interface import (
    TmaInterface,
    TmaInterfaceError,
    format_table,
    load_packaged_tma_interface,
    load_tma_interface,
)

from .configuration import SMALL_FILE, SMALL_TABLE, Variable, format_configuration

SMALL = SMALL_FILE.read_text(encoding="cp1252")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "TelemetryTopicsConfiguration.ini"


def load(path: Path, text: str) -> TmaInterface:
    path.write_bytes(text.encode("cp1252"))
    return load_tma_interface(path)


def test_small_file() -> None:
    interface = load_tma_interface(SMALL_FILE)
    assert format_table(interface) == SMALL_TABLE.read_text(encoding="ascii")
    assert interface == load_tma_interface(SMALL_TABLE)
    assert interface.source == str(SMALL_FILE)
    assert interface.remarks == ("[Azimuth] publishes strings, which are not telemetry: interlocks",)
    assert interface.by_name["azimuth"].by_name["actualVelocity"].unit == "deg/s"


def test_line_ends_and_byte_order_mark(path: Path) -> None:
    expected = load_tma_interface(SMALL_FILE)
    assert load(path, SMALL.replace("\n", "\r\n")) == expected
    path.write_bytes(b"\xef\xbb\xbf" + SMALL_FILE.read_bytes())
    assert load_tma_interface(path) == expected


def test_escapes_of_labview(path: Path) -> None:
    """A backslash and the hexadecimal code of a byte, in keys and sections; values are literal."""
    text = SMALL.replace("[Encoder Heads]", r"[Encoder\20Heads]").replace("<size(s)>", r"\3Csize(s)\3e")
    assert load(path, text) == load_tma_interface(SMALL_FILE)


@pytest.mark.parametrize("topic_id", [18, 0])
def test_topic_id_0_takes_the_packaged_one(path: Path, topic_id: int) -> None:
    path.write_bytes(
        format_configuration(
            {"Capacitor Bank": (topic_id, 10 if topic_id else 0, [Variable("x", "Boolean")])}
        )
    )
    interface = load_tma_interface(path)
    (topic,) = interface.topics
    assert (topic.topic_id, topic.sal_topic, topic.period_ms) == (18, "capacitorBank", 500)
    assert len(interface.remarks) == (topic_id == 0)
    assert all("topic ID 0: the packaged topic ID 18" in remark for remark in interface.remarks)


def test_unknown_topic_with_topic_id_0_is_skipped(path: Path) -> None:
    path.write_bytes(
        format_configuration(
            {
                "Azimuth": (6, 1, [Variable("x")]),
                "New": (0, 0, [Variable("x")]),
                "Off": (0, 0, [Variable("x", "DBL", False)]),
            }
        )
    )
    interface = load_tma_interface(path)
    assert [topic.sal_topic for topic in interface.topics] == ["azimuth"]
    assert interface.remarks == (
        "[New] has topic ID 0 and no packaged topic ID, and is skipped; it publishes x",
    )


def test_missing_unit_or_comment_is_told(path: Path) -> None:
    variables = [Variable("a", unit=""), Variable("b", comment=""), Variable("c", "DBL", False, "")]
    path.write_bytes(format_configuration({"Azimuth": (6, 1, variables)}))
    assert load_tma_interface(path).remarks == ("[Azimuth] has no unit or no comment of a, b",)


def test_remarks_are_short(path: Path) -> None:
    path.write_bytes(format_configuration({"A": (6, 1, [Variable(f"x{n}", unit="") for n in range(1000)])}))
    (remark,) = load_tma_interface(path).remarks
    assert remark == "[A] has no unit or no comment of x0, x1, x2, x3, x4 and 995 more"


def test_keys_of_tomorrow_are_told(path: Path) -> None:
    text = SMALL.replace('TopicID = "6"', 'TopicID = "6"\nColour = "red"')
    assert load(path, text).remarks[0] == "[Azimuth] has keys that are not known, and are ignored: Colour"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'DBL Array Telemetry Data 1.TCP_PublishName = "actualVelocity"',
            'DBL Array Telemetry Data 1.TCP_PublishName = "actualPosition"',
            "section [Azimuth], key DBL Array Telemetry Data 1.TCP_PublishName (line {line}): "
            "expected a name that the section publishes once, got 'actualPosition'",
        ),
        (
            'PublishName = "actualVelocity"',
            'PublishName = "actualPositionTimestamp"',
            "expected a name that the section publishes once, got 'actualPositionTimestamp'",
        ),
        (
            'PublishName = "actualVelocity"',
            'PublishName = "topicID"',
            "this one is reserved for the topic ID, got 'topicID'",
        ),
        ('PublishName = "actualVelocity"', 'PublishName = "a b"', "(line {line}): expected a member name of"),
        ('PublishName = "actualVelocity"', 'PublishName = ""', "(line {line}): expected a member name of"),
        (
            'TopicID = "6"',
            "TopicID = 6",
            "section [Azimuth], key TopicID (line {line}): expected a value in double quotes, got '6'",
        ),
        (
            'Unit = "deg/s"',
            'Unit = "deg/s',
            "Unit (line {line}): expected a value in double quotes, got '\"deg/s'",
        ),
        ('Unit = "deg/s"', "Unit =", "Unit (line {line}): expected a value in double quotes, got ''"),
        ('Unit = "deg/s"', 'Unit = "deg" "s"', "(line {line}): expected a value in double quotes"),
        (
            'DBL Array Telemetry Data.<size(s)> = "3"',
            'DBL Array Telemetry Data.<size(s)> = "4"',
            "section [Azimuth], key DBL Array Telemetry Data.<size(s)> (line {line}): "
            "expected as many variables as 4, numbered from 0, got 3 (the last is 2)",
        ),
        ('Array Telemetry Data.<size(s)> = "3"', 'Array Telemetry Data.<size(s)> = "2"', "as 2, numbered"),
        ('DBL Array Telemetry Data.<size(s)> = "3"\n', "", "<size(s)>: expected this key, got none"),
        ("DBL Array Telemetry Data 2.", "DBL Array Telemetry Data 3.", "got 3 (the last is 3)"),
        (
            'DBL Array Telemetry Data 1.Unit = "deg/s"\n',
            "",
            "key DBL Array Telemetry Data 1.Unit: expected this key, got none",
        ),
        (
            '[AzimuthDrives]\nTopicID = "5"',
            '[AzimuthDrives]\nTopicID = "6"',
            "section [AzimuthDrives], key TopicID (line {next}): "
            "expected a topic ID of its own, got 6, that of [Azimuth]",
        ),
        ("[AzimuthDrives]", "[azimuth]", "section [azimuth] (line {line}): expected a SAL topic of its own"),
        ("[AzimuthDrives]", "[Azimuth]", "section [Azimuth] (line {line}): expected each section once"),
        ("[AzimuthDrives]", "[Azimuth Drives!]", "(line {line}): expected a SAL topic name of"),
        ("[AzimuthDrives]", "[AzimuthDrives", "line {line}: expected a section's header"),
        ("[Azimuth]\n", "", "line 1: expected a section's header, got"),
        (
            'TopicID = "6"',
            'TopicID = "6"\nTopicID = "6"',
            "key TopicID (line {next}): expected each key of a section",
        ),
        (
            'TopicID = "6"',
            'TopicID = "6"\n\\54opicID = "6"',
            "key TopicID (line {next}): expected each key of a",
        ),
        (
            'TopicID = "6"',
            'TopicID = "6.0"',
            "(line {line}): expected a whole number up to 9999999, got '6.0'",
        ),
        (
            'TopicID = "6"',
            f'TopicID = "{"9" * 4000}"',
            "(line {line}): expected a whole number up to 9999999",
        ),
        ('TopicID = "6"', "TopicID", "line {line}: expected key = \"value\", got 'TopicID'"),
        ('TopicID = "6"\n', "", "section [Azimuth], key TopicID: expected this key, got none"),
        (
            'TopicFrequencyMultiple50ms = "1"',
            'TopicFrequencyMultiple50ms = "0"',
            "key TopicFrequencyMultiple50ms (line {line}): expected a multiple from 1 to 72000, got 0",
        ),
        ('Unit = "deg/s"', 'Unit = "deg/s"\n  = "x"', "(line {line}): expected a value in one line"),
        ('Unit = "deg/s"', 'Unit = "deg\r/s"', "(line {line}): expected a value in one line"),
        (
            'TCP_Publish = "FALSE"',
            'TCP_Publish = "no"',
            "TCP_Publish (line {line}): expected TRUE or FALSE, got 'no'",
        ),
        ("DBL Telemetry", "SGL Telemetry", None),
        (
            "INT32 Telemetry",
            "SGL Telemetry",
            "expected one of the data types Boolean, DBL, DBL Array, INT32,",
        ),
    ],
)
def test_faults(path: Path, old: str, new: str, expected: str | None) -> None:
    assert old in SMALL
    text = SMALL.replace(old, new)
    if expected is None:
        # Only what is published must be understood.
        first = text.partition("[AzimuthDrives]")[0]
        assert len(load(path, first).by_name["azimuth"].members) == 5
        return
    with pytest.raises(TmaInterfaceError) as info:
        load(path, text)
    assert str(info.value).startswith(str(path))
    line = SMALL[: SMALL.index(old)].count("\n") + 1
    assert expected.format(line=line, next=line + 1) in str(info.value)


def test_faults_of_a_packaged_topic_id(path: Path) -> None:
    """Whose ID is another section's by now."""
    path.write_bytes(format_configuration({"A": (18, 1, []), "Capacitor Bank": (0, 0, [Variable("x")])}))
    with pytest.raises(TmaInterfaceError, match=re.escape("got 18, that of [A]")):
        load_tma_interface(path)


@pytest.mark.parametrize("text", ["", "\r\n", "; nothing\n", '{"a": 1}', "\0", "[DEFAULT]\na = 1\n"])
def test_what_is_no_configuration(path: Path, text: str) -> None:
    with pytest.raises(TmaInterfaceError, match="expected"):
        load(path, text)


def test_text_must_be_cp1252(path: Path) -> None:
    path.write_bytes(b'[A]\nTopicID = "\x81"\n')
    with pytest.raises(TmaInterfaceError, match="expected cp1252 text, got the byte 0x81 at offset 15"):
        load_tma_interface(path)


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "device", "NUL", "empty name"])
def test_files_that_are_none(tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "file")
    match kind:
        case "folder":
            path = str(tmp_path)
        case "fifo":
            os.mkfifo(path)
        case "device":
            path = "/dev/zero"
        case "NUL":
            path = "a\0b"
        case "empty name":
            path = ""
    with pytest.raises(TmaInterfaceError):
        load_tma_interface(path)


def test_longest_file(path: Path) -> None:
    comment = b"; and so on" + b"." * 100 + b"\n"
    data = SMALL_FILE.read_bytes() + comment * ((16 << 20) // len(comment))
    path.write_bytes(data[: 16 << 20])
    assert load_tma_interface(path) == load_tma_interface(SMALL_FILE)
    path.write_bytes(data[: (16 << 20) + 1])
    with pytest.raises(TmaInterfaceError, match="expected a file of up to 16777216 bytes"):
        load_tma_interface(path)


@pytest.mark.parametrize(
    "line",
    ["a\n", "[a\n", "a" + " " * 4000 + "\n", "a" + " " * 4000 + 'b = "c"\n', " b\n", "x" * 5000 + "\n"],
)
def test_hostile_files_take_no_time(path: Path, line: str) -> None:
    """Each would keep `configparser`, and what reads all before it refuses something, busy for minutes."""
    text = '[A]\na = "1"\n'
    path.write_text(text + line * (((16 << 20) - len(text)) // len(line)))
    with pytest.raises(TmaInterfaceError, match=r"line [34]\)?: expected"):
        load_tma_interface(path)


def test_packaged_is_not_touched(path: Path) -> None:
    path.write_bytes(format_configuration({"Azimuth": (99, 1, [])}))
    load_tma_interface(path)
    assert load_packaged_tma_interface().by_name["azimuth"].topic_id == 6


def test_no_topic_is_sent(path: Path) -> None:
    path.write_bytes(format_configuration({"New": (0, 0, [Variable("x")])}))
    with pytest.raises(TmaInterfaceError, match="expected a topic that is sent, got none"):
        load_tma_interface(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("".join(f"[{n}]\n" for n in range(1001)), "expected up to 1000 sections, got 1001"),
        ("\n".join(f"[{n}]" for n in range(200_001)), "expected up to 200000 lines, got 200001"),
    ],
)
def test_bounds(path: Path, text: str, expected: str) -> None:
    with pytest.raises(TmaInterfaceError, match=f": {expected}$"):
        load(path, text)


@pytest.mark.parametrize("is_first", [True, False])
def test_packaged_topic_id_that_another_section_has(path: Path, is_first: bool) -> None:
    sections = {"Azimuth": (0, 0, [Variable("x")]), "New": (6, 1, [Variable("x")])}
    path.write_bytes(format_configuration(sections if is_first else dict(reversed(sections.items()))))
    with pytest.raises(
        TmaInterfaceError, match=r"6, that of \[\w+\] \(\[Azimuth\] has topic ID 0, and takes"
    ):
        load_tma_interface(path)
