"""Where each frame went: the account of one run, and what does not add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .verifier_result import TopicVerifierResult, VerifierResult

__all__ = ["FrameCounts", "TopicCounts"]


@dataclass(frozen=True)
class TopicCounts:
    """Where the frames of one topic went."""

    sent: int  #: Frames that the simulator handed over
    published: int  #: Records that the broker has
    #: Frames that the client says it did not publish, as far as that can be told by topic: it is told if
    #: that explains all that are missing.
    dropped: int
    read_back: TopicVerifierResult | None  #: What was read back; None if the topic was not read

    @property
    def missing(self) -> int:
        """Frames that have no record, whatever the reason."""
        unmatched = 0 if self.read_back is None else self.read_back.lost
        return max(self.sent - self.published, unmatched)

    @property
    def lost(self) -> int:
        """Frames that have no record and were not dropped."""
        return self.missing - self.dropped

    @property
    def wrong(self) -> int:
        """Records that are wrong in any way: a value, their order, or that they came twice."""
        if self.read_back is None:
            return 0
        return self.read_back.wrong + self.read_back.repeated + self.read_back.out_of_sequence


@dataclass(frozen=True)
class FrameCounts:
    """Where all frames of one run went."""

    #: Frames that the simulator handed over and that are to be published, by SAL name of the topic.
    sent: Mapping[str, int]
    #: Records that the broker got, by SAL name: how far its high watermark has moved.
    written: Mapping[str, int]
    read_back: VerifierResult  #: What was read back, of all topics or of some
    #: The client's own counters; see `lsst.ts.mtmount.Counters.as_dict`. None if the client tells none.
    counters: Mapping[str, Any] | None
    unsupported: Mapping[str, int] = field(default_factory=dict)  #: Frames sent of topics that SAL lacks
    invalid: int = 0  #: Frames sent that the client must drop

    @property
    def total_sent(self) -> int:
        """Frames sent."""
        return sum(self.sent.values()) + self.total_unsupported + self.invalid

    @property
    def total_unsupported(self) -> int:
        """Frames sent of topics that SAL lacks."""
        return sum(self.unsupported.values())

    @property
    def total_written(self) -> int:
        """Records that the broker got."""
        return sum(self.written.values())

    @property
    def not_published(self) -> int:
        """Frames that the client tells it read and did not publish: dropped, unsupported, ..."""
        if self.counters is None:
            return 0
        kinds = ("total_dropped", "unsupported", "handled", "pending")
        return sum(int(self.counters[kind]) for kind in kinds)

    @property
    def dropped(self) -> int:
        """Frames that the client tells it dropped."""
        return 0 if self.counters is None else int(self.counters["total_dropped"])

    @property
    def lost(self) -> int:
        """Frames that have no record, and that the client does not account for."""
        return max(self._count_missing() - self._count_withheld(), 0)

    @property
    def wrong(self) -> int:
        """Records that are wrong in any way."""
        return sum(topic.wrong for topic in self.topics.values())

    @property
    def is_read_whole(self) -> bool:
        """Were all topics read back?"""
        return self.sent.keys() == self.read_back.topics.keys()

    @property
    def topics(self) -> dict[str, TopicCounts]:
        """The account by topic."""
        is_explained = self._count_missing() == self._count_withheld()
        topics = {name: self._make_topic(name) for name in self.sent}
        if is_explained:
            return {name: replace(topic, dropped=topic.missing) for name, topic in topics.items()}
        return topics

    def _make_topic(self, name: str) -> TopicCounts:
        return TopicCounts(self.sent[name], self.written[name], 0, self.read_back.topics.get(name))

    def _count_missing(self) -> int:
        return sum(self._make_topic(name).missing for name in self.sent)

    def _count_withheld(self) -> int:
        """Count the frames that the client did not publish although it should have."""
        return max(self.not_published - self.total_unsupported - self.invalid, 0)

    def find_discrepancies(self) -> list[str]:
        """Find what does not add up, or is wrong, for people.

        Nothing if each frame that was sent is accounted for, none was lost, dropped
        or repeated, and each record is right.
        """
        if not self.total_sent:
            return ["no frame was sent: the client did not connect"]
        return [*self._check_client(), *self._check_broker(), *self._check_reader()]

    def _check_client(self) -> list[str]:
        """Check the client's own counters, against the wire and in themselves."""
        counters = self.counters
        if counters is None:
            return []
        found = []
        if counters["frames"] != self.total_sent:
            found.append(f"{self.total_sent} frames were sent, the client read {counters['frames']}")
        if counters["frames"] != counters["published"] + self.not_published:
            found.append(
                f"the client read {counters['frames']} frames, but accounts for "
                f"{counters['published'] + self.not_published}"
            )
        if counters["published"] != counters["acknowledged"]:
            found.append(
                f"the client published {counters['published']} records; {counters['acknowledged']} were "
                f"acknowledged, {counters['failed']} failed, {counters['in_flight']} were left in flight"
            )
        if counters["total_dropped"] != self.invalid:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in counters["dropped"].items())
            expected = f"; {self.invalid} cannot be published" if self.invalid else ""
            found.append(f"the client dropped {counters['total_dropped']} frames ({reasons}){expected}")
        for kind, num_expected in (("unsupported", self.total_unsupported), ("handled", 0), ("pending", 0)):
            if (count := int(counters[kind])) != num_expected:
                expected = f", of {num_expected} sent" if num_expected else ""
                found.append(f"{count} frames are {kind}{expected}")
        if counters["acknowledged"] != self.total_written:
            found.append(
                f"the client has {counters['acknowledged']} acknowledgements, "
                f"the broker got {self.total_written} records"
            )
        return found

    def _check_broker(self) -> list[str]:
        """Check what the broker got against what was sent, topic by topic."""
        found = []
        if self.lost:
            found.append(f"{self.lost} frames were lost")
        for name, sent in self.sent.items():
            if (written := self.written[name]) != sent:
                found.append(f"{name}: {sent} frames were sent, the broker got {written} records")
        return found

    def _check_reader(self) -> list[str]:
        """Check what was read back."""
        found = []
        read_back = self.read_back
        if read_back.failure is not None:
            found.append(f"not everything was read back: {read_back.failure}")
        for name, topic in read_back.topics.items():
            if topic.missed:
                found.append(
                    f"{name}: {topic.missed} records were gone before they could be read back: "
                    "the reader was too slow for what the broker keeps"
                )
            if topic.decoded + topic.missed != self.written[name]:
                found.append(
                    f"{name}: the broker got {self.written[name]} records, {topic.decoded} were decoded"
                )
        for kind, text in (
            ("out_of_sequence", "records are out of sequence"),
            ("wrong", "records are wrong"),
            ("repeated", "records came twice"),
            ("lost", "frames have no record"),
        ):
            if count := read_back.sum_up(kind):
                found.append(f"{count} {text}")
        return found
