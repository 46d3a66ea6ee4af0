"""A Kafka broker and a schema registry inside this process, for demo and tests.

The broker is the mock cluster of librdkafka: a part of the client library that
speaks the Kafka protocol over loopback TCP, so that any Kafka client can attach,
also one of another process. ``python -m lsst.ts.mtmount.embedded`` serves both
until SIGTERM, and prints the environment variables that name them.

Notes
-----
Where the mock cluster differs from Apache Kafka:

* A topic comes into being when metadata of it is asked for with leave to create
  it, as producers do. Requests to create topics (those of an admin client) are
  not answered; `EmbeddedKafka.create_topics` creates topics.
* A topic has 4 partitions. SAL topics have one: produce to partition 0.
* A fetch brings one batch of each partition, as a producer sent it, and looks for
  it from the oldest on: it takes the longer, the more batches there are.
* A partition keeps about 5 MB; the oldest records go. A reader must keep up, or
  count by offsets (`RecordReader.missed` tells what it did not get).
* A fetch that finds nothing new is answered when its longest wait is over, also
  if a record arrives meanwhile: the latency of a reader is up to its setting
  ``fetch.wait.max.ms`` (500 ms by default).
* Nothing is compacted, nothing is kept on disk, and nobody is authenticated.
"""

from .embedded_kafka import EmbeddedKafka
from .embedded_registry import EmbeddedRegistry

__all__ = ["EmbeddedKafka", "EmbeddedRegistry"]
