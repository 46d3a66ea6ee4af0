"""Following a run while it goes on."""

import math
import time
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

from .samples import Sample, SampleSeries

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

    def render(self) -> RenderableType:
        """Draw the present state, for a terminal."""
        return self.describe()

    def describe(self) -> str:
        """Describe the present state in one line."""
        if self.sample is None or self._begin is None:
            return "starting"
        num_frames = self._count(self.sample)
        parts = [f"{self.elapsed:5.1f} s  {num_frames:,} frames"]
        if self._last is not None:
            rate = (num_frames - self._count(self._last)) / (self.sample.time - self._last.time)
            parts.append(f"{rate:,.0f}/s")
            share = SampleSeries([self._last, self.sample]).compute_cpu_share("client")
            if not math.isnan(share):
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
        """Count the frames that the client has read, or else the records that were read back."""
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
