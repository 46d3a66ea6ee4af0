"""The state of the telemetry as lines of text.

The columns have fixed widths and are laid out here: rich's own tables take several
times as long, at each refresh of the screen.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

from ...resilience.escape import escape
from .monitor_state import SPAN, FieldState, MonitorState, TopicState, TopicStatus
from .sparkline import LEVELS, draw_sparkline
from .value_text import format_value, format_values

__all__ = ["Column", "Renderer", "make_line"]

#: From this width on there is room for all columns [characters].
WIDE = 120

HEADING_STYLE = "bold underline"
ALARM_STYLE = "bold red"
TREND_STYLE = "cyan"

STATUS_STYLES = {
    TopicStatus.LIVE: "green",
    TopicStatus.SEEN: "green",
    TopicStatus.LATE: ALARM_STYLE,
    TopicStatus.WAITING: "dim",
    TopicStatus.MISSING: "yellow",
    TopicStatus.NO_SCHEMA: "yellow",
    TopicStatus.BAD: ALARM_STYLE,
}


class Column(NamedTuple):
    """A column."""

    title: str
    width: int  #: Width [characters]
    is_right: bool = True  #: Is it flush right?


#: The columns of topics that every terminal has room for: with the gaps
#: between them 78 characters.
TOPIC_COLUMNS = (
    # First: a narrow terminal cuts the rest.
    Column("status", 9, is_right=False),
    Column("topic", 25, is_right=False),
    Column("rec/s", 7),
    Column("age s", 6),
    Column("SAL ms", 8),
    Column("max ms", 8),
    Column("TMA ms", 9),
)
WIDE_TOPIC_COLUMNS = (Column("records", 10), Column("lost", 7), Column("bad", 7))

FIELD_WIDTH, VALUE_WIDTH = 32, 22
#: Least width of a field's name: on a narrow terminal its value is cut, too.
MIN_FIELD_WIDTH = 6
WIDE_FIELD_COLUMNS = (
    Column("field", 46, is_right=False),
    Column("value", 26),
    Column("lowest", 14),
    Column("highest", 14),
)


def make_line(columns: Sequence[Column], cells: Sequence[Text]) -> Text:
    """Make a line of cells, each in its column. What is too long is cut."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for column, cell in zip(columns, cells, strict=True):
        cell.truncate(column.width, overflow="ellipsis", pad=not column.is_right)
        if column.is_right:
            cell.pad_left(column.width - cell.cell_len)
        line.append_text(cell).append(" ")
    return line


