"""The embedded Kafka: ``python -m lsst.ts.mtmount.embedded``; see `lsst.ts.mtmount.tools.embedded`."""

import sys

from .tools.embedded import EmbeddedKafka
from .tools.embedded.__main__ import main

__all__ = ["EmbeddedKafka"]

if __name__ == "__main__":
    sys.exit(main())
