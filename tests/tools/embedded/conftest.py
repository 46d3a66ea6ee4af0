from collections.abc import Iterator

import pytest

from lsst.ts.mtmount.tools.embedded import EmbeddedRegistry


@pytest.fixture
def registry() -> Iterator[EmbeddedRegistry]:
    """An empty schema registry."""
    with EmbeddedRegistry() as registry:
        yield registry