class Renderer:
    """Renders parts of the state, for a terminal of some width [characters].

    ``levels`` are characters for curves, from the lowest to the highest.
    """

    def __init__(self, state: MonitorState, levels: str = LEVELS) -> None:
        self._state = state
        self._levels = levels

    def render_header(self, title: str, now: float) -> list[Text]:
        """Render title and totals, two lines; trouble takes the title's place."""
        topics = self._state.topics.values()
        minutes, seconds = divmod(int(now - self._state.start), 60)
        first = Text(no_wrap=True, overflow="ellipsis")
        if self._state.trouble:
            first.append(f"Kafka cannot be read: {self._state.trouble}", ALARM_STYLE)
        else:
            first.append(title, "bold")
            first.append(f"   {minutes // 60}:{minutes % 60:02}:{seconds:02}")
        # What is bad comes first: a narrow terminal cuts the end.
        total = Text(f"{len(topics)} topics: ", no_wrap=True, overflow="ellipsis")
        counts = Counter(topic.get_status(now) for topic in topics)
        total.append(
            Text(", ").join(
                Text(f"{counts[status]} {status}", STATUS_STYLES[status])
                for status in TopicStatus
                if counts[status]
            )
        )
        publishers = self._state.publishers.list_at_once(now)
        if len(publishers) > 1:
            total.append(f"   {len(publishers)} publishers at once: ", ALARM_STYLE)
            total.append(", ".join(map(str, publishers)), ALARM_STYLE)
        elif publishers:
            total.append(f"   publisher {publishers[0]}")
        num_lost = sum(topic.num_lost for topic in topics)
        num_bad = sum(topic.num_bad for topic in topics)
        total.append("   ")
        total.append(f"{num_lost} lost, {num_bad} bad", ALARM_STYLE if num_lost or num_bad else "")
        if num_without_schema := sum(topic.num_without_schema for topic in topics):
            total.append(f", {num_without_schema} without schema", "yellow")
        rate = sum(topic.arrivals.compute_rate(now, SPAN) for topic in topics)
        total.append(f"   {rate:.1f} rec/s")
        return [first, total]

    def render_topics(self, topics: Sequence[TopicState], now: float, width: int) -> list[Text]:
        """Render topics, one a line, under a heading."""
        columns = list(TOPIC_COLUMNS)
        trend = None
        if width >= WIDE:
            columns += WIDE_TOPIC_COLUMNS
            trend = _make_trend_column("rec/s, ", columns, width)
            columns.append(trend)
        lines = [_make_heading(columns)]
        for topic in topics:
            status = topic.get_status(now)
            cells = [
                Text(status, STATUS_STYLES[status]),
                Text(topic.label),
                Text(f"{topic.arrivals.compute_rate(now, SPAN):.1f}"),
                Text(_format_number(topic.get_age(now))),
                Text(_format_number(1000 * topic.latencies.compute_mean(now, SPAN))),
                Text(_format_number(1000 * topic.latencies.find_maximum(now, SPAN))),
                Text(_format_number(1000 * topic.tma_latencies.compute_mean(now, SPAN))),
            ]
            if trend is not None:
                cells += [
                    Text(str(topic.num_records)),
                    Text(str(topic.num_lost), ALARM_STYLE if topic.num_lost else ""),
                    Text(str(topic.num_bad), ALARM_STYLE if topic.num_bad else ""),
                ]
                if topic.is_event:
                    cells.append(Text(format_values(topic.values)))
                else:
                    counts = topic.arrivals.list_counts(now, trend.width)
                    cells.append(Text(draw_sparkline(counts, levels=self._levels, lowest=0), TREND_STYLE))
            lines.append(make_line(columns, cells))
        return lines

    def render_fields(self, fields: Sequence[FieldState], now: float, width: int) -> list[Text]:
        """Render fields, one a line, under a heading; nothing if there are none."""
        if not fields:
            return []
        is_wide = width >= WIDE
        columns = list(WIDE_FIELD_COLUMNS) if is_wide else _make_field_columns(width)
        has_trend = width > FIELD_WIDTH + VALUE_WIDTH + 3
        trend = _make_trend_column("", columns, width)
        if has_trend:
            columns.append(trend)
        lines = [_make_heading(columns)]
        for field in fields:
            means = field.history.list_means(now, trend.width)
            cells = [Text(str(field.name)), _make_value_cell(field)]
            if is_wide:
                present = [mean for mean in means if mean is not None]
                cells += [Text(format_value(limit(present)) if present else "-") for limit in (min, max)]
            if has_trend:
                cells.append(Text(draw_sparkline(means, levels=self._levels), TREND_STYLE))
            lines.append(make_line(columns, cells))
        return lines


def _make_field_columns(width: int) -> list[Column]:
    """Make the columns of names and values for a width that is not `WIDE`; the value has the first right."""
    name_width = max(MIN_FIELD_WIDTH, min(FIELD_WIDTH, width - VALUE_WIDTH - 2))
    value_width = max(1, min(VALUE_WIDTH, width - name_width - 2))
    return [Column("field", name_width, is_right=False), Column("value", value_width)]


def _make_heading(columns: Sequence[Column]) -> Text:
    return make_line(columns, [Text(column.title, HEADING_STYLE) for column in columns])


def _make_trend_column(title: str, columns: Sequence[Column], width: int) -> Column:
    """Make a column for curves that takes the rest of the width; one character is one second."""
    rest = max(1, width - sum(column.width + 1 for column in columns) - 1)
    return Column(f"{title}last {rest} s", rest, is_right=False)


def _make_value_cell(field: FieldState) -> Text:
    if field.is_absent:
        return Text("absent", "yellow")
    if field.value is None:
        return Text("-")
    return Text(f"{format_value(field.value)} {escape(field.units)}".rstrip())


def _format_number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"
