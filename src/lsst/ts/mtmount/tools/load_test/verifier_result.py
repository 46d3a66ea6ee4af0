"""What was read back: the reader's result, as it is handed to the load test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .latency_histogram import LatencyHistogram

__all__ = ["TopicVerifierResult", "VerifierResult"]


@dataclass
class TopicVerifierResult:
    """What was read back of one topic."""

    decoded: int = 0  #: Records read and decoded
    missed: int = 0  #: Records that were gone at the broker before they could be read
    #: Records whose sequence number does not follow the last one's, or whose frame is an earlier one
    out_of_sequence: int = 0
    wrong: int = 0  #: Records with a wrong value, in a private field or in one of its own
    repeated: int = 0  #: Records that came twice
    lost: int = 0  #: Frames that have no record, where frames and records were compared
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)  #: From the wire to the reader

    def as_dict(self) -> dict[str, Any]:
        """Return everything in a form for JSON."""
        return vars(self) | {"latency": self.latency.as_dict()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> TopicVerifierResult:
        """Return what `as_dict` described."""
        return cls(**(content | {"latency": LatencyHistogram.from_dict(content["latency"])}))


@dataclass
class VerifierResult:
    """What was read back."""

    topics: dict[str, TopicVerifierResult]  #: By SAL name; only the topics that were read
    compared: bool = False  #: Was every value compared with the frame it came from?
    origins: list[int] = field(default_factory=list)  #: Process IDs that the records name
    #: When the first and the last record were given to the client's producer [UTC unix s]: the time stamps
    #: of the messages. 0 if there was none.
    first_published: float = 0.0
    last_published: float = 0.0
    problems: list[str] = field(default_factory=list)  #: What was wrong, for people; only the first ones
    failure: str | None = None  #: Why reading ended before everything was read

    @property
    def latency(self) -> LatencyHistogram:
        """Latencies of all topics."""
        return LatencyHistogram.sum_up(topic.latency for topic in self.topics.values())

    def sum_up(self, name: str) -> int:
        """Sum up one of the counts of a topic, such as ``decoded``, over all topics."""
        return sum(getattr(topic, name) for topic in self.topics.values())

    def as_dict(self) -> dict[str, Any]:
        """Return everything in a form for JSON."""
        return vars(self) | {"topics": {name: topic.as_dict() for name, topic in self.topics.items()}}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> VerifierResult:
        """Return what `as_dict` described."""
        topics = {name: TopicVerifierResult.from_dict(topic) for name, topic in content["topics"].items()}
        return cls(**(content | {"topics": topics}))
