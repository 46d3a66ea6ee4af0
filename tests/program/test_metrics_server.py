"""``--metrics-port``: metrics, health and readiness of a running client."""

import asyncio
import contextlib
import http.client
import math
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lsst.ts.mtmount.core import DropReason
from lsst.ts.mtmount.pipeline.counters import Counters
from lsst.ts.mtmount.program.metrics_server import (
    MAX_CONNECTIONS,
    MetricsServer,
    Snapshot,
    _RequestHandler,
)
from lsst.ts.mtmount.tools.simulator import TmaSimulator

from ..kafka_reader import KafkaReader


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def read_metrics(port: int) -> dict[str, float]:
    status, text = get(port, "/metrics")
    assert status == 200
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def make_snapshot(**changes: float) -> Snapshot:
    figures: dict[str, Any] = dict.fromkeys(
        ("frames", "bytes", "published", "acknowledged", "failed", "unsupported", "preprocessed", "handled"),
        0,
    )
    counters = Counters(
        **figures,
        dropped=dict.fromkeys(DropReason, 0),
        pending=0,
        incomplete={"azimuth": 2},
        frames_with_unknown_members={"azimuth": 3, "elevation": 4},
    )
    values = {
        "connected": True,
        "last_frame_time": time.monotonic(),
        "kafka_stalled": 0.0,
        "clock_offset": math.nan,
        **changes,
    }
    return Snapshot(counters=counters, topic_frames={}, **values)  # type: ignore[arg-type]


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    server = MetricsServer("127.0.0.1", 0)
    yield server
    server.close()


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({}, 200, "ok"),
        ({"connected": False}, 503, "not connected"),
        ({"last_frame_time": 1e-9}, 503, "no telemetry for"),
        ({"kafka_stalled": 6.0}, 503, "Kafka has acknowledged nothing for 6.0 s"),
    ],
)
async def test_readiness(server: MetricsServer, changes: dict[str, float], status: int, text: str) -> None:
    assert (await asyncio.to_thread(get, server.port, "/readyz"))[0] == 503
    server.watch(lambda: make_snapshot(**changes))
    await asyncio.sleep(0)
    found, body = await asyncio.to_thread(get, server.port, "/readyz")
    assert found == status
    assert text in body
    assert (await asyncio.to_thread(get, server.port, "/healthz"))[0] == 200


