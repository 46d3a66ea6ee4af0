"""What came out of one run, in figures."""

import math
from dataclasses import dataclass
from typing import Any

from ..simulator import TICK_INTERVAL
from .frame_counts import FrameCounts
from .latency_histogram import LatencyHistogram
from .samples import SampleSeries

__all__ = ["PERCENTILES", "ROLES", "RunResult", "replace_nan"]

#: The programs of a load test.
ROLES = ("client", "simulator", "broker", "reader")

#: Percentiles of the latency that are told.
PERCENTILES = (50, 90, 99, 99.9)


@dataclass(frozen=True)
class RunResult:
    """What came out of one run."""

    client: str  #: Name of the client
    rate: float  #: Multiple of the TMA's full rate that was asked for; may be infinity
    duration: float  #: Length of the stream that was asked for [s]
    was_cut: bool  #: Did the client not keep up, so that the stream was cut (a recording: took longer)?
    read_mode: str  #: Whether everything was decoded, or counted
    account: FrameCounts  #: Where each frame went
    simulator: dict[str, Any]  #: The simulator's report
    series: SampleSeries  #: Samples of the whole run
    problems: list[str]  #: What is wrong; empty if the run has passed

    @property
    def has_passed(self) -> bool:
        """Does the account close, and is nothing lost or wrong?"""
        return not self.problems

    @property
    def verdict(self) -> str:
        """The verdict in one word: ``ok``, ``behind`` (passed, but did not keep up) or ``FAILED``."""
        if not self.has_passed:
            return "FAILED"
        return "behind" if self.was_cut else "ok"

    @property
    def rate_name(self) -> str:
        """The rate, for people."""
        return "max" if math.isinf(self.rate) else f"{self.rate:g}x"

    @property
    def elapsed(self) -> float:
        """Time that publishing took [s]: the last tick's share included."""
        read_back = self.account.read_back
        return read_back.last_published - read_back.first_published + TICK_INTERVAL / self.rate

    @property
    def frames_per_second(self) -> float:
        """Frames that reached the broker [1/s]; NaN if none came."""
        num_frames = self.account.total_written
        return num_frames / self.elapsed if num_frames and self.elapsed > 0 else math.nan

    @property
    def bytes_per_second(self) -> float:
        """Bytes that came over the wire [1/s]; NaN if none came."""
        num_bytes: int = self.simulator["bytes"]
        return num_bytes / self.elapsed if self.elapsed > 0 else math.nan

    @property
    def streaming(self) -> SampleSeries:
        """The samples that were taken while the client published."""
        read_back = self.account.read_back
        return self.series.cut(read_back.first_published, read_back.last_published)

    @property
    def late_ticks(self) -> float:
        """Ticks that the simulator began late; NaN of a recording, which has none."""
        return float(self.simulator.get("late_ticks", math.nan))

    @property
    def latency(self) -> LatencyHistogram:
        """Latencies from the wire to the reader."""
        return self.account.read_back.latency

    @property
    def cpu_per_frame(self) -> float:
        """CPU time of the client's threads for a frame [s]; NaN if it is not known."""
        return self.streaming.compute_cpu_share("client") / self.frames_per_second

    def as_dict(self) -> dict[str, Any]:
        """Return everything in a form for JSON."""
        account, latency, streaming = self.account, self.latency, self.streaming
        content: dict[str, Any] = replace_nan(
            {
                "client": self.client,
                "rate": self.rate_name,
                "duration_s": self.duration,
                "was_cut": self.was_cut,
                "read_mode": self.read_mode,
                "passed": self.has_passed,
                "problems": self.problems,
                "elapsed_s": self.elapsed,
                "frames_per_s": self.frames_per_second,
                "megabytes_per_s": self.bytes_per_second / 1e6,
                "client_cpu_us_per_frame": self.cpu_per_frame * 1e6,
                "cpu_share": {role: streaming.compute_cpu_share(role) for role in ROLES},
                "peak_rss_bytes": {role: self.series.find_peak_rss(role) for role in ROLES},
                "max_queue_depth": streaming.find_max_queue_depth(),
                "latency_s": {f"p{percent:g}": latency.percentile(percent) for percent in PERCENTILES}
                | {"max": latency.max, "mean": latency.mean, "count": latency.count},
                "account": {
                    "sent": account.total_sent,
                    "written": account.total_written,
                    "decoded": account.read_back.sum_up("decoded"),
                    "lost": account.lost,
                    "unsupported": account.unsupported,
                    "invalid": account.invalid,
                    "counters": account.counters,
                    "topics": {
                        name: {
                            "sent": topic.sent,
                            "written": topic.published,
                            "dropped": topic.dropped,
                            "lost": topic.lost,
                        }
                        for name, topic in account.topics.items()
                    },
                },
                "simulator": self.simulator,
                "read_back": account.read_back.as_dict(),
                "samples": self.series.as_columns(account.read_back.first_published),
            }
        )
        return content


def replace_nan(content: Any) -> Any:
    """Replace what JSON has no numbers for (NaN, infinity) by None, at any depth."""
    if isinstance(content, dict):
        return {key: replace_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [replace_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
