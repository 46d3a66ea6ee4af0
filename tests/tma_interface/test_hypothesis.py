"""Random interfaces, written as files and read back."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsst.ts.mtmount.tma_interface import (
    TmaInterface,
    TmaInterfaceError,
    TmaMember,
    TmaTopic,
    format_table,
    load_tma_interface,
)
from lsst.ts.mtmount.tma_interface.grouping import group_members

from .configuration import GROUP_OF_TYPE, SMALL_FILE, format_interface

SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

RESERVED = {"timestamp", "topicID"}

#: Some numbered, so that arrays come of them.
NAMES = st.one_of(
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,15}", fullmatch=True),
    st.from_regex(r"[ab](0{0,2}[1-9]|1[0-9])", fullmatch=True),
).filter(lambda name: name not in RESERVED and not name.endswith("Timestamp"))

TOPIC_NAMES = st.from_regex(r"[a-z_][a-zA-Z0-9_]{0,15}", fullmatch=True).filter(
    # Their sections' names become others.
    lambda name: name not in ("auxiliaryBoxes", "cabinet0101", "mountControlMainCabinet", "oSS")
)

TOPICS = st.tuples(
    st.integers(1, 72_000),
    st.dictionaries(NAMES, st.sampled_from(sorted(GROUP_OF_TYPE)), max_size=12),
)


@st.composite
def interfaces(draw: st.DrawFn) -> TmaInterface:
    topics = draw(st.dictionaries(TOPIC_NAMES, TOPICS, min_size=1, max_size=5))
    ids = draw(st.lists(st.integers(1, 9_999_999), min_size=len(topics), max_size=len(topics), unique=True))
    return TmaInterface(
        tuple(
            TmaTopic(
                topic_id,
                name,
                multiple * 50,
                group_members(TmaMember(member, member, 0, sal_type) for member, sal_type in types.items()),
            )
            for topic_id, (name, (multiple, types)) in zip(ids, topics.items(), strict=True)
        )
    )


@SETTINGS
@given(interface=interfaces())
def test_round_trip(interface: TmaInterface, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(format_interface(interface))
    assert load_tma_interface(path) == interface
    path.write_text(format_table(interface))
    assert load_tma_interface(path) == interface


@SETTINGS
@given(data=st.data())
def test_damaged_files_are_refused_or_read(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever is cut out of a file or put into it: an interface, or the one error."""
    original = SMALL_FILE.read_bytes()
    begin = data.draw(st.integers(0, len(original)))
    length = data.draw(st.integers(0, 80))
    middle = data.draw(st.one_of(st.binary(max_size=20), st.sampled_from([b"\r\n", b'"', b"=", b"[", b"\\"])))
    path = tmp_path / "file"
    path.write_bytes(original[:begin] + middle + original[begin + length :])
    try:
        interface = load_tma_interface(path)
    except TmaInterfaceError as error:
        assert str(error).startswith(str(path))
    else:
        path.write_text(format_table(interface))
        assert load_tma_interface(path) == interface


def test_case_of_the_first_letter_is_not_kept(tmp_path: Path) -> None:
    """Why the random topics begin with a small letter."""
    path = tmp_path / "file"
    path.write_bytes(SMALL_FILE.read_bytes().replace(b"[Azimuth]", b"[azimuth]"))
    assert load_tma_interface(path) == load_tma_interface(SMALL_FILE)
    path.write_bytes(SMALL_FILE.read_bytes().replace(b"[Azimuth]", b"[1zimuth]"))
    with pytest.raises(TmaInterfaceError, match="expected a SAL topic name"):
        load_tma_interface(path)
