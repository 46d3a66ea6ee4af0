"""Kafka or the schema registry are not there at the start, or refuse."""

import asyncio
import http.client
import http.server
import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ..ports import find_free_port
from ..tcp_proxy import TcpProxy
from ..tma import ScriptedTma
from .client import ClientProgram, start_client, wait_until
from .frames import AZIMUTH, azimuth_frame
from .outcome import RecordOutcome
from .read_back import read_back

Environment = dict[str, str]

NUM_FRAMES = 50

#: A client says that it waits for Kafka or the registry.
WAITS = "Waiting, because this may pass"


@contextmanager
def refusing_registry(status: int) -> Iterator[str]:
    """A registry that answers all with one status; gives its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            body = b'{"error_code": %d, "message": "no!"}' % status
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def see_failure(
    environment: Environment, folder: Path, tma: ScriptedTma, pattern: str, *options: str
) -> float:
    """Run the program; it must fail with an error of this form. Return how long it took [s]."""
    async with ClientProgram(environment, folder, tma.port, *options) as program:
        await program.wait_output(" starting")
        status, seconds = await program.wait_ended()
        assert status == 1
        (line,) = re.findall(r"^MTMount telemetry client failed: .*$", program.output, re.MULTILINE)
        assert re.search(pattern, line), line
        assert "Traceback" not in program.output
    return seconds


@pytest.mark.slow
async def test_broker_absent(
    embedded_environment: Environment, record_outcome: RecordOutcome, tmp_path: Path, tma: ScriptedTma
) -> None:
    address = f"127.0.0.1:{find_free_port()}"
    environment = embedded_environment | {"LSST_KAFKA_BROKER_ADDR": address}
    pattern = rf"Kafka at {re.escape(address)} did not answer within 10 s"
    seconds = await see_failure(environment, tmp_path, tma, pattern)
    record_outcome("broker absent at start", "clear error after 10 s; ends with 1", seconds=seconds)


async def test_registry_absent(
    embedded_environment: Environment, record_outcome: RecordOutcome, tmp_path: Path, tma: ScriptedTma
) -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    environment = embedded_environment | {"LSST_SCHEMA_REGISTRY_URL": url}
    seconds = await see_failure(environment, tmp_path, tma, rf"{url} cannot be reached: .*refused")
    record_outcome("registry down at start", "clear error; ends with 1", seconds=seconds)


@pytest.mark.parametrize("status", [401, 503])
async def test_registry_refuses(
    embedded_environment: Environment,
    record_outcome: RecordOutcome,
    tmp_path: Path,
    tma: ScriptedTma,
    status: int,
) -> None:
    with refusing_registry(status) as url:
        environment = embedded_environment | {"LSST_SCHEMA_REGISTRY_URL": url}
        seconds = await see_failure(environment, tmp_path, tma, rf"{url} .*HTTP status {status}, no!")
    record_outcome(f"registry refuses ({status}) at start", "clear error; ends with 1", seconds=seconds)


async def test_incompatible_schema(
    embedded_environment: Environment, record_outcome: RecordOutcome, tmp_path: Path, tma: ScriptedTma
) -> None:
    subject = f"lsst.{embedded_environment['LSST_TOPIC_SUBNAME']}.MTMount.azimuth-value"
    await asyncio.to_thread(
        register_other_schema, embedded_environment["LSST_SCHEMA_REGISTRY_URL"], subject, "azimuth"
    )
    # It does not help to wait.
    pattern = rf"did not register the schema of {subject}: HTTP status 409"
    seconds = await see_failure(embedded_environment, tmp_path, tma, pattern, "--wait-for-kafka")
    record_outcome("incompatible schema at the registry", "clear error; ends with 1", seconds=seconds)


def register_other_schema(registry_url: str, subject: str, name: str) -> None:
    """Register a schema that ours is not compatible with, and demand compatibility."""
    schema = {"type": "record", "name": name, "namespace": "lsst.sal.MTMount"}
    schema |= {"fields": [{"name": "private_sndStamp", "type": "string"}]}  # type: ignore[dict-item]
    url = urlsplit(registry_url)
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    try:
        for method, path, body in [
            ("POST", f"/subjects/{subject}/versions", {"schema": json.dumps(schema)}),
            ("PUT", f"/config/{subject}", {"compatibility": "BACKWARD"}),
        ]:
            headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
            connection.request(method, url.path + path, json.dumps(body), headers)
            response = connection.getresponse()
            assert response.status == 200, response.read()
            response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("what", ["broker", "registry"])
async def test_waiting_for_kafka(
    embedded_environment: Environment,
    record_outcome: RecordOutcome,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tma: ScriptedTma,
    what: str,
) -> None:
    port = find_free_port()
    if what == "broker":
        server_port = int(embedded_environment["LSST_KAFKA_BROKER_ADDR"].rpartition(":")[2])
        monkeypatch.setenv("LSST_KAFKA_BROKER_ADDR", f"127.0.0.1:{port}")
    else:
        server_port = urlsplit(embedded_environment["LSST_SCHEMA_REGISTRY_URL"]).port or 0
        monkeypatch.setenv("LSST_SCHEMA_REGISTRY_URL", f"http://127.0.0.1:{port}")
    async with start_client(tma.port, wait_for_kafka=60) as client:
        client.controller.publisher._start_timeout = 0.5
        await wait_until(lambda: WAITS in caplog.text)
        assert not client.start_task.done()
        async with TcpProxy(server_port, port=port):
            start = time.monotonic()
            await client.start_task
            await tma.send(*[azimuth_frame()] * NUM_FRAMES)
            await wait_until(lambda: client.counters.acknowledged == NUM_FRAMES)
            seconds = time.monotonic() - start
    found = await asyncio.to_thread(read_back, embedded_environment)
    assert found.unique == {AZIMUTH: NUM_FRAMES}
    record_outcome(
        f"{what} absent at start, with --wait-for-kafka",
        "goes on when it is there",
        client.counters,
        sent=NUM_FRAMES,
        found=found,
        seconds=seconds,
    )


async def test_waiting_for_a_registry_in_trouble(
    embedded_environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tma: ScriptedTma,
) -> None:
    with refusing_registry(503) as url:
        monkeypatch.setenv("LSST_SCHEMA_REGISTRY_URL", url)
        async with start_client(tma.port, wait_for_kafka=60) as client:
            await wait_until(lambda: WAITS in caplog.text)
            assert not client.start_task.done()


async def test_waiting_for_kafka_has_an_end(
    embedded_environment: Environment, tmp_path: Path, tma: ScriptedTma
) -> None:
    environment = embedded_environment | {"LSST_SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{find_free_port()}"}
    options = ("--wait-for-kafka=1",)
    async with ClientProgram(environment, tmp_path, tma.port, *options) as program:
        await program.wait_output(WAITS)
        status, seconds = await program.wait_ended()
        assert status == 1
        assert "cannot be reached" in program.output.splitlines()[-1]
        assert seconds > 0


@pytest.mark.parametrize(
    ("variables", "text", "message"),
    [
        ({"LSST_TOPIC_SUBNAME": ""}, "", "LSST_TOPIC_SUBNAME to be set, got none"),
        ({"LSST_TOPIC_SUBNAME": "a\x1b"}, "", r"for LSST_TOPIC_SUBNAME, got 'a\x1b'"),
        ({"LSST_KAFKA_BROKER_ADDR": "user:pa55@kafka:9092"}, "", "for LSST_KAFKA_BROKER_ADDR"),
        ({"LSST_SCHEMA_REGISTRY_URL": "http://u:80#pa55@h:1"}, "", "LSST_SCHEMA_REGISTRY_URL: expected"),
        ({"LSST_KAFKA_REPLICATION_FACTOR": "0"}, "", "LSST_KAFKA_REPLICATION_FACTOR from 1 to 32767, got 0"),
        ({"LSST_KAFKA_PRODUCER_WAIT_ACKS": "some"}, "", "for LSST_KAFKA_PRODUCER_WAIT_ACKS, got 'some'"),
        (
            {"LSST_KAFKA_PRODUCER_CONFIGURATION": "/dev/zero"},
            "",
            "/dev/zero cannot be read: expected a regular",
        ),
        ({}, "linger.ms: fast", "producer.yaml: linger.ms: 'fast'"),
        ({}, "sasl.pasword: pa55", "producer.yaml: sasl.pasword: *** (no such property)"),
        (
            {"MTMOUNT_TMA_INTERFACE": "/no/such"},
            "",
            "MTMOUNT_TMA_INTERFACE: /no/such: No such file or directory",
        ),
    ],
)
async def test_settings_that_are_wrong(
    embedded_environment: Environment,
    tmp_path: Path,
    tma: ScriptedTma,
    variables: Environment,
    text: str,
    message: str,
) -> None:
    """Told in one line that names the variable, or file and key, and shows no secret."""
    if text:
        path = tmp_path / "producer.yaml"
        path.write_text(text)
        variables = {"LSST_KAFKA_PRODUCER_CONFIGURATION": str(path)}
    async with ClientProgram(embedded_environment | variables, tmp_path, tma.port) as program:
        assert (await program.wait_ended())[0] == 1
    assert message in program.output.splitlines()[-1]
    assert "Traceback" not in program.output
    assert "pa55" not in program.output
    assert all(line.isprintable() for line in program.output.splitlines())


@pytest.mark.parametrize("option", ["--loglevel=INFO", "--wait-for-kafka"])
async def test_signal_while_the_registry_hangs(
    embedded_environment: Environment,
    record_outcome: RecordOutcome,
    tmp_path: Path,
    tma: ScriptedTma,
    option: str,
) -> None:
    async with ScriptedTma() as registry:
        environment = embedded_environment | {"LSST_SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{registry.port}"}
        async with ClientProgram(environment, tmp_path, tma.port, option) as program:
            # It takes the connection and the request, and says nothing.
            await registry.wait_connected()
            program.send_signal(signal.SIGTERM)
            status, seconds = await program.wait_ended()
    assert status == 0
    assert program.output.endswith("done\n")
    assert "running" not in program.output
    if option == "--wait-for-kafka":
        record_outcome("SIGTERM while the registry hangs", "ends with 0", seconds=seconds)


@pytest.mark.slow
async def test_registry_that_hangs(
    embedded_environment: Environment, record_outcome: RecordOutcome, tmp_path: Path, tma: ScriptedTma
) -> None:
    async with ScriptedTma() as registry:
        url = f"http://127.0.0.1:{registry.port}"
        environment = embedded_environment | {"LSST_SCHEMA_REGISTRY_URL": url}
        seconds = await see_failure(
            environment, tmp_path, tma, rf"The schema registry {url} cannot be reached"
        )
    record_outcome("registry hangs at start", "clear error; ends with 1", seconds=seconds)


async def test_signal_ends_the_wait(
    embedded_environment: Environment, tmp_path: Path, tma: ScriptedTma
) -> None:
    environment = embedded_environment | {"LSST_SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{find_free_port()}"}
    async with ClientProgram(environment, tmp_path, tma.port, "--wait-for-kafka") as program:
        await program.wait_output(WAITS)
        program.send_signal(signal.SIGTERM)
        status, _ = await program.wait_ended()
        assert status == 0
        assert "MTMount telemetry client done" in program.output
