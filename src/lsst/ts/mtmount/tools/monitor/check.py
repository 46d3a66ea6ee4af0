"""Whether everything is right, for scripts."""

import math
import time
from collections.abc import Iterable
from typing import TextIO

from ..reader.live_consumer import Arrival
from .monitor_state import MonitorState, TopicStatus

__all__ = ["Check", "find_problems"]

#: Event and field that tell whether the TMA is connected.
CONNECTED_EVENT, CONNECTED_FIELD = "logevent_telemetryConnected", "connected"

#: So long is telemetry watched at least, to see who publishes it [s].
WATCH_TIME = 1.0

#: What is wrong with an event, too: it need not come.
EVENT_PROBLEMS = (TopicStatus.MISSING, TopicStatus.BAD, TopicStatus.NO_SCHEMA)


def find_problems(state: MonitorState, now: float) -> list[str]:
    """Find what is wrong, a line each; none if all telemetry is live."""
    problems = [f"Kafka cannot be read: {state.trouble}"] if state.trouble else []
    publishers = state.publishers.list_at_once(now)
    if len(publishers) > 1:
        problems.append(f"expected one publisher, got {len(publishers)}: {', '.join(map(str, publishers))}")
    for topic in state.topics.values():
        status = topic.get_status(now)
        if status in EVENT_PROBLEMS or (not topic.is_event and status is not TopicStatus.LIVE):
            problems.append(f"{topic.label}: expected live, got {status}")
        elif topic.is_unread:
            problems.append(f"{topic.label}: expected its last record, or that there is none, got no answer")
        if topic.name == CONNECTED_EVENT and topic.values.get(CONNECTED_FIELD) is False:
            problems.append(f"{topic.label}: expected {CONNECTED_FIELD}=true, got false")
    return problems


class Check:
    """Waits until everything is right, and says at the end what is not."""

    def __init__(self, state: MonitorState, output: TextIO) -> None:
        self.is_over = False  #: Is everything right, and was watched for long enough?
        self._state = state
        self._output = output
        # When telemetry was first seen.
        self._first_seen = math.inf

    def show(self, arrivals: Iterable[Arrival]) -> None:
        """Look whether everything is right by now."""
        now = time.monotonic()
        publishers = self._state.publishers.list_at_once(now)
        if publishers:
            self._first_seen = min(self._first_seen, now)
        is_watched = not publishers or now - self._first_seen >= WATCH_TIME
        self.is_over = is_watched and not find_problems(self._state, now)

    def show_summary(self, now: float) -> None:
        """Write a line for each problem, or one that there is none."""
        problems = find_problems(self._state, now)
        # The time may have been too short to watch for long.
        self.is_over = not problems
        lines = problems or [f"all {len(self._state.topics)} topics are as they should be"]
        self._output.writelines(f"{line}\n" for line in lines)
        self._output.flush()
