"""Replays of recordings: the same bytes, at the pace that is asked for."""

import asyncio
import json
import logging
import math
import os
import time
from pathlib import Path

import pytest
from mcap.writer import Writer

from lsst.ts.mtmount.recording import Recorder, Recording, find_files
from lsst.ts.mtmount.tools.simulator.replay import Replay
from lsst.ts.mtmount.tools.simulator.replay_server import ReplayServer

from ...recording.frames import make_stream, read_back, record
from .helpers import read_to_end
from .test_mock_tma import running, start

AZIMUTH = (
    b'{"topicID": 6, "timestamp": 1732400000.5, "actualPosition": 1.5, '
    b'"actualPositionTimestamp":1732400000.25 , "text": "\\"timestamp\\": 5, "}'
)
BAD = b"{bad\r\n\xff\r\n\r\n"


@pytest.fixture(scope="module")
def stream() -> bytes:
    return make_stream(40) + BAD + b"x" * (1 << 20) + b"y\r\n" + make_stream(1) + AZIMUTH[:20]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, stream: bytes) -> Path:
    folder = tmp_path_factory.mktemp("replay")
    record(folder, *[stream[i : i + 10_000] for i in range(0, len(stream), 10_000)])
    return folder


@pytest.mark.parametrize("rate", [100.0, math.inf])
async def test_every_byte_comes_back(folder: Path, stream: bytes, rate: float) -> None:
    sent = bytearray()
    async with ReplayServer(Replay(find_files(folder), rate=rate), record=sent.extend) as server:
        data = await read_to_end(server.port)
        await server.wait_complete()
    # Of an over-long frame only the head and the length are known.
    assert data.replace(b"~", b"x") == stream.replace(b"y\r\n", b"x\r\n")
    assert bytes(sent) == data
    assert server.bytes_sent == len(data)
    assert server.frames_sent == len(read_back(folder))


async def test_the_pace_is_as_recorded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, logging.getLogger("test"))
    recorder.open()
    for _ in range(3):
        recorder.record(AZIMUTH + b"\r\n")
        await asyncio.sleep(0.2)
    assert recorder.close(30)
    first, _, last = [message.log_time / 1e9 for message in read_back(tmp_path)]
    for rate in (1.0, 4.0):
        async with ReplayServer(Replay(find_files(tmp_path), rate=rate)) as server:
            begin = time.monotonic()
            await read_to_end(server.port)
            # Never earlier; how much later depends on the machine.
            assert time.monotonic() - begin >= (last - first) / rate - 0.01


async def test_a_client_that_leaves_in_a_pause(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An hour's pause, as between two nights in one folder, is told; nobody is waited for."""
    with (tmp_path / "nights.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start(profile="", library="")
        channel = writer.register_channel(topic="tma/azimuth", message_encoding="json", schema_id=0)
        for sequence, log_time in enumerate((0, 3600 * 10**9)):
            writer.add_message(channel, log_time, AZIMUTH, log_time, sequence)
        writer.finish()  # type: ignore[no-untyped-call]
    async with ReplayServer(Replay(find_files(tmp_path / "nights.mcap"))) as server, asyncio.timeout(60):
        reader, client = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.readline() == AZIMUTH + b"\r\n"
        while "The recording has a pause: the next frame is due in 3600 s" not in caplog.text:
            await asyncio.sleep(0.01)
        client.close()
        await server.wait_complete(idle_timeout=0.05)
    assert "No client is connected for 0.05 s" in caplog.text
    assert server.num_complete == 0


async def test_nothing_waits_for_what_comes_later(tmp_path: Path) -> None:
    """All frames of a file are sent, even one that is torn, before the next file is read."""
    record(tmp_path, (AZIMUTH + b"\r\n") * 3 + AZIMUTH[:20])
    files = find_files(tmp_path)
    later = tmp_path / "later.mcap"
    os.mkfifo(later)
    # Who opens it to read waits until it is opened to write.
    async with ReplayServer(Replay([*files, later], rate=math.inf)) as server, asyncio.timeout(60):
        reader, client = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            assert await reader.readexactly(3 * (len(AZIMUTH) + 2) + 20)
        finally:
            await asyncio.to_thread(later.write_bytes, b"")
        assert await reader.read() == b""
        client.close()
    assert str(server.error) == f"{later}: expected an MCAP file, got another one"


async def test_only_the_time_that_is_asked_for_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in ("first", "second", "third"):
        record(tmp_path / folder, AZIMUTH + b"\r\n")
    files = [file for folder in ("first", "second", "third") for file in find_files(tmp_path / folder)]
    times = [message.log_time for file in files for message in read_back(file)]
    for file in (files[0], files[2]):
        data = bytearray(file.read_bytes())
        data[data.index(b"zstd") + 20] ^= 0xFF
        file.write_bytes(data)
    assert len(list(Replay(files).read())) == 1
    assert caplog.text.count("read to the last whole chunk") == 2
    caplog.clear()
    assert [message.log_time for message in Replay(files, first=times[1], stop=times[2]).read()] == [times[1]]
    assert caplog.text == ""


async def test_times_can_be_shifted(tmp_path: Path) -> None:
    record(tmp_path, AZIMUTH + b"\r\n" + BAD)
    arrival = read_back(tmp_path)[0].log_time / 1e9
    async with ReplayServer(Replay(find_files(tmp_path), shift_time=True)) as server:
        before = time.time()
        data = await read_to_end(server.port)
        after = time.time()
    assert data.endswith(BAD)
    sent = json.loads(data.split(b"\r\n")[0])
    original = json.loads(AZIMUTH)
    shift = sent["timestamp"] - original["timestamp"]
    assert before - arrival - 0.001 <= shift <= after - arrival + 0.001
    assert sent["actualPositionTimestamp"] - original["actualPositionTimestamp"] == pytest.approx(
        shift, abs=1e-5
    )
    assert {key: sent[key] for key in ("topicID", "actualPosition", "text")} == {
        key: original[key] for key in ("topicID", "actualPosition", "text")
    }


async def test_the_program_selects_topics_and_times(folder: Path) -> None:
    arrivals = Recording(folder).read_columns("azimuth", [])["arrival_time"]
    begin, end = str(arrivals[5]), str(arrivals[10])
    report = folder.parent / "report.json"
    arguments = ("--replay", str(folder), "--topics", "azimuth,5", "--rate", "max", "--report", str(report))
    times = ("--from", begin[:-3], "--to", end[:-3])
    async with running(*arguments, *times) as (process, port):
        data = await read_to_end(port)
        await process.communicate()
    assert process.returncode == 0
    topics = [json.loads(frame)["topicID"] for frame in data.split(b"\r\n")[:-1]]
    assert set(topics) == {5, 6}
    written = json.loads(report.read_text())
    assert written["frames"] == len(topics)
    assert written["frames_by_topic"].keys() == {"azimuth", "azimuthDrives"}
    assert written["bytes"] == len(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--replay", "{folder}", "--duration", "1"), "argument --duration: expected none beside --replay"),
        (("--shift-time",), "argument --shift-time: expected none without --replay"),
        (("--replay", "{folder}", "--from", "soon"), "expected a time such as"),
        (("--replay", "{folder}", "--topics", "x"), "expected topics of the TMA, got 'x'"),
        (("--replay", "{folder}", "--to", "2000-01-01"), "expected frames that are asked for, got none"),
        (("--replay", "{folder}/.."), "expected recordings"),
    ],
)
async def test_usage_errors(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    process = await start("--port", "0", *[argument.format(folder=folder) for argument in arguments])
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert message in errors.decode()
