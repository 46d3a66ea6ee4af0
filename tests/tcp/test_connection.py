"""The client's connection: how it comes, how it is reported, how it goes."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest

from lsst.ts.mtmount import Client
from lsst.ts.mtmount.tcp import client as client_module

from ..ports import find_free_port
from .peer import TIMEOUT, Peer, wait_until

log = logging.getLogger("test")


class Reports:
    """What a connect callback was told, in order."""

    def __init__(self) -> None:
        self.states: list[bool] = []
        self.reported = asyncio.Event()

    async def note(self, client: Client) -> None:
        self.states.append(client.connected)
        self.reported.set()

    async def wait(self, *states: bool) -> None:
        async with asyncio.timeout(TIMEOUT):
            while len(self.states) < len(states):
                self.reported.clear()
                await self.reported.wait()
        assert self.states == list(states)


def make_client(peer: Peer, **kwargs: Any) -> Client:
    return Client("127.0.0.1", peer.port, log, **kwargs)


async def test_life_of_a_connection() -> None:
    reports = Reports()
    async with Peer() as peer:
        client = Client("127.0.0.1", peer.port, log, reports.note, 0.1, "name")
        assert (client.host, client.port, client.name) == ("127.0.0.1", peer.port, "name")
        assert (client.encoding, client.terminator) == ("utf-8", b"\r\n")
        assert client.log.name == "test.Client(name)"
        assert not client.connected
        assert not client.should_be_connected
        assert not client.start_task.done()
        await client.start_task
        assert client.connected
        assert client.should_be_connected
        assert reports.states == [True]
        assert not client.done_task.done()
        assert client.heartbeat_send_task.done()
        await client.close()
        assert not client.connected
        assert not client.should_be_connected
        assert client.done_task.done()
        assert client.done_task.result() is None
        assert reports.states == [True, False]
        await client.close()
        await client.basic_close()
        assert reports.states == [True, False]
        assert await peer.receive_all() == b""


async def test_context_manager() -> None:
    async with Peer() as peer:
        async with make_client(peer) as client:
            assert client.connected
        assert client.done_task.done()
        assert not client.connected


async def test_basic_close() -> None:
    reports = Reports()
    async with Peer() as peer, make_client(peer, connect_callback=reports.note) as client:
        await client.basic_close()
        assert not client.connected
        assert client.should_be_connected
        assert client.done_task.done()
        assert reports.states == [True, False]


async def test_logger_has_the_subclass_name() -> None:
    class Special(Client):
        pass

    client = Special("", 0, log, name="it")
    assert client.log.name == "test.Special(it)"


async def test_closed_from_the_start() -> None:
    reports = Reports()
    client = Client(host="", port=0, log=log, connect_callback=reports.note)
    assert client.start_task.done()
    assert client.done_task.done()
    assert not client.connected
    assert not client.should_be_connected
    assert await client._reader.readline() == b""
    assert client._writer.is_closing()
    with pytest.raises(ConnectionError):
        await client.write(b"")
    await client.close()
    assert reports.states == []


async def test_it_connects_once() -> None:
    async with Peer() as peer, make_client(peer) as client:
        with pytest.raises(RuntimeError, match="once"):
            await client.start()
        assert client.connected
        await client.close()
        with pytest.raises(RuntimeError, match="once"):
            await client.start()


async def test_refused() -> None:
    reports = Reports()
    client = Client("127.0.0.1", find_free_port(), log, reports.note)
    with pytest.raises(ConnectionRefusedError):
        await client.start_task
    assert not client.connected
    assert not client.should_be_connected
    assert not client.done_task.done()
    with pytest.raises(ConnectionError):
        await client.read(1)
    await client.close()
    assert client.done_task.result() is None
    assert reports.states == []


async def test_close_while_connecting() -> None:
    # A full backlog: the connection is neither made nor refused.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        fill = [socket.socket() for _ in range(4)]
        for sock in fill:
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
        client = Client("127.0.0.1", server.getsockname()[1], log)
        done, _ = await asyncio.wait([client.start_task], timeout=0.05)
        assert not done
        await client.close()
        assert client.done_task.done()
        with pytest.raises(ConnectionError, match="while connecting"):
            await client.start_task
        for sock in fill:
            sock.close()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"encoding": "no_such_encoding"}, ValueError),
        ({"encoding": b"utf-8"}, ValueError),
        ({"encoding": "hex"}, ValueError),
        ({"encoding": None}, ValueError),
        ({"terminator": b""}, ValueError),
        ({"terminator": "\r\n"}, ValueError),
        ({"terminator": None}, ValueError),
        ({"limit": 0}, ValueError),
        ({"run_heartbeat_send_task": True, "heartbeat_send_sleep": -1}, ValueError),
        ({"run_heartbeat_send_task": True, "heartbeat_send_sleep": None}, TypeError),
        ({"connect_callback": lambda client: None}, TypeError),
        ({"connect_callback": "name"}, TypeError),
    ],
)
async def test_bad_arguments(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Client("127.0.0.1", 1, log, **arguments)


async def test_time_between_heartbeats_as_text() -> None:
    async with (
        Peer() as peer,
        make_client(peer, run_heartbeat_send_task=True, heartbeat_send_sleep="7") as client,
    ):
        assert client.heartbeat_send_sleep == 7


async def test_unknown_argument() -> None:
    client = Client("127.0.0.1", 1, log, nonsense=1)
    with pytest.raises(TypeError, match="nonsense"):
        await client.start_task
    await client.close()


async def test_arguments_of_open_connection() -> None:
    async with Peer() as peer:
        sock = socket.create_connection(("127.0.0.1", peer.port))
        sock.setblocking(False)
        async with Client(None, None, log, sock=sock) as client:
            await client.write(b"through that socket")
            assert await peer.receive(19) == b"through that socket"


async def test_ipv6() -> None:
    try:
        peer = await Peer(host="::1").__aenter__()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    async with Client("::1", peer.port, log) as client:
        await client.write_str("hello")
        assert await peer.receive(7) == b"hello\r\n"
        assert client._writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    await peer.__aexit__(None, None, None)


async def test_keep_alive() -> None:
    async with Peer() as peer, make_client(peer) as client:
        sock = client._writer.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 15
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 4


@pytest.mark.parametrize("end", [Peer.close, Peer.close_half, Peer.reset])
async def test_lost_connection_is_reported_though_nobody_reads(end: Callable[[Peer], Any]) -> None:
    reports = Reports()
    async with Peer() as peer, make_client(peer, connect_callback=reports.note) as client:
        await end(peer)
        await reports.wait(True, False)
        assert not client.connected
        assert client.should_be_connected
        assert not client.done_task.done()
        await client.close()
        assert not client.should_be_connected
        assert client.done_task.result() is None
        assert reports.states == [True, False]


async def test_no_monitoring() -> None:
    reports = Reports()
    async with (
        Peer() as peer,
        make_client(peer, connect_callback=reports.note, monitor_connection_interval=0) as client,
    ):
        await peer.close()
        await wait_until(lambda: not client.connected)
        assert reports.states == [True]
        await client.call_connect_callback()
        assert reports.states == [True, False]
        await client.call_connect_callback()
        assert reports.states == [True, False]


async def test_reading_reports_a_lost_connection() -> None:
    reports = Reports()
    async with (
        Peer() as peer,
        make_client(peer, connect_callback=reports.note, monitor_connection_interval=0) as client,
    ):
        await peer.send(b"last")
        await peer.close()
        assert await client.readline() == b"last"
        assert reports.states == [True, False]


async def test_connected_until_everything_is_read() -> None:
    reports = Reports()
    async with Peer() as peer, make_client(peer, connect_callback=reports.note) as client:
        await peer.send(b"one\r\ntwo\r\nrest")
        await peer.close_half()
        await wait_until(lambda: client._reader._eof)
        assert client.connected
        assert await client.read_str() == "one"
        assert await client.readuntil(b"o") == b"two"
        assert client.connected
        assert reports.states == [True]
        assert await client.read(100) == b"\r\nrest"
        assert not client.connected
        assert reports.states == [True, False]
        assert client._reader.at_eof()


async def test_callback_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    async def fail(client: Client) -> None:
        calls.append(client.connected)
        raise LookupError("this callback fails")

    async with Peer() as peer, make_client(peer, connect_callback=fail) as client:
        await peer.send(b"hello\r\n")
        assert await client.read_str() == "hello"
    assert calls == [True, False]
    assert [record.name for record in caplog.records if record.exc_info] == ["test.Client()"] * 2
    assert "this callback fails" in caplog.text


@pytest.mark.parametrize("when", [True, False])
async def test_callback_that_closes(when: bool) -> None:
    states = []

    async def close(client: Client) -> None:
        states.append(client.connected)
        if client.connected is when:
            await client.close()

    async with Peer() as peer:
        client = make_client(peer, connect_callback=close)
        await client.start_task
        if not when:
            await peer.close()
        async with asyncio.timeout(TIMEOUT):
            await client.done_task
        assert states == [True, False]
        assert not client.should_be_connected
        await wait_until(client._monitor_connection_task.done)


async def test_closing_waits_for_the_callback() -> None:
    """What reports a lost connection is not cut off."""
    may_end = asyncio.Event()
    states = []

    async def report_slowly(client: Client) -> None:
        state = client.connected
        if not state:
            await may_end.wait()
        states.append(state)

    async with Peer() as peer:
        client = make_client(peer, connect_callback=report_slowly)
        await client.start_task
        await peer.close()
        await wait_until(lambda: client._callbacks)
        close_task = asyncio.create_task(client.close())
        await wait_until(lambda: not client.should_be_connected)
        may_end.set()
        async with asyncio.timeout(TIMEOUT):
            await close_task
        assert states == [True, False]


async def test_closing_does_not_wait_forever_for_the_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "CLOSE_TIMEOUT", 0.01)

    async def hang(client: Client) -> None:
        if not client.connected:
            await asyncio.Event().wait()

    async with Peer() as peer:
        client = make_client(peer, connect_callback=hang)
        await client.start_task
        await peer.close()
        await wait_until(lambda: client._callbacks)
        async with asyncio.timeout(TIMEOUT):
            await client.close()
        assert client.done_task.done()


async def test_heartbeats() -> None:
    async with (
        Peer() as peer,
        make_client(
            peer, terminator=b"|", run_heartbeat_send_task=True, heartbeat_send_sleep=0.001
        ) as client,
    ):
        assert not client.heartbeat_send_task.done()
        assert await peer.receive(40) == b"heartbeat|" * 4
        await client.close()
        assert client.heartbeat_send_task.done()


async def test_first_heartbeat_is_sent_at_once() -> None:
    async with (
        Peer() as peer,
        make_client(peer, run_heartbeat_send_task=True, heartbeat_send_sleep=1000) as client,
    ):
        assert await peer.receive(11) == b"heartbeat\r\n"
        assert not client.heartbeat_send_task.done()
        await client.basic_close()
        assert client.heartbeat_send_task.done()


async def test_heartbeats_end_with_the_connection() -> None:
    reports = Reports()
    async with (
        Peer() as peer,
        make_client(
            peer,
            connect_callback=reports.note,
            monitor_connection_interval=0,
            run_heartbeat_send_task=True,
            heartbeat_send_sleep=0.001,
        ) as client,
    ):
        await peer.receive(11)
        await peer.reset()
        await asyncio.wait_for(asyncio.shield(client.heartbeat_send_task), TIMEOUT)
        assert not client.connected


@pytest.mark.parametrize("name", ["heartbeat_send_task", "monitor of the connection"])
async def test_a_cancelled_task_is_told(caplog: pytest.LogCaptureFixture, name: str) -> None:
    others = asyncio.all_tasks()
    async with Peer() as peer, make_client(peer, run_heartbeat_send_task=True) as client:
        await peer.receive(11)
        (task,) = (task for task in asyncio.all_tasks() - others if task.get_name() == name)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert f"{name} was cancelled; it is not begun anew" in caplog.messages
        caplog.clear()
        await client.close()
    # What the end cancels is no news.
    assert "cancelled" not in caplog.text


async def test_close_sends_what_was_written() -> None:
    data = bytes(range(256)) * 10_000
    async with Peer() as peer:
        async with make_client(peer) as client:
            client._writer.write(data)
        assert await peer.receive_all() == data


async def test_close_does_not_wait_forever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client_module, "CLOSE_TIMEOUT", 0.01)
    reports = Reports()
    async with Peer(receive_buffer=4096) as peer:
        async with make_client(peer, connect_callback=reports.note) as client:
            await peer.stop_receiving()
            client._writer.write(bytes(20_000_000))
            await client.close()
        assert client.done_task.result() is None
        assert reports.states == [True, False]
        assert "did not take what was written" in caplog.text


async def test_tasks_end_with_the_client() -> None:
    async with Peer() as peer:
        before = asyncio.all_tasks()
        async with make_client(peer, connect_callback=Reports().note, run_heartbeat_send_task=True):
            assert len(asyncio.all_tasks() - before) == 3
        await wait_until(lambda: asyncio.all_tasks() <= before)
