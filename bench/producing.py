"""Loops that only produce ready messages: what Kafka's client library takes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from confluent_kafka import KafkaError, Message, Producer

from lsst.ts.mtmount.core import DeliveryCounter

from .mix import MIX, find_workload
from .plain import ProducingPipeline
from .services import Services, report_failure

__all__ = ["FLUSH_TIMEOUT", "WAIT", "Messages", "make_messages", "produce_one_by_one"]

#: How long to wait for room in a full queue [s], and for the last acknowledgements.
WAIT = 0.005
FLUSH_TIMEOUT = 60.0

#: Kafka topics and values.
Messages: TypeAlias = Sequence[tuple[str, bytes]]


class CallbackCounter:
    """Counts deliveries in Python."""

    acknowledged = 0

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            report_failure(error, message)
        self.acknowledged += 1


def make_messages(services: Services) -> Messages:
    """Make the messages of one pass of the mix."""
    messages: list[tuple[str, bytes]] = []
    pipeline = ProducingPipeline(services.schema_ids, schema_ids=services.schema_ids)
    for frame in find_workload(MIX).frames:
        pipeline.take_frame(frame, lambda topic, value, *_: messages.append((topic, value)))
    return messages


def produce_one_by_one(
    producer: Producer,
    messages: Messages,
    num_passes: int,
    *,
    in_c: bool,
    by_position: bool,
    messages_per_poll: int,
    reports_success: bool = True,
) -> None:
    """Produce ready messages, each with a call of its own, and wait for all acknowledgements.

    Parameters
    ----------
    producer, messages, num_passes
        What to produce, and how often.
    in_c
        Count deliveries in C, not in Python?
    by_position
        Call the bound method, with arguments by position?
    messages_per_poll
        How many messages to produce before delivery reports are collected.
    reports_success
        Does the producer report successes, too? Else what is neither reported nor queued is
        acknowledged.
    """
    counter: Any = DeliveryCounter(report_failure) if in_c else CallbackCounter()
    produce = producer.produce
    batches = [
        messages[start : start + messages_per_poll] for start in range(0, len(messages), messages_per_poll)
    ]
    for _ in range(num_passes):
        for batch in batches:
            for topic, value in batch:
                while True:
                    try:
                        if by_position:
                            produce(topic, value, b"", 0, counter)
                        else:
                            producer.produce(topic, value=value, key=b"", partition=0, on_delivery=counter)
                        break
                    except BufferError:
                        producer.poll(WAIT)
            producer.poll(0)
    assert producer.flush(FLUSH_TIMEOUT) == 0
    assert counter.acknowledged == (num_passes * len(messages) if reports_success else 0)
