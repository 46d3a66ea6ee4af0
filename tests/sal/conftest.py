import socket
from collections.abc import Iterator

import pytest

from lsst.ts.mtmount.sal import KafkaSettings

from ..ports import find_free_port


@pytest.fixture
def settings(sal_environment: str) -> KafkaSettings:
    """Settings for the embedded broker, in a name space that no other test uses."""
    return KafkaSettings.from_environment()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Port of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def unused_port() -> int:
    """Port that nobody listens on."""
    return find_free_port()
