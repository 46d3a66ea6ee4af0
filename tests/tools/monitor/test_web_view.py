"""The page for web browsers, in a real browser (Debian's chromium and chromium-driver)."""

import asyncio
import io
import json
import socket
from asyncio.subprocess import PIPE

import fastavro
import pytest
from bokeh.client import ClientSession, pull_session
from confluent_kafka import Producer
from selenium.webdriver import Chrome
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from lsst.ts.mtmount.commands.monitor import main
from lsst.ts.mtmount.tools.embedded import EmbeddedKafka

from ...ports import find_free_port
from ...programs import find_program
from ..browser import find_text, read_until
from ..conftest import Streaming
from .serving import serving

TIMEOUT = 60
EVIL = "<img src=x onerror=document.title=1>"


@pytest.mark.slow
async def test_page(streaming: Streaming, browser: Chrome) -> None:
    port = find_free_port()
    async with serving(port):
        async with streaming() as client:
            await asyncio.to_thread(browser.get, f"http://127.0.0.1:{port}/")
            await read_until(browser, lambda rows: "live" in rows.get("azimuth", [""])[0])
            # The page shows the last one alone.
            client.log.warning(EVIL)
            rows = await read_until(browser, lambda rows: EVIL in rows.get("evt_logMessage", [""])[0])
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
    port = find_free_port()
    async with streaming():
        async with serving(port, "azimuth"):
            await asyncio.to_thread(browser.get, f"http://127.0.0.1:{port}/")
            await read_until(browser, lambda rows: "live" in rows.get("azimuth", [""])[0])
        async with serving(port, "azimuth", "elevation"):
            await read_until(browser, lambda rows: "live" in rows.get("elevation", [""])[0])


@pytest.mark.slow
async def test_html_from_kafka_is_text(
    embedded_kafka: EmbeddedKafka, sal_environment: str, browser: Chrome
) -> None:
    """Units, a publisher, values and texts; names cannot be: Avro's have letters and digits alone."""
    fields = {
        "private_origin": ("string", EVIL, ""),
        "private_seqNum": ("int", 1, ""),
        "actualPosition": ("double", 1.5, EVIL),
        "message": ("string", EVIL, EVIL),
    }
    topics = [sal_environment + name for name in ("azimuth", "logevent_logMessage", "logevent_odd")]
    embedded_kafka.create_topics(topics)
    schema = {
        "type": "record",
        "name": "odd",
        "doc": EVIL,
        "fields": [
            {"name": name, "type": kind, "units": units, "doc": EVIL}
            for name, (kind, _, units) in fields.items()
        ],
    }
    data = io.BytesIO()
    fastavro.schemaless_writer(data, schema, {name: value for name, (_, value, _) in fields.items()})
    producer = Producer({"bootstrap.servers": embedded_kafka.bootstrap_servers, "linger.ms": 0})

    def publish() -> None:
        for topic in topics:
            schema_id = embedded_kafka.registry.register(f"{topic}-value", json.dumps(schema))
            producer.produce(topic, b"\0" + schema_id.to_bytes(4, "big") + data.getvalue(), b"", 0)
        # Not a record; the reason is logged.
        producer.produce(topics[-1], b"\0\0\0\0\1" + EVIL.encode(), b"", 0)
        assert producer.flush(TIMEOUT) == 0

    port = find_free_port()
    async with serving(port, "azimuth", "evt_logMessage", "evt_odd", "--fields", "azimuth.actualPosition"):
        await asyncio.to_thread(browser.get, f"http://127.0.0.1:{port}/")
        await read_until(browser, lambda rows: "azimuth" in rows)
        publish()
        await read_until(
            browser,
            lambda rows: (
                EVIL in rows.get("azimuth.actualPosition", [""])[0]
                and EVIL in rows.get("evt_logMessage", [""])[0]
                and "bad" in rows.get("evt_odd", [""])[0]
            ),
        )
        assert browser.title == "MTMount telemetry"


@pytest.mark.slow
async def test_a_ninth_page_is_told_and_a_freed_place_is_taken(sal_environment: str, browser: Chrome) -> None:
    port = find_free_port()
    url = f"http://127.0.0.1:{port}/"
    async with serving(port, "azimuth"):
        sessions = [await asyncio.to_thread(pull_session, url=url) for _ in range(8)]
        assert not [session for session in sessions if is_told(session)]
        await asyncio.to_thread(browser.get, url)
        await find_text(browser, "expected up to 8 pages at once: close another one")
        for session in sessions:
            session.close()
        # The server takes some seconds to see it.
        async with asyncio.timeout(TIMEOUT):
            while is_told(session := await asyncio.to_thread(pull_session, url=url)):
                session.close()
                await asyncio.sleep(1)


def is_told(session: ClientSession) -> bool:
    """Tell whether it got a page that tells only that there are too many."""
    return "close another one" in getattr(session.document.roots[0], "text", "")


@pytest.mark.slow
async def test_other_origins_are_refused(sal_environment: str) -> None:
    port = find_free_port()
    async with serving(port, "azimuth"):
        for origin in (f"http://localhost:{port}", "http://evil.example", f"http://127.0.0.1:{port + 1}"):
            request = HTTPRequest(f"ws://127.0.0.1:{port}/ws", headers={"Origin": origin})
            with pytest.raises(HTTPClientError, match="403"):
                await websocket_connect(request)
        # Only loopback is listened at.
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.2", port)


async def test_a_port_in_use(sal_environment: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        # In a process of its own: tornado forgets to close the socket.
        process = await asyncio.create_subprocess_exec(
            *(find_program("monitor_mtmount_telemetry"), "--web", str(port)),
            stdout=PIPE,
            stderr=PIPE,
        )
        async with asyncio.timeout(TIMEOUT):
            output, errors = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    interface, failure = errors.decode().splitlines()
    assert interface.startswith("TMA interface: ")
    assert failure.startswith(f"monitor_mtmount_telemetry: failed: --web 127.0.0.1:{port}: ")


@pytest.mark.parametrize(
    "text", ["", "0", "65536", "x", "host:", "1.5", "-1", "[::1]:5006", "0.0.0.0:5006", "a b:5006"]
)
def test_addresses_that_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"--web={text}"])
    assert caught.value.code == 2
    assert "--web: expected " in capsys.readouterr().err
