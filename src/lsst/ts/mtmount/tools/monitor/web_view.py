"""The state of the telemetry as a page for web browsers, by Bokeh's server (the extra ``[web]``)."""

import asyncio
import html
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Self

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.core.properties import value
from bokeh.document import Document
from bokeh.layouts import column
from bokeh.models.annotations import Legend, LegendItem
from bokeh.models.sources import ColumnDataSource
from bokeh.models.widgets.inputs import MultiChoice
from bokeh.models.widgets.markups import Div
from bokeh.palettes import Category10
from bokeh.plotting import figure
from bokeh.server.server import Server
from tornado.ioloop import IOLoop

from ...resilience.escape import escape
from ..reader.live_consumer import Arrival
from .monitor_state import SPAN, FieldState, MonitorState, TopicStatus
from .selection import EVENT_PREFIX, FieldName
from .timeline import LENGTH
from .value_text import format_value, format_values

__all__ = ["WebView"]

#: Most pages that are served at once.
MAX_SESSIONS = 8

#: Most fields that one page plots.
MAX_PLOTTED = 8

#: Time between two updates of a page [s].
UPDATE_INTERVAL = 1.0

#: A page that lost its connection may come back for this long, also to a new server [s].
TOKEN_LIFETIME = 7 * 86400

#: Upper bound for the server to start [s].
START_TIMEOUT = 30.0

TABLE = '<table style="text-align:left;margin-bottom:1em;border-spacing:1em 0">'

COLORS = {
    TopicStatus.BAD: "red",
    TopicStatus.LATE: "red",
    TopicStatus.MISSING: "red",
    TopicStatus.NO_SCHEMA: "red",
    TopicStatus.WAITING: "gray",
    TopicStatus.SEEN: "green",
    TopicStatus.LIVE: "green",
}


@dataclass(frozen=True)
class PageContent:
    """What the pages show: made by the thread that reads, shown by the server's."""

    totals: str  #: Title, alarms and totals, as HTML
    tables: str  #: Fields and topics, as HTML
    curves: dict[FieldName, dict[str, list[float]]]  #: Time [UTC unix ms] and value of the fields


