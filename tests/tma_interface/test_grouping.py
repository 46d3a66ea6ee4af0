"""Which members form one field."""

from typing import NamedTuple

import pytest

from lsst.ts.mtmount.tma_interface import TmaInterface, TmaMember, TmaTopic, fit_to_sal
from lsst.ts.mtmount.tma_interface.grouping import group_members


class Known(NamedTuple):
    sal_type: str = "double"
    num_elements: int = 1


def group(*names: str, types: dict[str, str] | None = None) -> dict[str, int]:
    """Return the fields that come of variables, but those of time stamps."""
    members = group_members(TmaMember(name, name, 0, (types or {}).get(name, "double")) for name in names)
    fields = TmaTopic(1, "topic", 50, members).fields
    stamps = {name: count for name, count in fields.items() if name.endswith("Timestamp")}
    values = {name: len(elements) for name, elements in fields.items() if name not in stamps}
    assert values.pop("timestamp") == 1
    assert len(stamps) == len(values) or any(name.endswith("Timestamp") for name in names)
    return values


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        (["current2", "current1"], {"current": 2}),
        ([f"x{number}" for number in range(1, 100)], {"x": 99}),
        ([f"x{number}" for number in range(1, 101)], dict.fromkeys([f"x{n}" for n in range(1, 101)], 1)),
        (["x01", "x02"], {"x": 2}),
        (["x001", "x002"], {"x001": 1, "x002": 1}),
        (["x1"], {"x1": 1}),
        (["x2", "x4"], {"x2": 1, "x4": 1}),
        (["x0", "x1"], {"x0": 1, "x1": 1}),
        (["x1", "x01"], {"x1": 1, "x01": 1}),
        (["x1", "x2", "x"], {"x1": 1, "x2": 1, "x": 1}),
        (["a1b1", "a1b2", "a2b1"], {"a1b": 2, "a2b1": 1}),
        (["timestamp1", "timestamp2"], {"timestamp1": 1, "timestamp2": 1}),
    ],
)
def test_rule(names: list[str], fields: dict[str, int]) -> None:
    assert group(*names) == fields


def test_names_that_would_meet_stay_scalars() -> None:
    assert group("x1", "x2", "xTimestamp")["x1"] == 1
    members = group_members(TmaMember(name, name) for name in ("xTimestamp1", "xTimestamp2", "x1", "x2"))
    assert {member.field for member in members} == {
        *("x", "xTimestamp", "xTimestamp1", "xTimestamp2"),
        *("xTimestamp1Timestamp", "xTimestamp2Timestamp", "timestamp"),
    }


def test_types_must_be_one() -> None:
    assert group("x1", "x2", types={"x2": "int"}) == {"x1": 1, "x2": 1}


def test_time_stamps_are_numbered_before_their_suffix() -> None:
    members = {member.name: member for member in group_members(TmaMember(f"x{n}", "x") for n in (1, 2))}
    assert (members["x2Timestamp"].field, members["x2Timestamp"].index) == ("xTimestamp", 1)


def fit(known: dict[str, Known], *names: str) -> TmaTopic:
    members = group_members(TmaMember(name, name, 0, "double") for name in names)
    interface = TmaInterface((TmaTopic(1, "topic", 50, members),))
    return fit_to_sal(interface, {"topic": known}).topics[0]


@pytest.mark.parametrize("names", [["x1"], ["x001", "x002"], [f"x{n}" for n in range(1, 121)]])
def test_sal_may_have_an_array_where_the_rule_has_scalars(names: list[str]) -> None:
    topic = fit({"x": Known("float", 7), "xTimestamp": Known("double", 7)}, *names)
    assert [member.name for member in topic.fields["x"]] == names
    assert [member.name for member in topic.fields["xTimestamp"]] == [f"{name}Timestamp" for name in names]
    assert {member.sal_type for member in topic.fields["x"]} == {"float"}


def test_sal_may_have_scalars_where_the_rule_has_an_array() -> None:
    topic = fit({"x1": Known("int"), "x2": Known("int"), "x2Timestamp": Known("float")}, "x1", "x2")
    assert list(topic.fields) == ["timestamp", "x1", "x1Timestamp", "x2", "x2Timestamp"]
    assert topic.by_name["x1"].sal_type == "int"
    assert topic.by_name["x2Timestamp"].sal_type == "float"


@pytest.mark.parametrize("known", [{}, {"x": Known()}, {"y": Known("double", 2)}])
def test_what_sal_does_not_have_stays(known: dict[str, Known]) -> None:
    assert fit(known, "x1", "x2") == fit({}, "x1", "x2")
    assert len(fit(known, "x1", "x2").fields["x"]) == 2


def test_gaps_are_never_closed() -> None:
    """Else the values of drive 3 would stand in the place of drive 2."""
    topic = fit({"current": Known("double", 16)}, "current1", "current3")
    assert {"current1", "current3"} < set(topic.fields)


def test_names_of_fields_that_a_table_chose_stay() -> None:
    member = TmaMember("actualPosition", "position", 0, "double")
    interface = TmaInterface((TmaTopic(1, "topic", 50, (member,)),))
    assert fit_to_sal(interface, {"topic": {"other": Known()}}) == interface
