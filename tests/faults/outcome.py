"""What a fault did, in figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from lsst.ts.mtmount import Counters

from .read_back import ReadBack

#: Under this name a test hands its outcome to the table of faults.
PROPERTY = "fault outcome"

#: Takes the arguments of `Outcome.of`, or without counters those of `Outcome`.
RecordOutcome = Callable[..., None]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One row of the table of faults; what makes no sense for a fault is None.

    Parameters
    ----------
    fault : `str`
        What happened.
    result : `str`
        What came of it, in a few words.
    sent : `int` or `None`
        Frames that the TMA sent, whole or not.
    published : `int` or `None`
        Frames that the client handed to the Kafka producer.
    read_back : `int` or `None`
        Different records that an independent reader found in Kafka.
    counted : `int` or `None`
        Frames that the client counted as dropped, failed or unsupported.
    duplicated : `int` or `None`
        Records that were in Kafka more than once.
    seconds : `float` or `None`
        How long it took, from the end of the fault, until all was well again
        or the program had ended [s].
    """

    fault: str
    result: str
    sent: int | None = None
    published: int | None = None
    read_back: int | None = None
    counted: int | None = None
    duplicated: int | None = None
    seconds: float | None = None

    @property
    def lost(self) -> int | None:
        """Frames that were sent and are not in Kafka, counted or not."""
        if self.sent is None or self.read_back is None:
            return None
        return self.sent - self.read_back

    @classmethod
    def of(
        cls,
        fault: str,
        result: str,
        counters: Counters | Mapping[str, Any],
        *,
        sent: int,
        found: ReadBack,
        seconds: float | None = None,
    ) -> Outcome:
        """Make an outcome of the client's counters and of what was read back.

        Parameters
        ----------
        fault, result, sent, seconds
            As in the class.
        counters
            The client's, or its report of them.
        found
            What was in Kafka.
        """
        figures = counters.as_dict() if isinstance(counters, Counters) else counters
        return cls(
            fault,
            result,
            sent=sent,
            published=figures["published"],
            read_back=found.num_unique,
            counted=figures["total_dropped"] + figures["failed"] + figures["unsupported"],
            duplicated=found.num_duplicated,
            seconds=seconds,
        )


def check_sums(counters: Counters | Mapping[str, Any], *, is_over: bool = True) -> None:
    """Check that every frame is accounted for.

    Parameters
    ----------
    counters
        The client's, or its report of them.
    is_over
        Has the client ended, so that nothing can be under way?
    """
    figures = counters.as_dict() if isinstance(counters, Counters) else dict(counters)
    assert sum(figures["dropped"].values()) == figures["total_dropped"], figures
    assert figures["frames"] == (
        figures["published"]
        + figures["total_dropped"]
        + figures["unsupported"]
        + figures["handled"]
        + figures["pending"]
    ), figures
    in_flight = figures["published"] - figures["acknowledged"] - figures["failed"]
    assert in_flight == figures["in_flight"] >= 0, figures
    if is_over:
        assert in_flight == figures["pending"] == 0, figures
