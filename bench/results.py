"""What a run of the benchmarks measured, and where."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .guard import describe_environment

__all__ = ["Result", "Results", "describe_machine", "read_results"]

#: Libraries whose versions matter for the figures.
LIBRARIES = (
    "ts-mtmount-telemetry",
    "Cython",
    "confluent-kafka",
    "fastavro",
    "msgspec",
    "numpy",
    "orjson",
    "pysimdjson",
    "pytest-benchmark",
)

#: Those of the observatory need not be there.
OPTIONAL_LIBRARIES = ("ts_salobj", "ts_xml")


@dataclass(frozen=True)
class Result:
    """What one contender took for one workload of a stage.

    Parameters
    ----------
    stage, workload, contender : `str`
        What was measured.
    seconds : `float`
        Processor's time for an item, the median of all rounds [s].
    spread : `float`
        Interquartile range of the same [s].
    rounds : `int`
        Number of rounds.
    item_size : `float`
        Mean size of an item on the wire [bytes].
    items_per_second : `float` or `None`
        By the wall clock, where that was measured [1/s].
    """

    stage: str
    workload: str
    contender: str
    seconds: float
    spread: float
    rounds: int
    item_size: float
    items_per_second: float | None

    @property
    def microseconds(self) -> float:
        """Processor's time for an item [us]."""
        return self.seconds * 1e6

    @property
    def gigabytes_per_second(self) -> float:
        """How fast the wire's bytes are worked on, by the processor's time [GB/s]."""
        return self.item_size / self.seconds / 1e9


class Results:
    """All results of a run.

    Parameters
    ----------
    results : `Sequence` [`Result`]
        In the order of the run: all contenders of a workload together, this package first.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self.results = list(results)

    @property
    def stages(self) -> list[str]:
        """The stages."""
        return list(dict.fromkeys(result.stage for result in self.results))

    def workloads(self, stage: str) -> list[str]:
        """Return the workloads of a stage."""
        return list(dict.fromkeys(result.workload for result in self.results if result.stage == stage))

    def contenders(self, stage: str, workload: str) -> list[Result]:
        """Return what each contender took, this package first."""
        return [result for result in self.results if (result.stage, result.workload) == (stage, workload)]


def read_results(path: Path) -> Results:
    """Read what pytest-benchmark wrote."""
    benchmarks = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    return Results([_make_result(benchmark["stats"], **benchmark["extra_info"]) for benchmark in benchmarks])


def _make_result(
    stats: dict[str, Any],
    *,
    stage: str,
    workload: str,
    contender: str,
    num_items: int,
    num_bytes: int,
    items_per_second: float | None = None,
) -> Result:
    return Result(
        stage,
        workload,
        contender,
        stats["median"] / num_items,
        stats["iqr"] / num_items,
        stats["rounds"],
        num_bytes / num_items,
        items_per_second,
    )


def describe_machine() -> dict[str, str]:
    """Describe where the benchmarks run, and what else the machine does just now."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    environment = describe_environment()
    return {
        "processor": f"{model[1] if model else platform.processor()}, {os.cpu_count()} cores",
        "load before the run": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: environment[name] for name in ("compiler", "libc", "libstdc++")},
        **{library: importlib.metadata.version(library) for library in LIBRARIES},
        **{
            library: found.version
            for library in OPTIONAL_LIBRARIES
            for found in importlib.metadata.distributions(name=library)
        },
    }
