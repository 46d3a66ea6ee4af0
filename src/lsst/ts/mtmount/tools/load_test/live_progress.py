"""Following a run while it goes on."""

from __future__ import annotations

import math
import time
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

from .samples import Sample

__all__ = ["LiveProgress", "RunProgress"]

#: Where the output is not a terminal, there is a line so often [s].
LINE_INTERVAL = 2.0


class RunProgress:
    """Works out from the samples of one run, whose stream is ``duration`` [s] long, what is going on."""

    def __init__(self, duration: float) -> None:
        self.duration = duration
        self.sample: Sample | None = None
        self._begin: float | None = None
        self._last: Sample | None = None

    def update(self, sample: Sample) -> None:
        """Take the next sample."""
        self._last, self.sample = self.sample, sample
        if self._begin is None and self._count(sample):
            self._begin = sample.time

    @property
    def elapsed(self) -> float:
        """Time since the stream was first seen [s]."""
        if self.sample is None or self._begin is None:
            return 0.0
        return self.sample.time - self._begin

    @property
    def part(self) -> float:
        """Part of the stream that is over: 0 to 1."""
        return min(self.elapsed / self.duration, 1.0)

    @property
    def num_frames(self) -> int:
        """Frames that the client has read, or else the records that were read back."""
        return 0 if self.sample is None else self._count(self.sample)

    @property
    def frames_per_second(self) -> float:
        """How many these are at present [1/s]; NaN if that is not known."""
        if self.sample is None or self._last is None:
            return math.nan
        interval = self.sample.time - self._last.time
        return (self._count(self.sample) - self._count(self._last)) / interval

    def get_cpu_share(self, name: str) -> float:
        """Return the share of one core that a program takes at present; NaN if that is not known."""
        if self.sample is None or self._last is None:
            return math.nan
        if name not in self.sample.usage or name not in self._last.usage:
            return math.nan
        used = self.sample.usage[name].cpu - self._last.usage[name].cpu
        return used / (self.sample.time - self._last.time)

    def render(self) -> RenderableType:
        """Draw the present state, for a terminal."""
        return self.describe()

    def describe(self) -> str:
        """Describe the present state in one line."""
        if self.sample is None or self._begin is None:
            return "starting"
        parts = [f"{self.elapsed:5.1f} s  {self.num_frames:,} frames"]
        if not math.isnan(rate := self.frames_per_second):
            parts.append(f"{rate:,.0f}/s")
        if not math.isnan(share := self.get_cpu_share("client")):
            parts.append(f"client {share:.1%} CPU, {self.sample.usage['client'].rss / 1e6:.0f} MB")
        if self.sample.latency is not None:
            median, high, _ = self.sample.latency
            parts.append(f"latency p50 {median * 1e3:.1f} p99 {high * 1e3:.1f} ms")
        if not math.isnan(depth := self.sample.queue_depth):
            parts.append(f"queue {depth:,.0f}")
        parts.append(f"problems {self.sample.num_problems}")
        return "  ".join(parts)

    @staticmethod
    def _count(sample: Sample) -> int:
        if sample.counters is not None:
            return int(sample.counters["frames"])
        return sample.total_decoded


class LiveProgress:
    """Shows the progress of a run. A context manager.

    In a terminal that is the picture that the progress renders, else the line that
    describes it, every ``line_interval`` [s].
    """

    def __init__(
        self, console: Console, progress: RunProgress, *, line_interval: float = LINE_INTERVAL
    ) -> None:
        self._console = console
        self._progress = progress
        self._line_interval = line_interval
        self._live = (
            Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        )
        self._next_line = time.monotonic()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, sample: Sample) -> None:
        """Take the next sample, and show it."""
        self._progress.update(sample)
        if self._live is not None:
            self._live.update(self._progress.render(), refresh=True)
        elif time.monotonic() >= self._next_line:
            self._console.print(self._progress.describe(), highlight=False, markup=False, soft_wrap=True)
            self._next_line += self._line_interval
