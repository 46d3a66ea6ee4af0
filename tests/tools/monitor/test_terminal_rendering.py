import io
import os
import pty
import select
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from rich.console import Console
from rich.text import Text

from lsst.ts.mtmount.sal import load_packaged_interface
from lsst.ts.mtmount.tools.monitor.keyboard import Keyboard
from lsst.ts.mtmount.tools.monitor.live_view import LiveView
from lsst.ts.mtmount.tools.monitor.monitor_state import MonitorState
from lsst.ts.mtmount.tools.monitor.selection import FieldName, Selection, to_short_name
from lsst.ts.mtmount.tools.monitor.sparkline import ASCII_LEVELS
from lsst.ts.mtmount.tools.monitor.terminal_rendering import Column, Renderer, make_line
from lsst.ts.mtmount.tools.reader.live_consumer import BadMessage

from .records import PREFIX, make_record

START = 1000.0
SIZES = [(80, 24), (119, 30), (120, 40), (200, 50), (80, 10), (40, 5)]


@dataclass
class Screen:
    """A view on a terminal of some size, whose keys a test presses."""

    view: LiveView
    output: io.StringIO
    keys: int
    terminal: int

    def press(self, keys: bytes) -> list[str]:
        """Press keys and return the lines of the screen."""
        if keys:
            os.write(self.keys, keys)
            assert select.select([self.terminal], [], [], 10)[0]
        self.view.show([])
        return self.lines(START)

    def lines(self, now: float) -> list[str]:
        return [line.plain for line in self.view.render(now)]


@pytest.fixture
def make_screen() -> Iterator[Callable[..., Screen]]:
    keys, terminal = pty.openpty()

    def make(state: MonitorState, size: tuple[int, int] = (80, 24), messages: Sequence[str] = ()) -> Screen:
        output = io.StringIO()
        console = Console(
            file=output,
            force_terminal=True,
            width=size[0],
            height=size[1],
            color_system=None,
            _environ={"TERM": "xterm"},
        )
        view = LiveView(
            state,
            messages,
            "title",
            console,
            keyboard=Keyboard(terminal),
            clock=lambda: START,
        )
        return Screen(view, output, keys, terminal)

    yield make
    os.close(keys)
    os.close(terminal)


def make_full_state() -> MonitorState:
    """All topics for 60 s, with the longest fields and the largest numbers."""
    fields = (
        "azimuth.actualPosition",
        "azimuthDrivesThermal.actualTemperatureTimestamp[3]",
        "dynaleneCooling.timestamp",
        "elevation.actualPosition",
    )
    selection = Selection.make(load_packaged_interface(), ["all"], map(FieldName.parse, fields))
    state = MonitorState(selection, PREFIX, START)
    for second in range(60):
        for name in state.topics:
            record = make_record(
                name,
                seq_num=1000 * (second + 1),
                actualPosition=-123.456789 + second,
                actualTemperatureTimestamp=[1.0, 2.0, 3.0, 1e-300 * second],
            )
            state.take([record] * 20, START + second)
    return state


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("num_messages", [0, 30])
def test_fills_the_screen_and_no_more(
    make_screen: Callable[..., Screen], size: tuple[int, int], num_messages: int
) -> None:
    screen = make_screen(make_full_state(), size, ["message " * 40] * num_messages)
    lines = screen.view.render(START + 59.5)
    if size[1] >= 10:
        assert len(lines) == size[1]
    assert lines[0].plain.startswith("title   0:00:59")
    assert lines[-1].plain.startswith("q quit")
    if size[0] >= 80:
        # Messages may be longer: they are cut. All else fits.
        assert max(line.cell_len for line in lines if not line.plain.startswith("message")) <= size[0]


def test_topics_at_80_columns() -> None:
    lines = Renderer(make_full_state()).render_topics(
        [make_full_state().topics["generalPurposeGlycolWater"]], START + 60, 80
    )
    assert [line.plain.rstrip() for line in lines] == [
        "status    topic                       rec/s  age s   SAL ms   max ms    TMA ms",
        "live      generalPurposeGlycolWater    20.0    1.0    250.0    250.0     500.0",
    ]


