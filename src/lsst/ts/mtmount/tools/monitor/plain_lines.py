"""Telemetry as lines of text, for files and other programs."""

import datetime
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from ..reader.live_consumer import Arrival
from ..reader.record_decoder import ReceivedRecord
from .latency import SAL_STAMP, measure_latency
from .monitor_state import PRIVATE_PREFIX, SPAN, MonitorState, TopicState

__all__ = ["PlainLines"]


class PlainLines:
    """Writes a line for some of the records: pairs of a name and a value.

    The state has taken each record before it comes here. Between two lines of a
    topic, ``skip`` records are left out.
    """

    def __init__(self, state: MonitorState, output: TextIO, skip: int) -> None:
        self.is_over = False
        self._state = state
        self._output = output
        self._skip = skip
        self._fields = {
            name: [field.name for field in state.fields if field.name.topic == name] for name in state.topics
        }
        self._num_seen = dict.fromkeys(state.topics, 0)

    def show(self, arrivals: Iterable[Arrival]) -> None:
        """Write the lines of what was read."""
        for arrival in arrivals:
            if not isinstance(arrival, ReceivedRecord) or arrival.is_earlier:
                continue
            topic = self._state.get_topic(arrival)
            self._num_seen[topic.name] += 1
            if self._num_seen[topic.name] % (self._skip + 1) == 0:
                line = " ".join(f"{name}={text}" for name, text in self._list_pairs(topic, arrival))
                self._output.write(line + "\n")
        self._output.flush()

    def show_summary(self, now: float) -> None:
        """Write what came of each topic."""
        for topic in self._state.topics.values():
            pairs = {
                "summary": topic.label,
                "status": topic.get_status(now).replace(" ", "_"),
                "records": topic.num_records,
                "lost": topic.num_lost,
                "bad": topic.num_bad,
                "withoutSchema": topic.num_without_schema,
                "rate": f"{topic.arrivals.compute_rate(now, SPAN):.1f}",
                "age": _format_seconds(topic.get_age(now)),
                "latency": _format_seconds(topic.latencies.compute_mean(now, SPAN)),
                "maxLatency": _format_seconds(topic.latencies.find_maximum(now, SPAN)),
                "tmaLatency": _format_seconds(topic.tma_latencies.compute_mean(now, SPAN)),
            }
            values = {name: _format(value) for name, value in topic.values.items()}
            self._output.write(" ".join(f"{name}={value}" for name, value in (pairs | values).items()) + "\n")
        publishers = self._state.publishers.list_at_once(now)
        self._output.write(f"publishers={','.join(map(str, publishers)) or 'none'}\n")
        self._output.flush()

    def _list_pairs(self, topic: TopicState, received: ReceivedRecord) -> Iterator[tuple[str, str]]:
        """List the pairs of a record's line."""
        record = received.record
        arrival = datetime.datetime.fromtimestamp(received.arrival_time, datetime.UTC)
        yield "time", arrival.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        yield "topic", topic.label
        yield "record", str(self._num_seen[topic.name])
        yield "seqNum", str(record.get("private_seqNum"))
        yield "latency", _format_seconds(measure_latency(received, SAL_STAMP))
        yield "tmaLatency", _format_seconds(topic.measure_tma_latency(received))
        wanted = self._fields[topic.name]
        if not wanted:
            for name, value in record.items():
                if not name.startswith(PRIVATE_PREFIX):
                    yield name, _format(value)
            return
        for field in wanted:
            yield field.label, _format(field.find_value(record))


def _format(value: Any) -> str:
    """Format a value without loss, and without anything that a terminal would obey."""
    return json.dumps(value, separators=(",", ":"), default=repr)


def _format_seconds(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.4f}"
