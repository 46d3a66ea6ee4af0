"""The program that reads back what a client publishes, and judges it.

It reads until its standard input ends, then what is left, and prints one JSON
object a line: ``{"ready": true}``, ``{"progress": ...}`` from time to time, and
``{"result": ...}``. Where Kafka is, the ``LSST_...`` variables tell, and what the
TMA sends, ``MTMOUNT_TMA_INTERFACE``.

Notes
-----
**Latency.** From the frame's own member ``timestamp``, which the simulator sets
when it is about to hand the frame to its socket, until this program has the
record. So it ends behind the broker, with a reader: what the way from the
broker to here takes is in it. Apache Kafka hands a record on at once. The
embedded broker answers a waiting reader only when its wait is over, so this
program waits no longer than 1 ms at a time: that adds 0.5 ms on average, 1 ms
at the most, and some time for the way.

**Decoding and comparing** wait until nothing has come for a while, within bounds,
so that they do not add to the latency of the records that follow. (The first
record of a topic takes some 5 ms: its schema is not known yet.)
"""

import argparse
import json
import logging
import os
import select
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Message

from ...resilience.escape import describe_error, escape
from ...sal.avro_schema import COMPONENT
from ...sal.interface import load_interface
from ...sal.kafka_settings import KafkaSettings
from ...sal.tai import LEAP_SECOND_TABLE, tai_minus_utc_at
from ...tma_interface import choose_tma_interface
from ..reader.record_decoder import DecodeError, ReceivedRecord
from ..reader.record_reader import RecordReader
from ..reader.schema_source import RegistryUnavailableError
from .latency_histogram import LatencyHistogram
from .oracle import InvalidFrameError, TopicOracle, decode_frame
from .private_field_checks import PrivateFieldChecks, compute_rev_code
from .record_matcher import RecordMatcher
from .record_order import RecordOrder
from .sent_frames import SentFrames
from .verifier_result import TopicVerifierResult, VerifierResult

__all__ = ["main"]

LOG = logging.getLogger(__name__)

#: Nothing has come for a while [s]: what belongs to one tick has come.
QUIET_TIME = 0.01

#: So many messages may wait for that, this many may wait to be decoded at all (25 MB or so).
MAX_WAITING = 1000
MAX_UNDECODED = 20_000

#: So many are decoded, or so much time is spent [s], before it is looked for more.
DECODE_CHUNK = 20
DECODE_TIME = 0.001

#: Nothing new for this long, and the rest is given up [s].
IDLE_TIMEOUT = 10.0

#: Problems that are told; all are counted.
MAX_PROBLEMS = 20
MAX_PROBLEM_LENGTH = 1000


class TopicVerifier:
    """Takes the records of one topic, none of which was written before ``start`` [UTC unix s]."""

    def __init__(self, name: str, start: float) -> None:
        self.name = name
        self.private_fields = PrivateFieldChecks(start)
        self.result = TopicVerifierResult()
        self.num_messages = self.num_undecodable = 0
        self.matcher: RecordMatcher | None = None
        self.order: RecordOrder | None = None
        # Those that are not in the result's histogram yet [s].
        self.latencies: list[float] = []

    def take_latencies(self) -> None:
        """Put the latencies into the histogram: many at once, which takes little."""
        self.result.latency.record(self.latencies)
        self.latencies.clear()

    def finish(self) -> TopicVerifierResult:
        """Return the result."""
        self.take_latencies()
        self.result.out_of_sequence = self.private_fields.num_out_of_sequence
        self.result.wrong = self.private_fields.num_wrong + self.num_undecodable
        if self.matcher is not None:
            self.result.wrong += self.matcher.num_wrong
            self.result.repeated = self.matcher.num_repeated
            # What still waits will get no record any more.
            self.result.lost = self.matcher.num_lost + self.matcher.num_waiting
        if self.order is not None:
            self.result.repeated = self.order.num_repeated
            self.result.out_of_sequence += self.order.num_out_of_order
        return self.result


