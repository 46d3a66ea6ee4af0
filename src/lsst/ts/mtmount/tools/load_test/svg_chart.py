"""Line charts as inline SVG: no library, nothing to load."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Chart", "Line", "make_percentile_axis"]

#: Size of the drawing and of the margins around the plot [px]: right and left is room for half of "99.999 %"
#: and for "1,000,000".
WIDTH = 560
HEIGHT = 280
LEFT, RIGHT, TOP, BOTTOM = 84, 28, 12, 44

#: About this many ticks on an axis.
NUM_TICKS = 6

#: Colours of the series, by class in the style sheet: c0, c1, ...
NUM_COLOURS = 8


@dataclass(frozen=True)
class Line:
    """A line of a chart."""

    name: str  #: What it is, for the legend
    #: Its points; those that are not known, or not finite, are left out.
    x: Sequence[float | None]
    y: Sequence[float | None]

    def list_points(self, *, log_y: bool) -> list[tuple[float, float]]:
        """List the points that can be drawn."""
        return [
            (x, y)
            for x, y in zip(self.x, self.y, strict=True)
            if x is not None and y is not None and math.isfinite(x + y) and (y > 0 or not log_y)
        ]


@dataclass(frozen=True)
class Chart:
    """A chart of some lines."""

    title: str
    #: What the axes are, with units.
    x_label: str
    y_label: str
    series: Sequence[Line]
    log_y: bool = False  #: Is the y axis logarithmic?
    #: Ticks of the x axis and their names; chosen by themselves by default.
    x_ticks: Sequence[tuple[float, str]] | None = None

    def draw(self) -> str:
        """Draw it: SVG, ready to be put into a page, or a note if there is nothing to draw."""
        lines = [(series.name, series.list_points(log_y=self.log_y)) for series in self.series]
        points = [point for _, line in lines for point in line]
        if not points:
            return f"<figure><figcaption>{escape(self.title)}: no figures</figcaption></figure>"
        place_x, x_ticks = self._make_x_axis([x for x, _ in points])
        place_y, y_ticks = self._make_y_axis([y for _, y in points])
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}">',
            *self._draw_grid(place_x, x_ticks, place_y, y_ticks),
            *(
                _draw_line(index, [(place_x(x), place_y(y)) for x, y in line])
                for index, (_, line) in enumerate(lines)
                if line
            ),
            "</svg>",
        ]
        legend = "".join(
            f'<span class="c{index % NUM_COLOURS}">{escape(name)}</span>'
            for index, (name, line) in enumerate(lines)
            if line
        )
        caption = f'<figcaption>{escape(self.title)}<div class="legend">{legend}</div></figcaption>'
        return f"<figure>{caption}{''.join(parts)}</figure>"

    def _make_x_axis(self, values: list[float]) -> tuple[Callable[[float], float], list[tuple[float, str]]]:
        low, high = min(values), max(values)
        ticks = list(self.x_ticks) if self.x_ticks is not None else _choose_ticks(low, high)
        ticks = [(value, name) for value, name in ticks if low <= value <= high]
        return _make_scale(low, high, LEFT, WIDTH - RIGHT), ticks

    def _make_y_axis(self, values: list[float]) -> tuple[Callable[[float], float], list[tuple[float, str]]]:
        bottom, top = HEIGHT - BOTTOM, TOP
        if not self.log_y:
            high = max(values) * 1.05 or 1.0
            return _make_scale(0.0, high, bottom, top), _choose_ticks(0.0, high)
        # Whole decades, so that each has its tick.
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        high = max(high, low + 1)
        scale = _make_scale(low, high, bottom, top)
        ticks = [(10.0**decade, _format_tick(10.0**decade)) for decade in range(low, high + 1)]
        return lambda value: scale(math.log10(value)), ticks

    def _draw_grid(
        self,
        place_x: Callable[[float], float],
        x_ticks: Iterable[tuple[float, str]],
        place_y: Callable[[float], float],
        y_ticks: Iterable[tuple[float, str]],
    ) -> list[str]:
        parts = []
        for value, name in x_ticks:
            x = place_x(value)
            parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
            parts.append(
                f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(name)}</text>'
            )
        for value, name in y_ticks:
            y = place_y(value)
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        centre_x, centre_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
        parts.append(
            f'<text x="{centre_x}" y="{HEIGHT - 8}" text-anchor="middle">{escape(self.x_label)}</text>'
        )
        parts.append(
            f'<text transform="translate(14 {centre_y}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_label)}</text>"
        )
        return parts


def _draw_line(index: int, points: Sequence[tuple[float, float]]) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    # A single point is drawn as a dot: its line has no length.
    return f'<path class="line c{index % NUM_COLOURS}" d="M{path}{"" if len(points) > 1 else "h0"}"/>'


def _make_scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Make what turns a value into a place [px]."""
    extent = high - low or 1.0
    return lambda value: start + (value - low) / extent * (end - start)


def _choose_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Choose round numbers: 1, 2 or 5 times a power of ten apart."""
    if high <= low:
        return [(low, _format_tick(low))]
    raw = (high - low) / NUM_TICKS
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(number * step, _format_tick(number * step)) for number in range(first, last + 1)]


def _format_tick(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def make_percentile_axis(percents: Sequence[float]) -> tuple[list[float], list[tuple[float, str]]]:
    """Place percentiles, below 100, so that each further nine gets the same room.

    Return where they are on the axis, and ticks with their names.
    """

    def place(percent: float) -> float:
        return -math.log10(1 - percent / 100)

    ticks = [(place(percent), f"{percent:g} %") for percent in (0, 50, 90, 99, 99.9, 99.99, 99.999)]
    return [place(percent) for percent in percents], ticks
