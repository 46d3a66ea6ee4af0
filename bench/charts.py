"""Charts of what the benchmarks measured, as SVG."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from .contenders import OURS
from .mix import TOPIC_NAMES
from .results import Results

__all__ = ["OUR_COLOUR", "draw_charts", "save"]

OUR_COLOUR = "#0072b2"
PEER_COLOUR = "#b3b3b3"


def draw_charts(results: Results, folder: Path) -> list[str]:
    """Draw all charts into a folder; return the names of the files."""
    names = []
    for stage in results.stages:
        save(_draw_contenders(results, stage), folder / f"{stage}.svg")
        names.append(f"{stage}.svg")
    if "core" in results.stages:
        save(_draw_topics(results), folder / "topics.svg")
        names.append("topics.svg")
    return names


def save(figure: Figure, path: Path) -> None:
    """Save a chart."""
    # The same figures give the same file.
    with mpl.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})


def _draw_contenders(results: Results, stage: str) -> Figure:
    """Draw a bar for each contender, for the first workload of a stage."""
    workload = results.workloads(stage)[0]
    found = results.contenders(stage, workload)
    figure = Figure(figsize=(8, 0.9 + 0.45 * len(found)), layout="constrained")
    axes = figure.subplots()
    colours = [OUR_COLOUR if result.contender.startswith(OURS) else PEER_COLOUR for result in found]
    bars = axes.barh(
        [result.contender for result in found], [result.microseconds for result in found], color=colours
    )
    labels = [f"{result.microseconds:.2f} us ({result.seconds / found[0].seconds:.1f} x)" for result in found]
    axes.bar_label(bars, labels, padding=4)
    axes.margins(x=0.3)
    axes.invert_yaxis()
    axes.set_xlabel("processor's time for an item [us]")
    axes.set_title(f"{stage}: {workload}", loc="left")
    return figure


def _draw_topics(results: Results) -> Figure:
    """Draw the core's time for a frame of each topic over the size of its frames."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    topics = [workload for workload in results.workloads("core") if workload in TOPIC_NAMES]
    names = [result.contender for result in results.contenders("core", topics[0])]
    for index, name in enumerate(names):
        found = [results.contenders("core", topic)[index] for topic in topics]
        axes.plot(
            [result.item_size for result in found],
            [result.microseconds for result in found],
            "o",
            color=OUR_COLOUR if name == OURS else f"C{index}",
            label=name,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("mean size of a topic's frames [bytes]")
    axes.set_ylabel("processor's time for a frame [us]")
    axes.set_title("core: each topic by itself", loc="left")
    axes.legend()
    return figure