class Verifier:
    """Takes all records, and judges them by the frames of the recording, if there is one.

    Without one, ``is_simulated`` tells whether the frames are those that the simulator makes.
    """

    def __init__(
        self,
        topics: Sequence[str],
        reader: RecordReader,
        subname: str,
        recording: SentFrames | None,
        *,
        is_simulated: bool,
    ) -> None:
        start = time.time()
        # A leap second in the middle of a run would make its latencies wrong.
        self._tai_minus_utc = tai_minus_utc_at(start)
        self._reader = reader
        self._recording = recording
        self._topics = {name: TopicVerifier(name, start) for name in topics}
        self._by_kafka_topic = {
            make_kafka_topic(subname, name): topic for name, topic in self._topics.items()
        }
        self._by_topic_id: dict[int, TopicVerifier] = {}
        if recording is not None:
            self._expect_frames()
        elif is_simulated:
            for topic in self._topics.values():
                topic.order = RecordOrder()
        # Messages that are still to be decoded, and when they arrived.
        self._undecoded: deque[tuple[Message, float]] = deque()
        # Records that are still to be compared.
        self._backlog: deque[tuple[TopicVerifier, dict[str, Any]]] = deque()
        self._quiet_from = 0.0
        self._num_problems = 0
        self._result = VerifierResult({}, compared=recording is not None)

    def _expect_frames(self) -> None:
        interface = load_interface(LOG, tma_interface=choose_tma_interface())
        for sent in interface.tma_interface.topics:
            if sent.sal_topic in self._topics:
                topic = self._by_topic_id[sent.topic_id] = self._topics[sent.sal_topic]
                fields = interface.topics[f"tel_{sent.sal_topic}"].fields
                topic.matcher = RecordMatcher(TopicOracle(fields, sent.field_members))

    def take(self, messages: list[Message]) -> None:
        """Take messages that have just been read; they are decoded later."""
        arrival_time = time.time()
        self._undecoded.extend((message, arrival_time) for message in messages)
        self._quiet_from = time.monotonic() + QUIET_TIME
        while len(self._undecoded) > MAX_UNDECODED:
            self._decode_next()

    def work(self) -> bool:
        """Do a little of what waits to be done; tell whether there was something."""
        if len(self._undecoded) <= MAX_WAITING and time.monotonic() < self._quiet_from:
            return False
        if self._undecoded:
            self._decode_next()
            return True
        return bool(self._backlog) and self._compare_next(may_wait=True)

    def _decode_next(self) -> None:
        """Decode some messages, and take the records."""
        end = time.monotonic() + DECODE_TIME
        for _ in range(min(DECODE_CHUNK, len(self._undecoded))):
            message, arrival_time = self._undecoded.popleft()
            topic = self._by_kafka_topic[message.topic() or ""]
            topic.num_messages += 1
            try:
                self._take_record(topic, self._reader.decode(message, arrival_time))
            except (DecodeError, LookupError, TypeError, ValueError) as error:
                # Or a record whose schema lacks what every record of SAL has.
                topic.num_undecodable += 1
                self._report(topic, describe_error(error))
            if time.monotonic() > end:
                break

    def _take_record(self, topic: TopicVerifier, received: ReceivedRecord) -> None:
        rev_code = compute_rev_code(self._reader.get_schema(received.schema_id))
        if problem := topic.private_fields.check(received.record, rev_code, received.arrival_time):
            self._report(topic, problem)
        if (stamp := received.record.get("timestamp")) is not None:
            topic.latencies.append(received.arrival_time + self._tai_minus_utc - stamp)
        topic.result.decoded += 1
        if topic.matcher is not None:
            self._backlog.append((topic, received.record))
        elif topic.order is not None and (problem := topic.order.check(received.record)):
            self._report(topic, problem)
        published = received.kafka_timestamp
        self._result.first_published = min(self._result.first_published or published, published)
        self._result.last_published = max(self._result.last_published, published)

    def _compare_next(self, *, may_wait: bool) -> bool:
        """Compare the next record with its frame; return False if that was put off.

        It may be, if ``may_wait``, when there is no frame for it in the recording yet.
        """
        topic, record = self._backlog[0]
        assert topic.matcher is not None
        if not topic.matcher.num_waiting:
            self._read_frames()
            if may_wait and not topic.matcher.num_waiting:
                return False
        self._backlog.popleft()
        if problem := topic.matcher.match(record):
            self._report(topic, problem)
        return True

    def _read_frames(self) -> None:
        assert self._recording is not None
        for frame in self._recording.read_new():
            try:
                topic_id, members = decode_frame(frame)
                if (topic := self._by_topic_id.get(topic_id)) is not None:
                    assert topic.matcher is not None
                    topic.matcher.expect(members)
            except InvalidFrameError:
                # The client must drop it: a record of it would have no frame.
                continue

    def describe_progress(self) -> dict[str, Any]:
        """Describe what came so far, and the latencies since the last time."""
        latency = LatencyHistogram()
        for topic in self._topics.values():
            latency.record(topic.latencies)
            topic.take_latencies()
        return {
            "decoded": {name: topic.result.decoded for name, topic in self._topics.items()},
            "problems": self._num_problems,
            "first_published": self._result.first_published,
            "latency": latency.as_dict(),
        }

    def finish(self) -> None:
        """Decode and compare what is left."""
        while self._undecoded:
            self._decode_next()
        while self._backlog:
            self._compare_next(may_wait=False)
        if self._recording is not None:
            # Frames after the last record.
            self._read_frames()

    def make_result(self, failure: str | None) -> VerifierResult:
        """Return what was found; ``failure`` tells why reading ended before everything was read."""
        for kafka_topic, topic in self._by_kafka_topic.items():
            topic.result.missed = self._reader.missed[kafka_topic]
        self._result.topics = {name: topic.finish() for name, topic in self._topics.items()}
        self._result.origins = sorted(
            set().union(*(topic.private_fields.origins for topic in self._topics.values()))
        )
        self._result.failure = failure
        return self._result

    def _report(self, topic: TopicVerifier, problem: str) -> None:
        self._num_problems += 1
        if self._num_problems <= MAX_PROBLEMS:
            text = escape(problem, MAX_PROBLEM_LENGTH)
            self._result.problems.append(f"message {topic.num_messages} of {topic.name}: {text}")


