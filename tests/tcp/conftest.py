"""The client has to work with either event loop."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each asynchronous test of this folder with both."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
