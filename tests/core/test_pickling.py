"""What can be copied and sent to another process."""

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from lsst.ts.mtmount.core import ArrayFunctor, DropReason, FrameError, ScalarFunctor
from lsst.ts.mtmount.telemetry_map import TELEMETRY_MAP

COPIES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda thing, p=p: pickle.loads(pickle.dumps(thing, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)),
]
each_copy = pytest.mark.parametrize("make_copy", COPIES)


@each_copy
def test_frame_error(make_copy: Callable[[Any], Any]) -> None:
    error = FrameError(DropReason.BAD_VALUE, "x=1", topic_id=5, field="x", offset=17)
    error.add_note("seen twice")
    twin = make_copy(error)
    assert type(twin) is FrameError
    assert str(twin) == str(error)
    assert vars(twin) == vars(error)


FUNCTORS = [
    ScalarFunctor("angle"),
    ScalarFunctor("angle", "actualAngle"),
    ArrayFunctor("current", 3),
    ArrayFunctor("current", 2, ("left", "right")),
]


@each_copy
@pytest.mark.parametrize("functor", FUNCTORS, ids=repr)
def test_functor(functor: Any, make_copy: Callable[[Any], Any]) -> None:
    twin = make_copy(functor)
    assert repr(twin) == repr(functor)
    assert twin.members == functor.members


def test_telemetry_map() -> None:
    assert repr(copy.deepcopy(TELEMETRY_MAP)) == repr(TELEMETRY_MAP)


def test_signatures() -> None:
    assert list(inspect.signature(ScalarFunctor).parameters) == ["field_name", "member"]
    assert list(inspect.signature(ArrayFunctor).parameters) == ["field_name", "num_elements", "members"]
    assert list(inspect.signature(ArrayFunctor("a", 2).sal_value_from_llv_dict).parameters) == ["data_dict"]
