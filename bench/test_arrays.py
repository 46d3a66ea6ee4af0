"""From numbered members of decoded frames to SAL arrays, and back: the path of preprocessors."""

import json
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

import numpy as np

from lsst.ts.mtmount.core import ArrayFunctor
from lsst.ts.mtmount.telemetry_map import RAW_TELEMETRY_MAP

from .conftest import Measure
from .contenders import OURS, Contender, Job, Run, run_jobs
from .mix import MIX, Workload, find_workload
from .plain import wire_members

STAGE = "arrays"

#: Name of the workload that goes back.
BACK = f"{MIX}, back to members"


def find_arrays(topic_id: int) -> dict[str, tuple[str, ...]]:
    """Return the names of the members of each array of a topic."""
    return {field: names for field, names in wire_members(topic_id).items() if len(names) > 1}


#: Topics that have arrays.
TOPIC_NAMES = [name for topic_id, (name, _) in RAW_TELEMETRY_MAP.items() if find_arrays(topic_id)]


def make_jobs(
    workload: Workload, make_function: Callable[[str, tuple[str, ...]], Callable[[Any], Any]]
) -> list[Job]:
    """Make a job for each array of each frame; ``make_function`` takes an array's field and members."""
    functions = {
        topic_id: [make_function(field, names) for field, names in find_arrays(topic_id).items()]
        for topic_id in set(workload.topic_ids)
    }
    return [
        (function, (data,))
        for topic_id, data in zip(workload.topic_ids, map(json.loads, workload.frames), strict=True)
        for function in functions[topic_id]
    ]


def make_back_jobs(
    workload: Workload, make_function: Callable[[str, tuple[str, ...]], Callable[[Any], Any]]
) -> list[Job]:
    """Make a job for each array of each frame, from the array's elements."""
    return [
        (make_function(field, names), ([data[name] for name in names],))
        for topic_id, data in zip(workload.topic_ids, map(json.loads, workload.frames), strict=True)
        for field, names in find_arrays(topic_id).items()
    ]


def make_run(workload: Workload, jobs: list[Job]) -> Run:
    return Run(
        lambda: run_jobs(jobs),
        lambda: [normalize(function(*arguments)) for function, arguments in jobs],
        len(workload.frames),
        workload.num_bytes,
    )


def normalize(result: Iterable[Any]) -> Any:
    return result if isinstance(result, dict) else list(result)


def gather_with_core(field: str, names: tuple[str, ...]) -> Callable[[Any], Any]:
    return ArrayFunctor(field, len(names)).sal_value_from_llv_dict


def gather_by_names(field: str, names: tuple[str, ...]) -> Callable[[Any], Any]:
    return lambda data: [data[name] for name in names]


def gather_by_formatting(field: str, names: tuple[str, ...]) -> Callable[[Any], Any]:
    stem = field.removesuffix("Timestamp")
    suffix = field[len(stem) :]
    numbers = range(1, len(names) + 1)
    return lambda data: [data[f"{stem}{i}{suffix}"] for i in numbers]


def gather_with_itemgetter(field: str, names: tuple[str, ...]) -> Callable[[Any], Any]:
    return itemgetter(*names)


def gather_with_numpy(field: str, names: tuple[str, ...]) -> Callable[[Any], Any]:
    get, count = itemgetter(*names), len(names)
    return lambda data: np.fromiter(get(data), float, count)


def spread_with_core(field: str, names: tuple[str, ...]) -> Callable[[Any], Any]:
    return ArrayFunctor(field, len(names)).llv_dict_from_sal_value


def spread_with_zip(field: str, names: tuple[str, ...]) -> Callable[[Any], Any]:
    return lambda elements: dict(zip(names, elements, strict=True))


GATHERERS = {
    OURS: gather_with_core,
    "operator.itemgetter": gather_with_itemgetter,
    "names prepared": gather_by_names,
    "names formatted each time": gather_by_formatting,
    "itemgetter, numpy.fromiter": gather_with_numpy,
}
SPREADERS = {OURS: spread_with_core, "dict(zip(...))": spread_with_zip}


def make_gatherer(name: str) -> Contender:
    return Contender(name, lambda workload: make_run(workload, make_jobs(workload, GATHERERS[name])))


def make_spreader(name: str) -> Contender:
    return Contender(name, lambda workload: make_run(workload, make_back_jobs(workload, SPREADERS[name])))


CONTENDERS = {
    MIX: tuple(map(make_gatherer, GATHERERS)),
    BACK: tuple(map(make_spreader, SPREADERS)),
    **dict.fromkeys(TOPIC_NAMES, tuple(map(make_gatherer, GATHERERS))),
}


def test_arrays(measure: Measure, workload_name: str, contender: Contender) -> None:
    is_back = workload_name == BACK
    workload = find_workload(MIX if is_back else workload_name)
    expected = [
        {name: data[name] for name in names} if is_back else [data[name] for name in names]
        for topic_id, data in zip(workload.topic_ids, map(json.loads, workload.frames), strict=True)
        for names in find_arrays(topic_id).values()
    ]
    measure(contender.make_run(workload), expected)
