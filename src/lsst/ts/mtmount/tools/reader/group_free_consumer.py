"""What all consumers of this package have in common."""

from collections.abc import Mapping
from typing import Any, Self

from confluent_kafka import Consumer, Message

from .schema_source import SchemaSource

__all__ = ["PARTITION", "GroupFreeConsumer"]

#: SAL topics have one partition.
PARTITION = 0


class GroupFreeConsumer:
    """Reads messages, joins no group and commits nothing. A context manager.

    A broker may wait ``fetch_wait`` [s] for news before it answers: Apache Kafka answers at once when there
    are some, the embedded broker after this time. ``queue_size`` is the most that is fetched in advance
    [bytes], ``max_batch`` the most messages that are taken at once.
    """

    def __init__(
        self,
        configuration: Mapping[str, Any],
        schemas: SchemaSource,
        log: Any,
        *,
        fetch_wait: float,
        queue_size: int,
        max_batch: int,
    ) -> None:
        self._schemas = schemas
        self._max_batch = max_batch
        self._consumer = Consumer(
            {
                **configuration,
                # Consumers must name a group; without a subscription none is joined.
                "group.id": "lsst.ts.mtmount.tools.reader",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # A topic that was made anew is new as a whole.
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": round(fetch_wait * 1000),
                # After a burst, Kafka's client would pause for 1 s, in which the
                # embedded broker may drop what was not read yet.
                "fetch.queue.backoff.ms": 5,
                "queued.max.messages.kbytes": queue_size // 1024,
            },
            logger=log,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()
        self._schemas.close()

    def _poll(self, wait: float) -> list[Message]:
        """Return the messages that there are: nothing if none came in this time [s]."""
        first = self._consumer.poll(wait)
        # Waiting for more than the first would make all of them late.
        return [] if first is None else [first, *self._consumer.consume(self._max_batch - 1, 0)]
