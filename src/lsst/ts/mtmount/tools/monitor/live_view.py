"""Telemetry as a full-screen view that is always up to date."""

import math
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ..reader.live_consumer import Arrival
from .keyboard import Key, Keyboard
from .monitor_state import MonitorState
from .sparkline import ASCII_LEVELS, LEVELS
from .terminal_rendering import Renderer

__all__ = ["LiveView"]

#: Time between two refreshes of the screen [s].
REFRESH_INTERVAL = 0.25

#: From this height on there is room for fields and messages, and for more of them [lines].
LOW, HIGH = 9, 40
NUM_MESSAGES, HIGH_NUM_MESSAGES = 2, 6


class LiveView:
    """Shows the state of the telemetry on the whole terminal. A context manager.

    The newest of the messages that were logged comes last; ``title`` is the first line.
    Keys come from the standard input by default.
    """

    def __init__(
        self,
        state: MonitorState,
        messages: Sequence[str],
        title: str,
        console: Console,
        *,
        keyboard: Keyboard | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_over = False
        self._state = state
        self._messages = messages
        self._title = title
        self._console = console
        self._keyboard = Keyboard(sys.stdin.fileno()) if keyboard is None else keyboard
        self._clock = clock
        self._renderer = Renderer(state, ASCII_LEVELS if console.options.ascii_only else LEVELS)
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._next_refresh = -math.inf
        self._must_stop = False
        # The first topic on the screen, and how many there is room for.
        self._top = 0
        self._num_visible = 1

    def __enter__(self) -> Self:
        self._keyboard.__enter__()
        self._live.__enter__()
        if signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._note_stop)
        return self

    def __exit__(self, *exc_info: Any) -> None:
        if signal.getsignal(signal.SIGTSTP) == self._note_stop:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        self._live.__exit__(*exc_info)
        self._keyboard.__exit__(*exc_info)

    def show(self, arrivals: Iterable[Arrival]) -> None:
        """Handle the keys, and bring the screen up to date if it is time."""
        if self._must_stop:
            self._stop()
        keys = self._keyboard.read()
        for key in keys:
            self._handle_key(key)
        now = self._clock()
        if keys or now >= self._next_refresh:
            self._live.update(Group(*self.render(now)), refresh=True)
            self._next_refresh = now + REFRESH_INTERVAL

    def show_summary(self, now: float) -> None:
        """Leave what was seen last on the terminal, with all topics and fields."""
        width = self._console.size.width
        lines = [
            *self._renderer.render_header(self._title, now),
            *self._renderer.render_topics(list(self._state.topics.values()), now, width),
            *self._renderer.render_fields(self._state.fields, now, width),
        ]
        self._console.print(Group(*lines))

    def render(self, now: float) -> list[Text]:
        """Render the screen as it is now, one line each."""
        width, height = self._console.size
        header = self._renderer.render_header(self._title, now)
        # Of fields and messages, as many as leave most of the screen to the topics.
        num_fields = height // 4 if height >= LOW else 0
        fields = self._renderer.render_fields(self._state.fields[:num_fields], now, width)
        num_messages = HIGH_NUM_MESSAGES if height >= HIGH else NUM_MESSAGES if height >= LOW else 0
        messages = [
            Text(message, "yellow", no_wrap=True, overflow="ellipsis")
            for message in (list(self._messages)[-num_messages:] if num_messages else ())
        ]
        # Besides, there are the heading of the topics and the footer.
        room = height - len(header) - len(fields) - len(messages) - 2
        self._num_visible = max(1, room)
        self._scroll_to(self._top)
        shown = list(self._state.topics.values())[self._top :][: self._num_visible]
        topics = self._renderer.render_topics(shown, now, width)
        filling = [Text("")] * (room - len(shown))
        return [*header, *topics, *filling, *fields, *messages, self._make_footer(len(shown))]

    def _note_stop(self, number: int, frame: FrameType | None) -> None:
        self._must_stop = True

    def _stop(self) -> None:
        """Stop the process, as Ctrl-Z asks; the terminal is the shell's until it goes on."""
        self._must_stop = False
        self.__exit__(None, None, None)
        signal.raise_signal(signal.SIGTSTP)
        self.__enter__()
        self._next_refresh = -math.inf

    def _handle_key(self, key: Key) -> None:
        if key is Key.QUIT:
            self.is_over = True
            return
        page = self._num_visible
        target = {
            Key.UP: self._top - 1,
            Key.DOWN: self._top + 1,
            Key.PAGE_UP: self._top - page,
            Key.PAGE_DOWN: self._top + page,
            Key.HOME: 0,
            Key.END: len(self._state.topics),
        }[key]
        self._scroll_to(target)

    def _scroll_to(self, top: int) -> None:
        self._top = max(0, min(top, len(self._state.topics) - self._num_visible))

    def _make_footer(self, num_shown: int) -> Text:
        footer = Text(no_wrap=True, overflow="ellipsis")
        footer.append("q quit", "reverse")
        num_topics = len(self._state.topics)
        if num_shown < num_topics:
            first, last = self._top + 1, self._top + num_shown
            footer.append(f"   up/down, page up/down   topics {first} to {last} of {num_topics}")
        return footer
