"""Reads messages as they are; `tests.kafka_reader` also decodes them."""

import time

from confluent_kafka import Consumer, Message, TopicPartition

from lsst.ts.mtmount.sal import KafkaSettings

READ_TIMEOUT = 60.0


def make_consumer(settings: KafkaSettings) -> Consumer:
    return Consumer(
        {**settings.client_configuration(), "group.id": "reader", "fetch.wait.max.ms": 10, "log_level": 0}
    )


def read_messages(settings: KafkaSettings, sal_name: str, num_messages: int) -> list[Message]:
    """Read the first messages of a topic; fail if there are fewer."""
    consumer = make_consumer(settings)
    messages: list[Message] = []
    try:
        consumer.assign([TopicPartition(f"lsst.{settings.subname}.MTMount.{sal_name}", 0, 0)])
        deadline = time.monotonic() + READ_TIMEOUT
        while len(messages) < num_messages:
            assert time.monotonic() < deadline, f"{len(messages)} of {num_messages} messages"
            message = consumer.poll(0.1)
            if message is not None:
                assert message.error() is None, message.error()
                messages.append(message)
    finally:
        consumer.close()
    return messages


def count_messages(settings: KafkaSettings, sal_name: str) -> int:
    """Return how many messages a topic holds."""
    consumer = make_consumer(settings)
    try:
        first, end = consumer.get_watermark_offsets(
            TopicPartition(f"lsst.{settings.subname}.MTMount.{sal_name}", 0), timeout=READ_TIMEOUT
        )
    finally:
        consumer.close()
    return end - first
