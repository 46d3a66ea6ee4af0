"""Recordings as arrays, against `json.loads`."""

import json
import logging
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import Writer

from lsst.ts.mtmount.recording import Recording
from lsst.ts.mtmount.recording.recording import BATCH_SIZE
from lsst.ts.mtmount.telemetry_map import TELEMETRY_MAP, TelemetryTopicId

from .frames import make_stream, record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    bad = b'{"topicID": 6, "timestamp": 1.0}\r\n{"topicID": 6, "actualPosition": "x"}\r\n'
    stream = make_stream(100)
    record(folder, stream[:1000], stream[1000:], bad)
    return folder


@pytest.mark.parametrize("topic", TelemetryTopicId.__members__)
def test_columns_hold_what_json_loads_gives(folder: Path, topic: str) -> None:
    recording = Recording(folder)
    columns = recording.read_columns(topic)
    messages = list(recording.frames(topic))
    num_bad = 2 if topic == "azimuth" else 0
    assert len(columns) == len(messages) - num_bad > 0
    assert recording.invalid_frames[topic] == num_bad
    for row, message in zip(columns, messages, strict=False):
        data = json.loads(message.data)
        assert row["arrival_time"] == np.datetime64(message.log_time, "ns")
        for name, functor in TELEMETRY_MAP[TelemetryTopicId[topic].value][1].items():
            expected = np.asarray(functor.sal_value_from_llv_dict(data))
            assert np.array_equal(row[name], expected.astype(row.dtype[name].base)), name


def test_fields_and_times_can_be_chosen(folder: Path) -> None:
    recording = Recording(folder)
    everything = recording.read_columns("azimuth", ["actualPosition", "timestamp"])
    assert everything.dtype.names == ("arrival_time", "actualPosition", "timestamp")
    middle = everything["arrival_time"][10]
    assert np.array_equal(
        recording.read_columns("azimuth", start=middle)["actualPosition"], everything["actualPosition"][10:]
    )
    assert len(recording.read_columns("azimuth", stop=middle)) == 10
    assert len(recording.read_columns("azimuth", stop="2000-01-01")) == 0
    assert recording.topics["azimuth"] == len(everything) + 2
    start, end = recording.times
    assert start <= everything["arrival_time"][0] < everything["arrival_time"][-1] <= end


def test_unknown_names_are_errors(folder: Path) -> None:
    recording = Recording(folder)
    with pytest.raises(ValueError, match="expected a telemetry topic"):
        recording.read_columns("elevator")
    with pytest.raises(ValueError, match="expected fields of azimuth, got 'x'"):
        recording.read_columns("azimuth", ["x"])
    with pytest.raises(ValueError, match="expected a time such as"):
        recording.read_columns("azimuth", start="yesterday")


def write_azimuth(path: Path, *log_times: int, padding: int = 0) -> None:
    """Write a chunk of one frame for each time."""
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=1)
        writer.start()
        channel = writer.register_channel("tma/azimuth", "json", 0)
        frames = make_stream(1).split(b"\r\n")[:-1]
        azimuth = next(frame for frame in frames if json.loads(frame)["topicID"] == 6)
        for log_time in log_times:
            writer.add_message(channel, log_time, azimuth + b" " * padding, log_time)
        writer.finish()  # type: ignore[no-untyped-call]


def test_long_frames_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "long.mcap"
    write_azimuth(path, *range(1, 21), padding=BATCH_SIZE)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    columns = Recording(path).read_columns("azimuth", [])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert columns["arrival_time"].tolist() == list(range(1, 21))
    # Of each chunk: as it was unpacked, and its frame.
    assert peak < 6 * BATCH_SIZE


def test_a_log_time_beyond_64_bits_is_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "late.mcap"
    write_azimuth(path, 2**63 - 1, 2**63)
    recording = Recording(path)
    problem = (
        f"{path}: expected log times below {2**63} ns, got {2**63}; read to the last whole chunk, 1 of them"
    )
    last = np.datetime64(2**63 - 1, "ns")
    assert recording.times == (last, last)
    assert recording.read_columns("azimuth", [])["arrival_time"].tolist() == [2**63 - 1]
    source = "lsst.ts.mtmount.recording.recording"
    assert caplog.record_tuples == [(source, logging.WARNING, problem)] * 2
