"""Our client and the server that the observatory's packages have, here a fake of it."""

import asyncio
import ctypes
import importlib
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from lsst.ts.mtmount import Client

FAKE = Path(__file__).parent.parent / "fakes" / "with_tcpip"
PACKAGE = "lsst.ts.tcpip"
LOG = logging.getLogger("test.tcpip")
TIMEOUT = 60


class Header(ctypes.LittleEndianStructure):
    _layout_ = "ms"  # What _pack_ means; Python 3.14 wants it said.
    _pack_ = 1
    _fields_ = (("kind", ctypes.c_uint8), ("value", ctypes.c_double), ("text", ctypes.c_char * 5))


@pytest.fixture
def tcpip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Install the fake."""
    monkeypatch.syspath_prepend(FAKE)
    yield importlib.import_module(PACKAGE)
    del sys.modules[PACKAGE]


@pytest.fixture
async def server(tcpip: Any) -> AsyncIterator[Any]:
    async with asyncio.timeout(TIMEOUT), tcpip.OneClientServer("127.0.0.1", 0, LOG) as server:
        yield server


@pytest.fixture
async def client(server: Any) -> AsyncIterator[Client]:
    async with Client("127.0.0.1", server.port, LOG, name="test") as client:
        await server.connected_task
        yield client


async def test_it_is_one_of_theirs(tcpip: Any, client: Client) -> None:
    assert isinstance(client, tcpip.Client)
    assert isinstance(client, tcpip.BaseClientOrServer)
    assert not isinstance(client, tcpip.OneClientServer)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("terminator", [b"\r\n", b"XYZZY"])
async def test_text_and_json(server: Any, client: Client, encoding: str, terminator: bytes) -> None:
    for side in (server, client):
        side.encoding, side.terminator = encoding, terminator
    for reader, writer in ((client, server), (server, client)):
        await writer.write_str("elevation \u00e9")
        assert await reader.read_str() == "elevation \u00e9"
        await writer.write_json({"topicID": 5, "values": [1.5, None, "\u20ac"]})
        assert await reader.read_json() == {"topicID": 5, "values": [1.5, None, "\u20ac"]}


async def test_structures(server: Any, client: Client) -> None:
    for reader, writer in ((client, server), (server, client)):
        await writer.write_from(Header(1, 2.5, b"abc"), Header(2, -0.5, b"vwxyz"))
        received = Header()
        await reader.read_into(received)
        assert (received.kind, received.value, received.text) == (1, 2.5, b"abc")
        await reader.read_into(received)
        assert (received.kind, received.value, received.text) == (2, -0.5, b"vwxyz")


async def test_only_one_client_is_served(server: Any, client: Client) -> None:
    async with Client("127.0.0.1", server.port, LOG) as other:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await other.read_str()
        assert not other.connected
    await client.write_str("still here")
    assert await server.read_str() == "still here"


async def test_the_server_ends_the_connection(server: Any, client: Client) -> None:
    await server.write_str("last words")
    await server.close_client()
    assert await client.read_str() == "last words"
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.read_str()
    assert not client.connected
    assert client.should_be_connected


async def test_the_client_ends_the_connection(server: Any, client: Client) -> None:
    await client.write_str("last words")
    await client.close()
    assert await server.read_str() == "last words"
    with pytest.raises(asyncio.IncompleteReadError):
        await server.read_str()
    assert not client.connected
    assert not client.should_be_connected