def make_kafka_topic(subname: str, name: str) -> str:
    """Return the name of a Kafka topic."""
    return f"lsst.{subname}.{COMPONENT}.{name}"


def read_all(reader: RecordReader, verifier: Verifier, interval: float) -> str | None:
    """Read until the standard input ends, and then what is left; return why that ended early, if it did."""
    next_report = time.monotonic() + interval
    # What comes on the standard input is of no interest, only its end.
    while not select.select([sys.stdin], [], [], 0)[0] or os.read(sys.stdin.fileno(), 4096):
        read_some(reader, verifier)
        if time.monotonic() >= next_report:
            show("progress", verifier.describe_progress())
            next_report += interval
    ends = reader.find_ends()
    give_up = time.monotonic() + IDLE_TIMEOUT
    while (left := sum(ends.values()) - sum(reader.positions.values())) > 0:
        if read_some(reader, verifier):
            give_up = time.monotonic() + IDLE_TIMEOUT
        elif time.monotonic() > give_up:
            return f"{left} records were not to be had from the broker"
    show("progress", verifier.describe_progress())
    return None


def read_some(reader: RecordReader, verifier: Verifier) -> bool:
    """Read what there is, or do some work meanwhile. Tell whether there was something to do."""
    messages = reader.fetch(0)
    if not messages:
        if verifier.work():
            return True
        messages = reader.fetch(QUIET_TIME)
    if messages:
        verifier.take(messages)
    return bool(messages)


def show(name: str, content: Any) -> None:
    """Print an object on one line."""
    print(json.dumps({name: content}), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status: 0 if it could read, whatever it found."""
    parser = argparse.ArgumentParser(
        prog="python -m lsst.ts.mtmount.tools.load_test.verifier", description=__doc__
    )
    parser.add_argument("--topics", required=True, help="SAL names of telemetry topics, separated by commas")
    parser.add_argument("--interval", type=float, default=0.25, help="time between reports [s]")
    parser.add_argument("--fetch-wait", type=float, required=True, help="of the RecordReader [s]")
    parser.add_argument("--frames", type=Path, help="recording of the frames, to compare every value with")
    parser.add_argument(
        "--simulated", action="store_true", help="the simulator makes the frames: none is as the one before"
    )
    args = parser.parse_args(argv)
    topics = args.topics.split(",")
    settings = KafkaSettings.from_environment()
    LEAP_SECOND_TABLE.load()
    recording = SentFrames(args.frames) if args.frames else None
    with RecordReader(
        settings.broker_addr,
        settings.registry_url,
        [make_kafka_topic(settings.subname, name) for name in topics],
        from_end=True,
        configuration=settings.client_configuration(),
        fetch_wait=args.fetch_wait,
    ) as reader:
        verifier = Verifier(topics, reader, settings.subname, recording, is_simulated=args.simulated)
        show("ready", True)
        try:
            failure = read_all(reader, verifier, args.interval)
            verifier.finish()
        except (DecodeError, RegistryUnavailableError, KafkaException) as error:
            failure = escape(settings.redact(str(error)), MAX_PROBLEM_LENGTH)
        show("result", verifier.make_result(failure).as_dict())
    return 0


if __name__ == "__main__":
    sys.exit(main())