@pytest.mark.parametrize(
    ("width", "field"), [(20, "azimu… -64.45679 d…"), (40, "azimuth.actualP…          -64.45679 deg")]
)
def test_status_and_value_are_visible_on_a_narrow_terminal(
    make_screen: Callable[..., Screen], width: int, field: str
) -> None:
    state = make_full_state()
    state.mark(missing={PREFIX + "azimuth"})
    lines = make_screen(state, (width, 24)).lines(START + 59.5)
    assert lines[1].startswith("31 topics: 1 no topic, 4 seen, 26 live")
    assert "no topic  azimuth" in [line[:17] for line in lines]
    assert field in [line[: width - 1].rstrip() for line in lines]


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 8])
def test_topics_come_first_on_a_low_terminal(make_screen: Callable[..., Screen], height: int) -> None:
    lines = make_screen(make_full_state(), (80, height), ["message"] * 9).lines(START + 59.5)
    assert lines[3].startswith("live      telemetryClientHeartbeat ")
    if height >= 5:
        assert len(lines) == height
        assert lines[-1].startswith("q quit")


def test_two_publishers_at_once_are_told(make_screen: Callable[..., Screen]) -> None:
    state = make_full_state()
    assert "   publisher 1   " in make_screen(state, (200, 24)).lines(START + 59.5)[1]
    for second in (60, 61):
        state.take([make_record("azimuth", origin=1), make_record("azimuth", origin=2)], START + second)
    (_, total) = Renderer(state).render_header("title", START + 61)
    assert "   2 publishers at once: 1, 2   " in total.plain
    assert any("red" in str(span.style) for span in total.spans)


def test_wide_events_show_their_values() -> None:
    state = make_full_state()
    name = "logevent_telemetryConnected"
    state.take([make_record(name, connected=False)], START + 60)
    _, line = Renderer(state).render_topics([state.topics[name]], START + 60, 200)
    assert line.plain.startswith("seen      evt_telemetryConnected ")
    assert "connected=False" in line.plain


def test_units_from_a_schema_are_shown_and_not_obeyed() -> None:
    state = MonitorState(Selection(("azimuth",), (FieldName("azimuth", "x"),)), PREFIX, START)
    state.take([make_record("azimuth", x=1.5)._replace(units={"x": "\x1b[2J"})], START)
    _, line = Renderer(state).render_fields(state.fields, START, 80)
    assert r"1.5 \x1b[2J" in line.plain
    assert "\x1b" not in line.plain


def test_wide_topics_have_counts_and_a_curve() -> None:
    state = make_full_state()
    state.take([BadMessage(PREFIX + "azimuth", "odd")], START + 60)
    heading, line = Renderer(state).render_topics([state.topics["azimuth"]], START + 60, 130)
    # 999 sequence numbers are left out between two seconds.
    assert line.plain.split()[0] == "bad"
    assert line.plain.split()[7:10] == ["1200", str(999 * 59), "1"]
    assert heading.plain.rstrip().endswith("rec/s, last 23 s")
    assert line.plain.endswith("█" * 23 + " ")


def test_fields_have_a_curve_as_wide_as_there_is_room() -> None:
    state = make_full_state()
    narrow = Renderer(state, ASCII_LEVELS).render_fields(state.fields, START + 60, 80)
    assert narrow[0].plain.rstrip().endswith("last 23 s")
    label, curve = narrow[1].plain[:56], narrow[1].plain[56:-1]
    assert label == f"{'azimuth.actualPosition':32} {'-64.45679 deg':>22} "
    assert len(curve) == 23
    # The position rises steadily.
    assert set(curve) == set(ASCII_LEVELS)
    assert list(curve) == sorted(curve, key=ASCII_LEVELS.index)
    wide = Renderer(state).render_fields(state.fields, START + 60, 200)
    assert wide[1].plain.split()[:5] == [
        "azimuth.actualPosition",
        "-64.45679",
        "deg",
        "-123.4568",
        "-64.45679",
    ]
    assert wide[3].plain.split()[1] == "1700000036.500"


def test_fields_without_values() -> None:
    selection = Selection(("azimuth",), (FieldName("azimuth", "x"), FieldName("azimuth", "current", 5)))
    state = MonitorState(selection, PREFIX, START)
    assert [line.plain.split()[1] for line in Renderer(state).render_fields(state.fields, START, 80)[1:]] == [
        "-",
        "-",
    ]
    state.take([make_record("azimuth", current=[1.0])], START)
    lines = Renderer(state).render_fields(state.fields, START, 80)[1:]
    assert [line.plain.split()[1] for line in lines] == ["absent", "absent"]
    assert Renderer(state).render_fields([], START, 80) == []


