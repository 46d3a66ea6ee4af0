"""Verdicts that hold on a noisy machine: ratios to a named peer, both measured in turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, TypeAlias

from . import test_client, test_core, test_decode, test_structs
from .conftest import count_iterations
from .contenders import OURS, Contender, Run
from .mix import ALTERNATING, MIX, TOPIC_NAMES, find_workload
from .services import APACHE

__all__ = ["Verdict", "compare_in_turns", "make_verdicts"]

#: A stage's module, a workload, and a contender.
Entry: TypeAlias = tuple[Any, str, str]

#: Pairs of one comparison.
NUM_PAIRS = 41
NUM_QUICK_PAIRS = 3


@dataclass(frozen=True)
class Verdict:
    """The ratios of two contenders that took turns.

    Parameters
    ----------
    text : `str`
        What must hold.
    limit : `float`
        Most that the median may be.
    ratios : `list` [`float`]
        Of each pair, per item.
    """

    text: str
    limit: float
    ratios: list[float]

    @property
    def holds(self) -> bool:
        """Whether the median of the ratios is within the limit."""
        return median(self.ratios) <= self.limit

    def __str__(self) -> str:
        low, middle, high = quantiles(self.ratios, n=4)
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        return f"{self.text}: {middle:.2f} ({low:.2f} to {high:.2f}; limit {self.limit:g}), {verdict}"


def compare_in_turns(ours: Run, peer: Run, num_pairs: int) -> list[float]:
    """Let two runs take turns; return the ratio of the processor's time for an item of each pair."""
    counts = [1 if run.prepare is not None else count_iterations(run) for run in (ours, peer)]
    gc.collect()
    # The first pair only warms up.
    ratios = [_time_item(ours, counts[0]) / _time_item(peer, counts[1]) for _ in range(num_pairs + 1)]
    return ratios[1:]


def _time_item(run: Run, num_iterations: int) -> float:
    if run.prepare is not None:
        run.prepare()
    start = time.process_time()
    for _ in range(num_iterations):
        run.work()
    duration = time.process_time() - start
    run.finish()
    return duration / num_iterations / run.num_items


def make_verdicts(*, is_quick: bool) -> Iterator[Verdict]:
    """Judge all pairs."""
    num_pairs = NUM_QUICK_PAIRS if is_quick else NUM_PAIRS
    core, decode, structs = test_core, test_decode, test_structs
    simdjson, msgspec, orjson = "pysimdjson, parsed only", "msgspec, typed", "orjson"
    checks: list[tuple[str, float, Entry, Entry]] = [
        (
            "framing, decoding and encoding take half of what orjson takes to decode",
            0.5,
            (core, MIX, OURS),
            (decode, MIX, orjson),
        ),
        (
            "decoding to dicts, for preprocessors, takes half of json.loads's time",
            0.5,
            (decode, MIX, test_decode.OURS_AS_DICTS),
            (decode, MIX, "json"),
        ),
        *(
            (
                f"decoding, order alternates: ahead of {peer}",
                1.0,
                (decode, ALTERNATING, OURS),
                (decode, ALTERNATING, peer),
            )
            for peer in (msgspec, orjson)
        ),
        *(
            (f"decoding {name}: ahead of {simdjson}", 1.0, (decode, name, OURS), (decode, name, simdjson))
            for name in (MIX, *TOPIC_NAMES)
        ),
    ]
    for workload, contenders in structs.CONTENDERS.items():
        peer = contenders[1].name
        checks.append(
            (
                f"structs, {workload}: not behind {peer}",
                1.05,
                (structs, workload, OURS),
                (structs, workload, peer),
            )
        )
    for text, limit, ours, peer_entry in checks:
        with closing(_make_run(ours)) as our_run, closing(_make_run(peer_entry)) as peer_run:
            yield Verdict(text, limit, compare_in_turns(our_run, peer_run, num_pairs))
    yield from _compare_clients(num_pairs, is_quick=is_quick)


def _compare_clients(num_pairs: int, *, is_quick: bool) -> Iterator[Verdict]:
    for workload, kafka in test_client.KAFKAS.items():
        place = kafka if kafka == APACHE else f"the {kafka}"
        with test_client.open_services(kafka, is_quick=is_quick) as services:
            pairs = [
                (OURS, test_client.BARE_PRODUCER, 1.6),
                (test_client.ONE_PREPROCESSOR, OURS, 1.05),
            ]
            # That limit is one for a real Kafka.
            if kafka == APACHE:
                pairs.append((OURS, test_client.TIGHT_PRODUCER, 1.9))
            for name, peer, limit in pairs:
                ours, theirs = (_find(test_client, workload, one) for one in (name, peer))
                with (
                    closing(ours.make_run(services)) as our_run,
                    closing(theirs.make_run(services)) as peer_run,
                ):
                    ratios = compare_in_turns(our_run, peer_run, num_pairs)
                what = name.replace(OURS, "whole client")
                against = "that without one" if peer == OURS else f"the {peer}"
                yield Verdict(f"{what} on {place}, against {against}", limit, ratios)


def _find(module: Any, workload: str, name: str) -> Contender:
    contenders: list[Contender] = module.CONTENDERS[workload]
    return next(contender for contender in contenders if contender.name == name)


def _make_run(entry: Entry) -> Run:
    module, workload, name = entry
    # Those of structures are named, not made of frames.
    subject = workload if module is test_structs else find_workload(workload)
    return _find(module, workload, name).make_run(subject)
