"""What became of every frame."""

import dataclasses
from typing import Any

from ..core import DropReason

__all__ = ["Counters"]


@dataclasses.dataclass(frozen=True, repr=False)
class Counters:
    """What became of every frame that was read, at one moment.

    Events, heartbeats and log messages are not counted. These sums always
    hold::

        frames = published + total_dropped + unsupported + handled + pending
        published = acknowledged + failed + in_flight

    Attributes
    ----------
    frames : `int`
        Whole frames read.
    bytes : `int`
        Their length, without terminators [bytes].
    published : `int`
        Frames handed to the Kafka producer.
    acknowledged : `int`
        Of these, delivered as the producer's settings promise.
    failed : `int`
        Of these, given up by the producer; each was logged.
    dropped : `dict` [`DropReason`, `int`]
        Frames that could not be published, by reason; logged, with a rate
        limit.
    unsupported : `int`
        Frames of unknown topics.
    preprocessed : `int`
        Published frames that went through a preprocessor.
    handled : `int`
        Frames that a handler of the user's own dealt with.
    pending : `int`
        Frames that wait for a handler or for room in the producer's queue:
        0 or 1.
    incomplete : `dict` [`str`, `int`]
        Frames taken although members were missing, by SAL topic; only with ``accept_incomplete``.
        (The producer may have refused some.)
    unknown_members : `dict` [`str`, `list` [`str`]]
        Members that came and that the TMA's interface lacks, by SAL topic:
        the first 100 of each.
    frames_with_unknown_members : `dict` [`str`, `int`]
        Frames that had such members, by SAL topic; published as they would
        be without, or dropped for another reason.
    unsupported_by_topic : `dict` [`str`, `int`]
        Of ``unsupported``, by SAL topic, or by topic ID if the TMA's
        interface lacks it: the first 100, and ``others``.
    recorded_frames, recorder_dropped : `int`
        Frames that were recorded, and that are missing in the recording.
    failed_by_reason : `dict` [`str`, `int`]
        Of ``failed``, by Kafka's name of the error, such as
        ``TOPIC_AUTHORIZATION_FAILED``.
    acknowledged_means_sent : `bool`
        With ``acks=0`` Kafka acknowledges nothing: what it loses is not noticed.
    """

    frames: int
    bytes: int
    published: int
    acknowledged: int
    failed: int
    dropped: dict[DropReason, int]
    unsupported: int
    preprocessed: int
    handled: int
    pending: int
    incomplete: dict[str, int] = dataclasses.field(default_factory=dict)
    unknown_members: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    frames_with_unknown_members: dict[str, int] = dataclasses.field(default_factory=dict)
    unsupported_by_topic: dict[str, int] = dataclasses.field(default_factory=dict)
    failed_by_reason: dict[str, int] = dataclasses.field(default_factory=dict)
    recorded_frames: int = 0
    recorder_dropped: int = 0
    acknowledged_means_sent: bool = False

    def __repr__(self) -> str:
        figures = {name: value for name, value in self.as_dict().items() if value}
        return f"Counters({', '.join(f'{name}={value}' for name, value in figures.items())})"

    @property
    def in_flight(self) -> int:
        """Messages in the producer's queue or on their way."""
        return self.published - self.acknowledged - self.failed

    @property
    def total_dropped(self) -> int:
        """Frames dropped, whatever the reason."""
        return sum(self.dropped.values())

    def is_closed(self) -> bool:
        """Is every frame accounted for?"""
        return (
            self.frames
            == self.published + self.total_dropped + self.unsupported + self.handled + self.pending
            and self.in_flight >= 0
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the figures in a form for JSON and for the log."""
        # Not by dataclasses.asdict, which copies deeply, for each report.
        return vars(self) | {
            "dropped": {reason.value: count for reason, count in self.dropped.items() if count},
            "total_dropped": self.total_dropped,
            "in_flight": self.in_flight,
        }
