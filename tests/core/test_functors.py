"""Numbered wire members and SAL arrays."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest

from lsst.ts.mtmount.core import ArrayFunctor, ScalarFunctor, member_names
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP, TELEMETRY_MAP, TelemetryTopicId


def test_member_names() -> None:
    assert member_names("current", 3) == ("current1", "current2", "current3")
    assert member_names("currentTimestamp", 2) == ("current1Timestamp", "current2Timestamp")
    assert member_names("timestamp", 1) == ("timestamp",)
    assert member_names("x1SectionTimestamp", 1) == ("x1SectionTimestamp",)
    with pytest.raises(ValueError, match="expected one element at least, got 0"):
        member_names("current", 0)


def test_array_functor() -> None:
    functor = ArrayFunctor("currentTimestamp", 12)
    value = [float(i) for i in range(12)]
    data = functor.llv_dict_from_sal_value(value)
    assert list(data) == [f"current{i}Timestamp" for i in range(1, 13)]
    assert functor.sal_value_from_llv_dict(data | {"current1": None}) == value
    del data["current7Timestamp"]
    with pytest.raises(KeyError, match="current7Timestamp"):
        functor.sal_value_from_llv_dict(data)
    with pytest.raises(ValueError, match="expected 12 elements, got 11"):
        functor.llv_dict_from_sal_value(value[1:])


def test_scalar_functor() -> None:
    functor = ScalarFunctor("actualPosition")
    assert functor.num_elements == 1
    assert functor.sal_value_from_llv_dict({"actualPosition": 3}) == 3
    assert functor.llv_dict_from_sal_value(3) == {"actualPosition": 3}
    with pytest.raises(KeyError):
        functor.sal_value_from_llv_dict({})


@pytest.mark.parametrize("make", [OrderedDict, MappingProxyType])
def test_any_mapping(make: Callable[[dict[str, int]], Mapping[str, int]]) -> None:
    data = make({"x1": 1, "x2": 2})
    assert ArrayFunctor("x", 2).sal_value_from_llv_dict(data) == [1, 2]
    assert ScalarFunctor("x1").sal_value_from_llv_dict(data) == 1
    for functor in (ArrayFunctor("y", 2), ScalarFunctor("y")):
        with pytest.raises(KeyError):
            functor.sal_value_from_llv_dict(data)


def test_telemetry_map() -> None:
    assert len(TELEMETRY_MAP) == len(RAW_TELEMETRY_MAP) == len(TelemetryTopicId) == 26
    assert TelemetryTopicId["azimuthDrives"] == 5
    assert list(RAW_TELEMETRY_MAP[5]) == [
        "azimuthDrives",
        {"current": 16, "currentTimestamp": 16, "timestamp": 1},
    ]
    for topic_id, (sal_topic, fields) in TELEMETRY_MAP.items():
        assert TelemetryTopicId[sal_topic] == topic_id
        assert "timestamp" in fields
        for name, functor in fields.items():
            assert functor.field_name == name
            assert functor.num_elements == RAW_TELEMETRY_MAP[topic_id][1][name]
