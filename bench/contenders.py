"""What is timed: this package and its peers, each doing the same work on the same input."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["OURS", "Contender", "Job", "Run", "run_jobs"]

#: Name of this package among the contenders.
OURS = "this package"

#: A function and its arguments.
Job: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass
class Run:
    """One contender, ready to do its work on one workload.

    Parameters
    ----------
    work : callable
        Does the work once for all items of the workload. This is timed.
    results : callable
        Does the same and returns what it made of each item, to compare. Called once,
        before ``work``.
    num_items : `int`
        Frames, or whatever else is worked on.
    num_bytes : `int`
        Their size on the wire.
    close : callable
        Releases what the run holds.
    prepare : callable, optional
        Gets ready for ``work`` each time; this is not timed.
    notes : callable
        Further figures, to be had at the end.
    finish : callable
        Leaves the services to another run that takes turns; this is not timed.
    """

    work: Callable[[], object]
    results: Callable[[], Sequence[Any]]
    num_items: int
    num_bytes: int
    close: Callable[[], object] = lambda: None
    prepare: Callable[[], object] | None = None
    notes: Callable[[], Mapping[str, Any]] = dict
    finish: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Contender:
    """This package, or one of its peers.

    Parameters
    ----------
    name : `str`
        `OURS`, or how the peer is called in tables.
    make_run : callable
        Gets ready for a workload.
    """

    name: str
    make_run: Callable[[Any], Run]


def run_jobs(jobs: Sequence[Job]) -> None:
    """Do all jobs, and drop what they return."""
    for function, arguments in jobs:
        function(*arguments)
