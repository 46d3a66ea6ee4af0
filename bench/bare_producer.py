"""A program that only produces ready messages by the TMA's schedule: what Kafka's client library takes alone.

Run by `bench.pace`, in a process of its own, so that its processor's time is the producer's. It puts the time
into each message, as the simulator puts it into each frame, so that a verifier can tell the latency.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import time

from confluent_kafka import Producer

from lsst.ts.mtmount.core import DeliveryCounter
from lsst.ts.mtmount.sal import PRODUCER_DEFAULTS, KafkaSettings, TaiClock
from lsst.ts.mtmount.tools.simulator import TICK_INTERVAL, select_topics

from .mix import MIX, find_workload
from .plain import make_plain_topic
from .producing import FLUSH_TIMEOUT
from .services import report_failure

#: Ticks between two collections of delivery reports: a second, as in the client.
TICKS_PER_POLL = round(1 / TICK_INTERVAL)

STAMP = struct.Struct("<d")


class StampedMessage:
    """One topic's message, whose member ``timestamp`` can be set."""

    def __init__(self, topic_id: int, frame: bytes, schema_id: int) -> None:
        topic = make_plain_topic(topic_id, schema_id)
        topic.gather(json.loads(frame))
        # The place where messages with two stamps differ.
        sentinels = []
        for stamp in (1.0, -1.0):
            topic.record["timestamp"] = stamp
            sentinels.append(topic.encode(0.0, 0.0).replace(STAMP.pack(stamp), b"STAMPED!"))
            self._value = bytearray(topic.encode(0.0, 0.0))
        self._offset = sentinels[1].index(b"STAMPED!")
        self.kafka_topic = topic.kafka_topic

    def stamp(self, tai: float) -> bytes:
        """Return the message with that time."""
        STAMP.pack_into(self._value, self._offset, tai)
        return bytes(self._value)


def produce_by_schedule(
    producer: Producer, messages: dict[int, StampedMessage], duration: float
) -> dict[str, float]:
    """Produce at the TMA's full rate; return the share of a core that it takes."""
    topics, clock = select_topics(), TaiClock()
    deliveries = DeliveryCounter(report_failure)
    num_produced = 0
    next_tick = time.monotonic()
    # The first second is for the connections.
    for tick in range(-TICKS_PER_POLL, round(duration / TICK_INTERVAL)):
        if tick == 0:
            start, cpu_start = time.monotonic(), time.process_time()
        now = clock.now()
        for topic in topics:
            if tick % topic.period == 0:
                message = messages[topic.topic_id]
                producer.produce(message.kafka_topic, message.stamp(now), b"", 0, deliveries)
                num_produced += 1
        if tick % TICKS_PER_POLL == 0:
            producer.poll(0)
        next_tick += TICK_INTERVAL
        time.sleep(max(next_tick - time.monotonic(), 0))
    share = (time.process_time() - cpu_start) / (time.monotonic() - start)
    producer.flush(FLUSH_TIMEOUT)
    assert deliveries.acknowledged == num_produced
    return {"share": share}


def main() -> None:
    """Run the program; print the result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.bare_producer", description=__doc__)
    parser.add_argument("--linger", type=float, required=True, help="linger.ms")
    parser.add_argument("--duration", type=float, required=True, help="seconds")
    parser.add_argument("--schema-ids", type=json.loads, required=True, help="by topic ID, as JSON")
    args = parser.parse_args()
    settings = KafkaSettings.from_environment(os.environ)
    producer = Producer(settings.producer_configuration({**PRODUCER_DEFAULTS, "linger.ms": args.linger}))
    mix = find_workload(MIX)
    frames = dict(zip(mix.topic_ids, mix.frames, strict=True))
    messages = {
        int(topic_id): StampedMessage(int(topic_id), frames[int(topic_id)], schema_id)
        for topic_id, schema_id in args.schema_ids.items()
    }
    print(json.dumps(produce_by_schedule(producer, messages, args.duration)))


if __name__ == "__main__":
    main()