async def test_a_loop_that_hangs_is_ill(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.program.metrics_server.MAX_TICK_AGE", 0.2)
    server.watch(make_snapshot)
    await asyncio.sleep(0)
    result: list[tuple[int, str]] = []
    time.sleep(0.5)  # noqa: ASYNC251  # that is what a blocked loop is
    result.append(get(server.port, "/healthz"))
    assert result[0][0] == 503
    assert "the event loop has not run for" in result[0][1]
    for path in ("/", "/metrics/x", "/healthz/"):
        assert get(server.port, path)[0] == 404


async def test_figures_that_cannot_be_had_make_no_loop_ill(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lsst.ts.mtmount.program.metrics_server.INTERVAL", 0.001)
    num_calls = 0
    is_called = asyncio.Event()

    def fail() -> Snapshot:
        nonlocal num_calls
        num_calls += 1
        if num_calls > 3:
            is_called.set()
        raise ValueError("of a subclass")

    server.watch(fail)
    await asyncio.wait_for(is_called.wait(), 60)
    assert (await asyncio.to_thread(get, server.port, "/healthz"))[0] == 200
    assert caplog.messages == ["The figures for the metrics cannot be had: ValueError: of a subclass"]


async def test_what_a_change_of_the_tma_does_is_served_by_topic(server: MetricsServer) -> None:
    server.watch(make_snapshot)
    await asyncio.sleep(0)
    metrics = await asyncio.to_thread(read_metrics, server.port)
    assert metrics["mtmount_incomplete_total{azimuth}"] == 2
    assert metrics["mtmount_frames_with_unknown_members_total{azimuth}"] == 3
    assert metrics["mtmount_frames_with_unknown_members_total{elevation}"] == 4


async def test_a_running_client_serves_its_figures(kafka_reader: KafkaReader) -> None:
    async with TmaSimulator() as simulator:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", "import mtmount_telemetry_launcher as launcher, sys; sys.exit(launcher.run_client())"),
            *("--host", "127.0.0.1", "--port", str(simulator.port), "--metrics-port", "0"),
            stdout=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(60):
                assert process.stdout is not None
                while not (line := await process.stdout.readline()).startswith(
                    b"MTMount telemetry client metrics: host=127.0.0.1; port="
                ):
                    assert line
                port = int(line.rpartition(b"=")[2])

                async def wait_for(is_true: Callable[[dict[str, float]], bool]) -> dict[str, float]:
                    while True:
                        metrics = await asyncio.to_thread(read_metrics, port)
                        if is_true(metrics):
                            return metrics
                        await asyncio.sleep(0.05)

                metrics = await wait_for(lambda metrics: metrics.get("mtmount_acknowledged_total", 0) > 20)
                assert metrics["mtmount_frames_total"] >= metrics["mtmount_acknowledged_total"]
                assert metrics["mtmount_topic_frames_total{azimuth}"] > 0
                assert metrics["mtmount_connected"] == 1
                assert metrics["mtmount_last_frame_age_seconds"] < 10
                assert metrics["mtmount_dropped_total{not JSON}"] == 0
                await wait_for(lambda metrics: abs(metrics["mtmount_clock_offset_seconds"]) < 5)
                while (await asyncio.to_thread(get, port, "/readyz"))[0] != 200:
                    await asyncio.sleep(0.05)
                process.send_signal(signal.SIGTERM)
                await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0


def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match="Address already in use"):
            MetricsServer("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_both_families_of_addresses(host: str) -> None:
    server = MetricsServer(host, 0)
    try:
        with socket.create_connection((host, server.port), 10) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            assert connection.makefile("rb").readline() == b"HTTP/1.0 200 OK\r\n"
    finally:
        server.close()


def test_a_host_that_cannot_be_is_named() -> None:
    with pytest.raises(OSError, match="Name or service not known") as caught:
        MetricsServer("no.such.host.invalid", 80)
    assert caught.value.filename == "--metrics-host no.such.host.invalid, --metrics-port 80"


def test_clients_that_never_finish_are_bounded(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each takes a descriptor and a thread, which the telemetry needs, too; and is no news."""
    with contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
            connection.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
            return connection

        slow = [connect() for _ in range(MAX_CONNECTIONS)]
        # One more is closed at once, whatever it has sent.
        with contextlib.suppress(ConnectionError):
            assert connect().recv(1) == b""
        monkeypatch.setattr("lsst.ts.mtmount.program.metrics_server.REQUEST_TIMEOUT", 0.1)
        for connection in slow:
            # With an answer of the library's, or none.
            with contextlib.suppress(ConnectionError):
                while connection.recv(1000):
                    connection.sendall(b"x")
    while True:
        with contextlib.suppress(ConnectionError):
            assert get(server.port, "/healthz")[0] == 200
            break
    # One that hangs up before its answer.
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert get(server.port, "/healthz")[0] == 200
    assert capfd.readouterr().err == ""


def test_requests_that_the_library_fails_on_are_one_log_message(
    server: MetricsServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        status, _ = get(server.port, "/metrics", Accept="application/openmetrics-text; version=abc")
        assert status == 500
    assert get(server.port, "/metrics")[0] == 200
    (message,) = caplog.messages
    assert message.startswith("A request for metrics failed: TypeError: ")
    server.close()
    assert caplog.messages[1:] == ["Failed requests for metrics: suppressed 19 more messages like this"]
    assert capfd.readouterr().err == ""


def test_an_answer_that_nobody_reads_is_no_news(
    server: MetricsServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    is_ended = threading.Event()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            # More than the buffers of the sockets take.
            while True:
                yield bytes(1 << 20)
        finally:
            is_ended.set()

    monkeypatch.setattr(_RequestHandler, "timeout", 0.1)
    server._server.set_app(answer)
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert is_ended.wait(60)
        # The end of the connection comes after all that might be said.
        with contextlib.suppress(ConnectionError):
            while connection.recv(1 << 20):
                pass
    server.close()
    assert caplog.messages == []
    assert capfd.readouterr().err == ""
