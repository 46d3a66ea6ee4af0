"""Recordings of a TMA whose interface is not the packaged one."""

import asyncio
import json
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from lsst.ts.mtmount import TelemetryClient
from lsst.ts.mtmount.recording import Recording, find_files
from lsst.ts.mtmount.tma_interface import TmaInterface, TmaInterfaceError, load_tma_interface
from lsst.ts.mtmount.tools.simulator import TmaSimulator
from lsst.ts.mtmount.tools.simulator.replay import Replay

from ..programs import find_program
from ..tma_interface.new_software import TOPICS, write_new_file
from .frames import make_stream, read_back, record

NUM_TICKS = 20
#: Frames of each topic in so many ticks.
NUM_FRAMES = {name: NUM_TICKS // period for name, (_, period, _) in TOPICS.items()}


@pytest.fixture
def new_file(tmp_path: Path) -> Path:
    return write_new_file(tmp_path / "TelemetryTopicsConfiguration.ini")


@pytest.fixture
def interface(new_file: Path) -> TmaInterface:
    return load_tma_interface(new_file)


def count_channels(folder: Path) -> Counter[str]:
    return Counter(message.topic for message in read_back(folder))


def check_columns(recording: Recording, interface: TmaInterface) -> None:
    """Each value of each topic is what the standard library reads in its frame."""
    for topic in interface.topics:
        columns = recording.read_columns(topic.sal_topic)
        frames = [json.loads(message.data) for message in recording.frames(topic.sal_topic)]
        assert len(columns) == len(frames) == NUM_FRAMES[topic.sal_topic]
        assert recording.invalid_frames[topic.sal_topic] == 0
        for name, members in topic.fields.items():
            values = [[frame[member.name] for member in members] for frame in frames]
            assert np.array_equal(columns[name].reshape(len(frames), -1), values), name


def test_channels_and_columns_are_the_interface_s(tmp_path: Path, interface: TmaInterface) -> None:
    record(tmp_path, make_stream(NUM_TICKS, interface), tma_interface=interface)
    assert count_channels(tmp_path) == {f"tma/{name}": count for name, count in NUM_FRAMES.items()}
    recording = Recording(tmp_path, interface)
    check_columns(recording, interface)
    assert recording.read_columns("azimuthDrives").dtype["current"].shape == (18,)
    assert recording.read_columns("encoderHeads").dtype["headAZ"].base == np.int64
    assert "actualTorque" not in (recording.read_columns("azimuth").dtype.names or ())
    (path,) = find_files(tmp_path)
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    schemas = {schema.name: json.loads(schema.data) for schema in summary.schemas.values()}
    heads = schemas["lsst.mtmount.encoderHeads"]["properties"]
    assert heads["headAZ2"]["type"] == "integer"
    assert heads["headAZ2Timestamp"]["unit"] == "s"
    assert schemas["lsst.mtmount.elevation"]["properties"]["windLoad"]["unit"] == "deg"


def test_the_recorder_need_not_have_known_the_interface(tmp_path: Path, new_file: Path) -> None:
    interface = load_tma_interface(new_file)
    record(tmp_path, make_stream(NUM_TICKS, interface), b"{}\r\n")
    assert count_channels(tmp_path)["tma_other/unknown_topic"] == 20
    check_columns(Recording(tmp_path, new_file), interface)
    # By the packaged map, azimuth lacks a member, and the new topics are none.
    recording = Recording(tmp_path)
    assert len(recording.read_columns("azimuth")) == 0
    assert recording.invalid_frames["azimuth"] == NUM_TICKS
    with pytest.raises(ValueError, match=r"\(packaged tables\), got 'encoderHeads'; tma_interface= gives"):
        recording.read_columns("encoderHeads")


def test_the_variable_serves_recordings_too(
    tmp_path: Path, new_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path, make_stream(NUM_TICKS, load_tma_interface(new_file)))
    monkeypatch.setenv("MTMOUNT_TMA_INTERFACE", str(new_file))
    assert len(Recording(tmp_path).read_columns("encoderHeads", ["headAZ"])) == 10
    with pytest.raises(TmaInterfaceError, match="nowhere"):
        Recording(tmp_path, tmp_path / "nowhere")


def test_replay_knows_the_topics_of_the_interface(tmp_path: Path, interface: TmaInterface) -> None:
    record(tmp_path, make_stream(NUM_TICKS, interface), tma_interface=interface)
    replay = Replay(find_files(tmp_path), topics=["encoderHeads", "29"], interface=interface)
    assert Counter(message.topic for message in replay.read()) == {
        "tma/encoderHeads": 10,
        "tma/unknownToSal": 10,
    }
    with pytest.raises(ValueError, match="expected topics of the TMA, got 'encoderHeads'"):
        Replay(find_files(tmp_path), topics=["encoderHeads"])


async def test_the_client_records_with_its_interface(
    tmp_path: Path, interface: TmaInterface, sal_environment: str
) -> None:
    async with TmaSimulator(rate=10, max_ticks=NUM_TICKS, interface=interface) as simulator:
        client = TelemetryClient(
            "127.0.0.1", simulator.port, record=tmp_path / "night", tma_interface=interface
        )
        async with asyncio.timeout(60):
            await client.done_task
        await client.close()
    assert count_channels(tmp_path / "night") == {f"tma/{name}": count for name, count in NUM_FRAMES.items()}


async def run_recorder(port: int, folder: Path, *options: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        find_program("record_tma_telemetry"),
        *("--host", "127.0.0.1", "--port", str(port), "--output", str(folder), *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_record_tma_telemetry_with_an_interface(tmp_path: Path, new_file: Path) -> None:
    interface = load_tma_interface(new_file)
    async with TmaSimulator(rate=10, max_ticks=NUM_TICKS, interface=interface) as simulator:
        _, output = await run_recorder(simulator.port, tmp_path / "night", "--tma-interface", str(new_file))
    assert f"TMA interface: {new_file} (5 topics, " in output
    assert count_channels(tmp_path / "night") == {f"tma/{name}": count for name, count in NUM_FRAMES.items()}
    status, output = await run_recorder(1, tmp_path / "night", "--tma-interface", str(tmp_path / "none"))
    assert status == 2
    assert f"--tma-interface: {tmp_path / 'none'}" in output
