import math
import xml.etree.ElementTree as ElementTree

import pytest

from lsst.ts.mtmount.tools.load_test.html_report import STYLE
from lsst.ts.mtmount.tools.load_test.svg_chart import Chart, Line, _choose_ticks, make_percentile_axis


def parse(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(chart.draw())


def list_points(figure: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """List the points of each line."""
    lines = []
    for path in figure.iter("path"):
        if path.attrib["class"].startswith("line"):
            pairs = path.attrib["d"].removeprefix("M").split("L")
            lines.append([(float(x), float(y)) for x, y in (pair.split() for pair in pairs)])
    return lines


def test_places_points() -> None:
    figure = parse(Chart("A & B", "time [s]", "<1/s>", [Line("one & two", [0, 1, 2], [0, 5, 10])]))
    ((first, middle, last),) = list_points(figure)
    assert first[0] < middle[0] < last[0]
    assert first[1] > middle[1] > last[1]
    assert middle == pytest.approx(((first[0] + last[0]) / 2, (first[1] + last[1]) / 2), abs=0.11)
    texts = [text.text for text in figure.iter("text")]
    assert "time [s]" in texts
    assert "<1/s>" in texts
    assert [span.text for span in figure.iter("span")] == ["one & two"]


def test_logarithmic_axis() -> None:
    figure = parse(Chart("t", "x", "y", [Line("s", [0, 1, 2], [1, 10, 100])], log_y=True))
    ((first, middle, last),) = list_points(figure)
    assert first[1] - middle[1] == pytest.approx(middle[1] - last[1], abs=0.11)
    assert {"1", "10", "100"} <= {text.text for text in figure.iter("text")}


def test_leaves_out_what_is_not_known() -> None:
    series = Line("s", [0, 1, 2, None, 4], [1.0, None, math.nan, 3.0, 4.0])
    (points,) = list_points(parse(Chart("t", "x", "y", [series, Line("empty", [], [])])))
    assert len(points) == 2


def test_nothing_to_draw() -> None:
    figure = parse(Chart("t", "x", "y", [Line("s", [0.0], [0.0])], log_y=True))
    assert "".join(figure.itertext()) == "t: no figures"


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [0.0, 0.0]])
def test_values_that_do_not_differ(values: list[float]) -> None:
    figure = parse(Chart("t", "x", "y", [Line("s", list(range(len(values))), values)]))
    assert any(path.attrib["class"] == "line c0" for path in figure.iter("path"))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 218_000), (3.2, 3.9), (-5, 1e-3), (0, 7e-9)])
def test_ticks_are_round_and_few(low: float, high: float) -> None:
    ticks = [value for value, _ in _choose_ticks(low, high)]
    assert 3 <= len(ticks) <= 8
    assert low - 1e-9 <= ticks[0] < ticks[-1] <= high * (1 + 1e-9)
    step = ticks[1] - ticks[0]
    assert round(step / 10 ** math.floor(math.log10(step * 1.0001)), 6) in (1, 2, 5)


def test_each_nine_gets_the_same_room() -> None:
    places, ticks = make_percentile_axis([0, 90, 99, 99.9])
    assert places == pytest.approx([0, 1, 2, 3])
    assert {name: value for value, name in ticks}["99 %"] == pytest.approx(2)


def test_labels_fit() -> None:
    """No digit is much wider than 7 px of the 560 that the drawing has."""
    places, ticks = make_percentile_axis([0, 50, 99.999])
    chart = Chart("t", "x", "y", [Line("s", places, [1.0, 2.0, 1_200_000.0])], x_ticks=ticks)
    texts = [text for text in parse(chart).iter("text") if "x" in text.attrib]
    assert {"99.999 %", "1,000,000"} <= {text.text for text in texts}
    for text in texts:
        assert text.text is not None
        x, width = float(text.attrib["x"]), 7 * len(text.text)
        left = {"middle": x - width / 2, "end": x - width}[text.attrib["text-anchor"]]
        # The label of the y axis is at the left edge.
        assert (14 if text.attrib["text-anchor"] == "end" else 0) <= left <= 560 - width


def test_single_charts_are_no_larger_than_others() -> None:
    assert "repeat(auto-fill, " in STYLE
