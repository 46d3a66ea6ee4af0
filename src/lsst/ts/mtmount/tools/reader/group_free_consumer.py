"""What all consumers of this package have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PARTITION", "make_consumer_configuration"]

#: SAL topics have one partition.
PARTITION = 0


def make_consumer_configuration(
    configuration: Mapping[str, Any], *, fetch_wait: float, queue_size: int
) -> dict[str, Any]:
    """Make the configuration of a consumer that joins no group and commits nothing.

    Parameters
    ----------
    fetch_wait : `float`
        How long a broker may wait for news before it answers [s]. Apache Kafka
        answers at once when there are some, the embedded broker after this time.
    queue_size : `int`
        Most that is fetched in advance [bytes].
    """
    return {
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
    }
