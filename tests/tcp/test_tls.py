"""The same with TLS, which has buffers of its own and no half-closed connections."""

import asyncio
import logging
import random
import ssl
from typing import Any

import pytest
import trustme

from lsst.ts.mtmount import Client
from lsst.ts.mtmount.tcp import client as client_module

from .peer import TIMEOUT, Peer, wait_until
from .test_frame_sink import Sink, resume_until_the_end

log = logging.getLogger("test")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def make_client(peer: Peer, context: ssl.SSLContext, **kwargs: Any) -> Client:
    return Client("127.0.0.1", peer.port, log, ssl=context, **kwargs)


async def test_reads_and_writes(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    async with Peer(server_context) as peer, make_client(peer, client_context) as client:
        assert client._writer.get_extra_info("sslcontext") is client_context
        await client.write_json({"a": 1})
        assert await peer.receive(10) == b'{"a": 1}\r\n'
        for split in range(1, 9):
            await peer.send(b'{"b": 2}\r\n'[:split])
            await wait_until(lambda split=split: len(client._buffer) == split)  # type: ignore[misc]
            await peer.send(b'{"b": 2}\r\n'[split:])
            assert await client.read_json() == {"b": 2}
        await client.close()
        assert client.done_task.result() is None
        assert await peer.receive_all() == b""


async def test_unread_bytes_hold_up_the_sender(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    data = random.Random(5).randbytes(10_000_000)
    async with Peer(server_context) as peer, make_client(peer, client_context, limit=10_000) as client:
        send_task = asyncio.create_task(peer.send(data))
        await wait_until(lambda: client._connection.is_paused)
        assert len(client._buffer) < 600_000
        received = bytearray()
        async with asyncio.timeout(TIMEOUT):
            while len(received) < len(data):
                received += await client.read(50_000)
            await send_task
        assert received == data


async def test_connected_until_everything_is_read(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    states = []

    async def note(client: Client) -> None:
        states.append(client.connected)

    async with (
        Peer(server_context) as peer,
        make_client(peer, client_context, connect_callback=note) as client,
    ):
        await peer.send(b"one\r\ntwo\r\n")
        await peer.close()
        await wait_until(lambda: client._reader._eof)
        assert client.connected
        assert await client.read_str() == "one"
        assert client.connected
        assert await client.read_str() == "two"
        assert not client.connected
        assert states == [True, False]
        with pytest.raises(ConnectionError):
            await client.read_str()


async def test_frame_sink(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    frames = [b"%d," % i * 100 for i in range(20_000)]

    async def send(peer: Peer) -> None:
        await peer.send(b"".join(frame + b"\r\n" for frame in frames))
        await peer.close()

    async with Peer(server_context) as peer, make_client(peer, client_context) as client:
        sink = Sink(client, room=100)
        client.set_frame_sink(sink)
        send_task = asyncio.create_task(send(peer))
        assert await resume_until_the_end(client, sink) is None
        await send_task
        assert sink.frames == frames


async def test_peer_that_does_not_end_the_session(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets a bounded time for that."""
    monkeypatch.setattr(client_module, "CLOSE_TIMEOUT", 0.01)
    async with Peer(server_context) as peer, make_client(peer, client_context) as client:
        await peer.stop_receiving()
        client._writer.write(bytes(10_000_000))
        await client.close()
        assert client.done_task.result() is None
        assert client._writer.get_extra_info("sslcontext") is client_context


async def test_unknown_authority(server_context: ssl.SSLContext) -> None:
    async with Peer(server_context) as peer:
        client = make_client(peer, ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            await client.start_task
        assert not client.connected
        await client.close()
        assert client.done_task.result() is None
