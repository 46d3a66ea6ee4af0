"""The page for web browsers, in a real browser (Debian's chromium and chromium-driver)."""

import asyncio
import contextlib
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

import pytest
from bokeh.client import pull_session
from selenium.webdriver import Chrome
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from lsst.ts.mtmount.commands.monitor import main

from ..browser import find_port, read_until
from ..conftest import Streaming

TIMEOUT = 60
EVIL = "<img onerror=alert(1) src=x>"


@contextlib.asynccontextmanager
async def serving(port: int, *arguments: str) -> AsyncIterator[Process]:
    """Run the program until the end of the test."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "lsst.ts.mtmount.commands.monitor", "--web", str(port), *arguments),
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT):
            line = await process.stdout.readline()
        assert line == f"Open http://127.0.0.1:{port}/ in a web browser\n".encode()
        yield process
    finally:
        process.terminate()
        _, errors = await process.communicate()
    assert process.returncode == 0, errors


@pytest.mark.slow
async def test_page(streaming: Streaming, browser: Chrome) -> None:
    port = find_port()
    async with serving(port):
        async with streaming() as client:
            await asyncio.to_thread(browser.get, f"http://127.0.0.1:{port}/")
            client.log.warning(EVIL)
            rows = await read_until(
                browser,
                lambda rows: (
                    "live" in rows.get("azimuth", [""])[0] and EVIL in rows.get("evt_logMessage", [""])[0]
                ),
            )
            assert rows["azimuth"][1] == "green"
            assert "connected=True" in rows["evt_telemetryConnected"][0]
            value = rows["azimuth.actualPosition"][0]
            # Values move.
            await read_until(browser, lambda rows: rows.get("azimuth.actualPosition", [value])[0] != value)
        # The client has stopped.
        rows = await read_until(browser, lambda rows: "late" in rows.get("azimuth", [""])[0])
        assert rows["azimuth"][1] == "red"
        assert "connected=False" in rows["evt_telemetryConnected"][0]


@pytest.mark.slow
async def test_reconnects_by_itself(streaming: Streaming, browser: Chrome) -> None:
    port = find_port()
    async with streaming():
        async with serving(port, "azimuth"):
            await asyncio.to_thread(browser.get, f"http://127.0.0.1:{port}/")
            await read_until(browser, lambda rows: "live" in rows.get("azimuth", [""])[0])
        async with serving(port, "azimuth", "elevation"):
            await read_until(browser, lambda rows: "live" in rows.get("elevation", [""])[0])


@pytest.mark.slow
async def test_other_origins_are_refused_and_sessions_are_few(sal_environment: str) -> None:
    port = find_port()

    def request(origin: str) -> HTTPRequest:
        return HTTPRequest(f"ws://127.0.0.1:{port}/ws", headers={"Origin": origin})

    def open_pages() -> list[bool]:
        """Open one page more than there may be; tell which are refused."""
        sessions = [pull_session(url=f"http://127.0.0.1:{port}/") for _ in range(9)]
        texts = [getattr(session.document.roots[0], "text", "") for session in sessions]
        for session in sessions:
            session.close()
        return ["close another one" in text for text in texts]

    async with serving(port, "azimuth"):
        for origin in (f"http://localhost:{port}", "http://evil.example", f"http://127.0.0.1:{port + 1}"):
            with pytest.raises(HTTPClientError, match="403"):
                await websocket_connect(request(origin))
        assert await asyncio.to_thread(open_pages) == [False] * 8 + [True]
        # Only loopback is listened at.
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.2", port)


async def test_a_port_in_use(sal_environment: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        # In a process of its own: tornado forgets to close the socket.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "lsst.ts.mtmount.commands.monitor", "--web", str(port)),
            stdout=PIPE,
            stderr=PIPE,
        )
        async with asyncio.timeout(TIMEOUT):
            output, errors = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    start = f"monitor_mtmount_telemetry: failed: --web 127.0.0.1:{port}: "
    assert [line.startswith(start) for line in errors.decode().splitlines()] == [True]


@pytest.mark.parametrize(
    "text", ["", "0", "65536", "x", "host:", "1.5", "-1", "[::1]:5006", "0.0.0.0:5006", "a b:5006"]
)
def test_addresses_that_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"--web={text}"])
    assert caught.value.code == 2
    assert "--web: expected " in capsys.readouterr().err
