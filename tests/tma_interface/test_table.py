"""The interface as a table."""

from pathlib import Path

import pytest

from lsst.ts.mtmount.core import Record
from lsst.ts.mtmount.pipeline.topic_fields import choose_fields, make_codec
from lsst.ts.mtmount.tma_interface import (
    TmaInterface,
    TmaInterfaceError,
    TmaMember,
    TmaTopic,
    format_table,
    load_tma_interface,
)

HEADER = "topic_id,sal_topic,period_ms,field,elements,sal_type,members\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "interface.csv"


def load(path: Path, text: str) -> TmaInterface:
    path.write_text(text, encoding="utf-8")
    return load_tma_interface(path)


def test_types_may_be_unknown_and_fields_have_other_names(path: Path) -> None:
    text = HEADER + "6,azimuth,50,position,2,,actual demand\n6,azimuth,50,timestamp,1,double,timestamp\n"
    interface = load(path, text)
    members = (
        TmaMember("actual", "position", 0),
        TmaMember("demand", "position", 1),
        TmaMember("timestamp", "timestamp", 0, "double"),
    )
    assert interface == TmaInterface((TmaTopic(6, "azimuth", 50, members),))
    assert format_table(interface) == text
    assert load(path, text.replace("\n", "\r\n")) == interface
    # A spreadsheet may quote all.
    quoted = "".join(f'"{line}"\n'.replace(",", '","') for line in text.splitlines())
    assert load(path, quoted) == interface


def test_no_rows(path: Path) -> None:
    with pytest.raises(TmaInterfaceError, match="expected a topic that is sent, got none"):
        load(path, HEADER)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("6,azimuth,50,a,1,double", "line 2: expected 7 columns, got 6"),
        ("6,azimuth,50,a,2,double,a", "line 2: expected as many members as elements of 'a', got 1"),
        ("6,azimuth,50,a,0,double,", "line 2: expected as many members as elements of 'a', got 0"),
        ("six,azimuth,50,a,1,double,a", "line 2: expected a whole number for topic_id, got 'six'"),
        ("-6,azimuth,50,a,1,double,a", "expected a whole number for topic_id"),
        ("0,azimuth,50,a,1,double,a", "expected a topic ID from 1 to 2147483647, got 0"),
        ("2147483648,azimuth,50,a,1,double,a", "expected a topic ID from 1 to 2147483647"),
        (
            "6,azimuth,51,a,1,double,a",
            "expected a period that is a multiple of 50 ms, up to 3600000 ms, got",
        ),
        ("6,azimuth,0,a,1,double,a", "expected a period that"),
        ("6,azimuth,3600050,a,1,double,a", "expected a period that"),
        ("6,azimuth,50,a,1,string,a", "expected one of the types boolean, byte, double,"),
        ("6,azi muth,50,a,1,double,a", "expected a SAL topic name of"),
        ("6,azimuth,50,a-b,1,double,a", "expected a field name of"),
        (
            "6,azimuth,50,a,1,double,a\n6,azimuth,50,b,1,double,a",
            "expected each member once, got a twice",
        ),
        ("6,azimuth,50,a,1,double,a\n6,azimuth,50,a,1,double,b", "elements of a to be numbered from 0 on"),
        (
            "6,azimuth,50,a,1,double,a\n6,azimuth,100,b,1,double,b\n7,b,50,b,1,double,b",
            ", line 3: expected each topic ID once, got 6 twice",
        ),
        (
            "6,azimuth,50,a,1,double,a\n7,azimuth,50,a,1,double,a\n7,b,50,b,1,double,b",
            ", line 3: expected each SAL topic once, got azimuth twice",
        ),
        (
            "6,azimuth,50,a,1,double,a\n6,azimuth,50,b,1,double,a\n7,b,50,b,1,double,b",
            ".csv: azimuth: expected each member once, got a twice",
        ),
        ("6,azimuth,50,a,1,double,a", "azimuth: expected the member 'timestamp', got none"),
        (
            "6,azimuth,50,a,1,int,topicID\n6,azimuth,50,timestamp,1,double,timestamp",
            "azimuth: expected another name, as this one is reserved for the topic ID, got 'topicID'",
        ),
        ('6,"azimuth,50', "line 2: expected CSV"),
        ("6,azimuth,50," + "a" * 200_000 + ",1,double,a", "line 2: expected CSV"),
    ],
)
def test_faults(path: Path, rows: str, expected: str) -> None:
    with pytest.raises(TmaInterfaceError) as info:
        load(path, HEADER + rows + "\n")
    assert str(info.value).startswith(str(path))
    assert expected in str(info.value)


def test_most_topics_and_members(path: Path) -> None:
    """A table with too many is refused at the row with the first that is too many."""

    def make_rows(num_topics: int, num_members: int) -> str:
        rows = (
            f"{n},a{n},50,b,{num_members - 1},,{' '.join(f'b{m}' for m in range(num_members - 1))}\n"
            f"{n},a{n},50,timestamp,1,double,timestamp\n"
            for n in range(1, num_topics + 1)
        )
        return HEADER + "".join(rows)

    assert load(path, make_rows(1000, 100)).describe_size() == "1000 topics, 2000 fields, 100000 members"
    with pytest.raises(TmaInterfaceError, match="line 2002: expected at most 1000 topics, got more"):
        load(path, make_rows(1002, 2))
    with pytest.raises(
        TmaInterfaceError, match="line 200: expected at most 100000 members of all topics, got more"
    ):
        load(path, make_rows(101, 1001))


def test_other_columns_are_refused(path: Path) -> None:
    with pytest.raises(TmaInterfaceError, match="line 1: expected the columns topic_id,sal_topic"):
        load(path, "topic_id,sal_topic\n")


def test_elements_of_a_field_have_one_type() -> None:
    with pytest.raises(TmaInterfaceError, match="one type for all elements of a"):
        TmaTopic(6, "azimuth", 50, (TmaMember("a1", "a", 0, "int"), TmaMember("a2", "a", 1, "double")))


def test_empty_lines_are_no_rows(path: Path) -> None:
    text = HEADER + "6,azimuth,50,timestamp,1,double,timestamp\n"
    assert load(path, text + "\n\r\n") == load(path, text)


def test_every_name_that_is_taken_is_one_that_a_client_can_use(path: Path) -> None:
    stamp = "6,azimuth,50,timestamp,1,double,timestamp\n"
    name = "x" * 127
    interface = load(path, f"{HEADER}{stamp}6,azimuth,50,{name},1,double,{name}\n")
    (topic,) = interface.topics
    record = Record([(name, "double", 1), ("timestamp", "double", 1)], schema_id=None, rev_code="", origin=0)
    codec = make_codec(topic, "", record, choose_fields(topic, record))
    codec.decode_frame(b'{"topicID": 6, "timestamp": 1.5, "%s": 2.5}' % name.encode())
    assert record.get_field(name) == 2.5
    name += "x"
    with pytest.raises(TmaInterfaceError, match="expected a member name of up to 127 letters"):
        load(path, f"{HEADER}{stamp}6,azimuth,50,{name},1,double,{name}\n")
