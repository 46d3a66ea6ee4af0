"""What the tests of a client's life share."""

from collections.abc import AsyncIterator

import pytest

from ..tma import ScriptedTma


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that are not about the time limit may be slow."""
    monkeypatch.setattr("lsst.ts.mtmount.telemetry_client.TELEMETRY_TIMEOUT", 30)


@pytest.fixture
async def tma() -> AsyncIterator[ScriptedTma]:
    async with ScriptedTma() as server:
        yield server
