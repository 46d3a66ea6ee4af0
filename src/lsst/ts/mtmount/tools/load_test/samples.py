"""Samples of everything that runs in a load test, taken from time to time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .child_program import ChildProgram
from .procfs import Usage
from .verifier_process import VerifierProcess

__all__ = ["Sample", "SampleSeries", "read_report", "take_sample"]


@dataclass(frozen=True)
class Sample:
    """What there was at one moment."""

    time: float  #: When it was taken [UTC unix s]
    usage: Mapping[str, Usage]  #: What the programs use, by name; only those that run
    counters: Mapping[str, Any] | None  #: The client's counters, if it tells any
    decoded: Mapping[str, int]  #: Records that were read back so far, by SAL name
    #: Median, 99th percentile and maximum since the last sample [s].
    latency: tuple[float, float, float] | None
    num_problems: int  #: Problems that the reader has found so far

    @property
    def total_decoded(self) -> int:
        """Records that were read back so far."""
        return sum(self.decoded.values())

    @property
    def queue_depth(self) -> float:
        """Records in the producer's queue or on their way; NaN if the client does not tell."""
        return math.nan if self.counters is None else self.counters["in_flight"]


def take_sample(programs: Sequence[ChildProgram], reader: VerifierProcess, report: Path | None) -> Sample:
    """Take a sample of programs and of the reader; the client writes its counters to the report, if any."""
    usages = {program.name: program.meter.read() for program in programs}
    progress, latency = reader.progress, reader.take_latency()
    try:
        counters = read_report(report)
    except ValueError:
        # Another client may write it in place, and be about to.
        counters = None
    return Sample(
        time=time.time(),
        usage={name: usage for name, usage in usages.items() if usage is not None},
        counters=counters,
        decoded={} if progress is None else progress.decoded,
        latency=(latency.percentile(50), latency.percentile(99), latency.max) if latency.count else None,
        num_problems=0 if progress is None else progress.problems,
    )


def read_report(path: Path | None) -> dict[str, Any] | None:
    """Read a client's counters; None if it has written none, `ValueError` if they are not whole."""
    if path is None:
        return None
    try:
        counters: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return counters


@dataclass
class SampleSeries:
    """The samples of one run, in the order in which they were taken."""

    samples: list[Sample] = field(default_factory=list)

    def cut(self, start: float, end: float) -> SampleSeries:
        """Return the samples from one time to another [UTC unix s]."""
        return SampleSeries([sample for sample in self.samples if start <= sample.time <= end])

    def compute_cpu_share(self, name: str) -> float:
        """Compute the share of one core that a program took, from the first sample to the last.

        1 is one core; NaN if there are not two samples of the program.
        """
        found = [sample for sample in self.samples if name in sample.usage]
        if len(found) < 2:
            return math.nan
        first, last = found[0], found[-1]
        return (last.usage[name].cpu - first.usage[name].cpu) / (last.time - first.time)

    def find_peak_rss(self, name: str) -> int:
        """Find the most memory that a program used [bytes]; 0 if that was never seen."""
        return max(
            (sample.usage[name].peak_rss for sample in self.samples if name in sample.usage), default=0
        )

    def find_max_queue_depth(self) -> float:
        """Find the largest depth of the client's queue; NaN if it never told."""
        depths = [sample.queue_depth for sample in self.samples]
        return max((depth for depth in depths if not math.isnan(depth)), default=math.nan)

    def as_columns(self, start: float) -> dict[str, list[Any]]:
        """Return the samples as columns, ready for JSON; what is not known is None.

        Time is counted from ``start`` [UTC unix s].
        """
        names = sorted({name for sample in self.samples for name in sample.usage})
        columns: dict[str, list[Any]] = {"time_s": [round(sample.time - start, 4) for sample in self.samples]}
        for key in ("frames", "published", "acknowledged", "in_flight"):
            columns[key] = [sample.counters and sample.counters[key] for sample in self.samples]
        columns["decoded"] = [sample.total_decoded for sample in self.samples]
        for index, key in enumerate(("latency_p50_s", "latency_p99_s", "latency_max_s")):
            columns[key] = [sample.latency and round(sample.latency[index], 6) for sample in self.samples]
        for name in names:
            usages = [sample.usage.get(name) for sample in self.samples]
            columns[f"{name}_cpu_s"] = [usage and round(usage.cpu, 6) for usage in usages]
            columns[f"{name}_rss_bytes"] = [usage and usage.rss for usage in usages]
            columns[f"{name}_fds"] = [usage and usage.num_fds for usage in usages]
            columns[f"{name}_threads"] = [usage and usage.num_threads for usage in usages]
        return columns