def test_header_tells_how_many_are_how() -> None:
    state = make_full_state()
    state.mark(missing={PREFIX + "azimuth"})
    _, total = Renderer(state).render_header("title", START + 59.5)
    assert total.plain.startswith(
        "31 topics: 1 no topic, 4 seen, 26 live   publisher 1   1827171 lost, 0 bad   "
    )
    _, total = Renderer(state).render_header("title", START + 1e4)
    assert total.plain == "31 topics: 26 late, 1 no topic, 4 seen   1827171 lost, 0 bad   0.0 rec/s"


def test_trouble_takes_the_titles_place(make_screen: Callable[..., Screen]) -> None:
    state = make_full_state()
    screen = make_screen(state)
    state.trouble = "Connection refused"
    assert screen.lines(START)[0] == "Kafka cannot be read: Connection refused"


def test_scrolls_within_bounds(make_screen: Callable[..., Screen]) -> None:
    state = make_full_state()
    screen = make_screen(state)
    names = list(state.topics)

    def press(keys: bytes) -> tuple[str, str]:
        """Press keys, and return the first topic and the end of the footer."""
        lines = screen.press(keys)
        return lines[3].split()[1], lines[-1].rpartition("topics ")[2]

    with screen.view:
        assert press(b"") == (names[0], "1 to 15 of 31")
        assert press(b"k") == (names[0], "1 to 15 of 31")
        assert press(b"jj") == (names[2], "3 to 17 of 31")
        assert press(b" ") == (names[16], "17 to 31 of 31")
        assert press(b"j ") == (names[16], "17 to 31 of 31")
        assert press(b"b") == (names[1], "2 to 16 of 31")
        assert press(b"\x1b[F") == (names[16], "17 to 31 of 31")
        assert press(b"\x1b[H") == (names[0], "1 to 15 of 31")
        assert not screen.view.is_over
        press(b"q")
        assert screen.view.is_over


def test_all_topics_fit_on_a_high_terminal(make_screen: Callable[..., Screen]) -> None:
    state = make_full_state()
    lines = make_screen(state, (200, 50)).lines(START)
    assert [line.split()[1] for line in lines[3 : 3 + 31]] == [to_short_name(name) for name in state.topics]
    assert lines[-1] == "q quit"


def test_screen_and_summary(make_screen: Callable[..., Screen]) -> None:
    screen = make_screen(make_full_state(), messages=["a message"])
    with screen.view:
        screen.view.show([])
        shown = screen.output.getvalue()
        assert "a message" in shown
        assert "evt_logLevel" not in shown
        # On the terminal's other screen, so that what was there before comes back.
        assert "\x1b[?1049h" in shown
    restored = screen.output.getvalue()
    assert restored.removeprefix(shown).count("\x1b[?1049l") == 1
    screen.view.show_summary(START + 60)
    summary = screen.output.getvalue().removeprefix(restored)
    assert "evt_logLevel" in summary
    assert "elevation.actualPosition" in summary


def test_is_drawn_from_time_to_time(make_screen: Callable[..., Screen]) -> None:
    screen = make_screen(make_full_state())
    with screen.view:
        screen.view.show([])
        shown = screen.output.getvalue()
        # The clock stands still.
        screen.view.show([])
        assert screen.output.getvalue() == shown
        screen.press(b"j")
        assert screen.output.getvalue() != shown


def test_lines() -> None:
    columns = [Column("a", 4, is_right=False), Column("b", 4)]
    assert make_line(columns, [Text("x"), Text("y")]).plain == "x       y "
    assert make_line(columns, [Text("12345"), Text("1234")]).plain == "123… 1234 "
    # Some characters are two columns wide.
    assert make_line(columns, [Text("日本語"), Text("日本")]).cell_len == 10


def test_nothing_yet(make_screen: Callable[..., Screen]) -> None:
    state = MonitorState(Selection(("azimuth",), ()), PREFIX, START)
    line = make_screen(state).lines(START)[3]
    assert line.split() == ["waiting", "azimuth", "0.0", "-", "-", "-", "-"]
