"""Which interfaces are compared with which, and the result."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from ...sal.interface_differences import compare_sal, compare_tma_with_sal
from ...sal.interface_fitting import fit_tma_to_sal
from ...tma_interface import Difference, compare_tma_interfaces
from .sources import Source

__all__ = ["Comparison", "compare_sources"]


@dataclass(frozen=True)
class Comparison:
    """What came of two interfaces."""

    #: Names of the interfaces: what is sent, and what takes it.
    first: str
    second: str
    differences: tuple[Difference, ...]

    @property
    def has_loss(self) -> bool:
        """Would anything be lost?"""
        return any(difference.is_loss for difference in self.differences)


def compare_sources(sources: Sequence[Source]) -> list[Comparison]:
    """Compare interfaces, at least two, along the way of the data: the wire, the client's map, SAL.

    What is live comes first, then the TMA's interfaces as they are given, then
    SAL's. Each is compared with the one before it; a SAL interface with the last
    one of the TMA, if there is one.
    """
    ordered = sorted(sources, key=lambda source: 2 if source.tma is None else source.observation is None)
    comparisons = []
    for previous, source in itertools.pairwise(ordered):
        if source.tma is None:
            first = next((other for other in reversed(ordered) if other.tma is not None), previous)
        else:
            first = previous
        if first.tma is None:
            found = list(compare_sal(first.sal, source.sal))
        elif source.tma is None:
            found = list(compare_tma_with_sal(first.tma, source.sal))
        else:
            found = list(compare_tma_interfaces(first.tma, source.tma))
        if first.tma is not None and first.observation is not None:
            # To compare with SAL alone, the map has what was seen, in SAL's fields.
            taken = source.tma or fit_tma_to_sal(first.tma, source.sal.values())
            found = [*first.observation.compare(first.tma, taken), *first.observation.excuse(found, taken)]
        comparisons.append(Comparison(first.name, source.name, tuple(found)))
    return comparisons