class WebView:
    """Serves pages that are always up to date. A context manager.

    ``choices`` are the fields that a page may plot; those that it does are added to the
    state. Entering raises `OSError` if the address, as browsers name it, cannot be used.
    """

    def __init__(
        self,
        state: MonitorState,
        title: str,
        choices: Sequence[FieldName],
        host: str,
        port: int,
    ) -> None:
        self.is_over = False
        self.url = f"http://{host}:{port}/"
        self._state = state
        self._title = title
        self.choices = {str(name): name for name in choices}
        self._host = host
        self._port = port
        #: What every page begins with; then what all of them plot.
        self.first = [field.name for field in state.fields]
        self._wanted = self.first
        self._pages: list[Page] = []
        self._next_update = -math.inf
        # A page may be opened, or come back, before anything is read.
        self.content = self.make_content(state.start)
        self._started: Future[tuple[Server, IOLoop]] = Future()
        self._thread = threading.Thread(target=self._serve, name="web page", daemon=True)

    def __enter__(self) -> Self:
        # They tell each request.
        for name in ("bokeh", "tornado"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._thread.start()
        self._started.result(START_TIMEOUT)
        return self

    def __exit__(self, *exc_info: object) -> None:
        server, loop = self._started.result(START_TIMEOUT)

        def stop() -> None:
            server.unlisten()
            server.stop()
            loop.stop()

        loop.add_callback(stop)
        self._thread.join()

    def show(self, arrivals: Iterable[Arrival]) -> None:
        """Make what the pages show, if it is time."""
        now = time.monotonic()
        if now < self._next_update:
            return
        self._next_update = now + UPDATE_INTERVAL
        self._state.keep_fields(self._wanted, now)
        self.content = self.make_content(now)

    def show_summary(self, now: float) -> None:
        """Show nothing more: the pages turn gray."""

    def make_content(self, now: float) -> PageContent:
        """Make what the pages show."""
        return PageContent(
            self._render_totals(now),
            self._render_fields() + self._render_topics(now),
            {field.name: _make_curve(field, now) for field in self._state.fields},
        )

    def _render_totals(self, now: float) -> str:
        publishers = self._state.publishers.list_at_once(now)
        lines = [f"<h2>{_to_html(self._title)}</h2>"]
        if self._state.trouble:
            lines.append(_render_alarm(f"Kafka cannot be read: {self._state.trouble}"))
        if len(publishers) > 1:
            lines.append(_render_alarm(f"{len(publishers)} publishers at once: {publishers}"))
        else:
            lines.append(f"<p>publisher: {_to_html(str(publishers[0] if publishers else 'none'))}</p>")
        counts = Counter(topic.get_status(now) for topic in self._state.topics.values())
        totals = ", ".join(
            f'<b style="color:{COLORS[status]}">{counts[status]} {status}</b>'
            for status in TopicStatus
            if counts[status]
        )
        return "".join([*lines, f"<p>{len(self._state.topics)} topics: {totals}</p>"])

    def _render_topics(self, now: float) -> str:
        rows = []
        for topic in self._state.topics.values():
            status = topic.get_status(now)
            age = topic.get_age(now)
            cells = [
                topic.label,
                f"{topic.arrivals.compute_rate(now, SPAN):.1f}",
                "-" if math.isnan(age) else f"{age:.1f}",
                str(topic.num_lost),
                str(topic.num_bad),
                format_values(topic.values),
            ]
            shown = "".join(f"<td>{_to_html(cell)}</td>" for cell in cells)
            rows.append(
                f'<tr id="{_to_html(topic.label)}"><td style="color:{COLORS[status]}"><b>{status}</b></td>'
                f"{shown}</tr>"
            )
        headings = "".join(
            f'<th style="white-space:nowrap">{name}</th>'
            for name in ("status", "topic", "rec/s", "age s", "lost", "bad", "values")
        )
        return f"{TABLE}<tr>{headings}</tr>{''.join(rows)}</table>"

    def _render_fields(self) -> str:
        rows = "".join(
            f'<tr id="{_to_html(str(field.name))}"><td>{_to_html(str(field.name))}</td>'
            f"<td>{_to_html(format_value(field.value))} {_to_html(field.units)}</td></tr>"
            for field in self._state.fields
            if field.value is not None
        )
        return f"{TABLE}{rows}</table>"

    def _serve(self) -> None:
        """Run the server's event loop."""
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            io_loop = IOLoop.current()
            server = Server(
                {"/": Application(FunctionHandler(self._make_page))},
                io_loop=io_loop,
                address=self._host,
                port=self._port,
                allow_websocket_origin=[f"{self._host}:{self._port}"],
                unused_session_lifetime_milliseconds=10_000,
                check_unused_sessions_milliseconds=2_000,
                session_token_expiration=TOKEN_LIFETIME,
            )
            server.start()
        except Exception as error:
            self._started.set_exception(error)
        else:
            self._started.set_result((server, io_loop))
            io_loop.start()
        finally:
            loop.close()

    def _make_page(self, document: Document) -> None:
        """Fill the page of a new session; in the server's thread, as all that follows."""
        document.title = "MTMount telemetry"
        if len(self._pages) >= MAX_SESSIONS:
            document.add_root(Div(text=f"expected up to {MAX_SESSIONS} pages at once: close another one"))
            return
        page = Page(document, self)
        self._pages.append(page)

        def end(session: Any) -> None:
            self._pages.remove(page)
            self.collect_fields()

        document.on_session_destroyed(end)

    def collect_fields(self) -> None:
        """Collect what is to be kept from now on; the number of pages bounds it."""
        picks = [name for page in self._pages for name in page.picks]
        self._wanted = list(dict.fromkeys([*self.first, *picks]))


class Page:
    """One session's page of a view."""

    def __init__(self, document: Document, view: WebView) -> None:
        self.picks: list[FieldName] = []  #: The fields that it plots
        self._view = view
        # All texts in it are escaped; formulas would be looked for in them.
        self._totals = Div(disable_math=True, sizing_mode="stretch_width")
        self._tables = Div(disable_math=True, sizing_mode="stretch_width")
        # The fields of events seldom change: their values tell enough.
        plotted = [
            str(name)
            for name in view.first
            if str(name) in view.choices and not name.topic.startswith(EVENT_PREFIX)
        ][:MAX_PLOTTED]
        self._choice = MultiChoice(
            title="plotted fields", options=sorted(view.choices), value=plotted, max_items=MAX_PLOTTED
        )
        self._choice.on_change("value", self._choose)
        self._figure = figure(
            x_axis_type="datetime",
            height=350,
            sizing_mode="stretch_width",
            tools="pan,wheel_zoom,box_zoom,reset,save,hover",
            active_drag="box_zoom",
        )
        self._legend = Legend()
        self._figure.add_layout(self._legend, "right")
        self._sources: dict[str, ColumnDataSource] = {}
        self._choose("value", [], plotted)
        parts = (self._totals, self._choice, self._figure, self._tables)
        document.add_root(column(*parts, sizing_mode="stretch_width"))
        document.add_periodic_callback(self._update, round(1000 * UPDATE_INTERVAL))
        self._update()

    def _choose(self, attribute: str, old: Sequence[str], new: Sequence[str]) -> None:
        """Plot the fields that the user has chosen."""
        # What a browser sends is checked: it may be any program.
        names = [name for name in new if name in self._view.choices][:MAX_PLOTTED]
        self.picks = [self._view.choices[name] for name in names]
        self._view.collect_fields()
        self._sources = {
            name: self._sources.get(name) or ColumnDataSource({"x": [], "y": []}) for name in names
        }
        self._figure.renderers = []
        items = []
        for (name, source), color in zip(self._sources.items(), Category10[10], strict=False):
            line: Any = self._figure.line("x", "y", source=source, color=color, line_width=2)
            items.append(LegendItem(label=value(name), renderers=[line]))
        self._legend.items = items
        self._update()

    def _update(self) -> None:
        content = self._view.content
        self._totals.text = content.totals
        self._tables.text = content.tables
        for name, source in self._sources.items():
            if (curve := content.curves.get(self._view.choices[name])) is not None:
                source.data = curve


def _make_curve(field: FieldState, now: float) -> dict[str, list[float]]:
    """List times and means of the last seconds, from the first one on; NaN makes a gap."""
    means = field.history.list_means(now, LENGTH)
    begin = math.floor(now) - LENGTH + time.time() - time.monotonic()
    points = [(1000 * (begin + number), mean) for number, mean in enumerate(means)]
    first = next((number for number, mean in enumerate(means) if mean is not None), LENGTH)
    return {
        "x": [when for when, _ in points[first:]],
        "y": [math.nan if mean is None else mean for _, mean in points[first:]],
    }


def _to_html(text: str) -> str:
    """Make any text a piece of HTML that shows it."""
    return html.escape(escape(text))


def _render_alarm(text: str) -> str:
    return f'<p style="color:red"><b>{_to_html(text)}</b></p>'
