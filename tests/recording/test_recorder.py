"""The flight recorder, against the mcap library's own reader."""

import base64
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mcap.reader import make_reader

from lsst.ts.mtmount.recording import Recorder, find_files, read_messages
from lsst.ts.mtmount.recording import recorder as recorder_module
from lsst.ts.mtmount.recording.recording_folder import list_recordings
from lsst.ts.mtmount.telemetry_map import TelemetryTopicId

from .frames import STAMP, make_stream, read_back, record

AZIMUTH = b'{"topicID": 6, "timestamp": 1732400000.5, "actualPosition": 1.5}'

#: 1732400000.5 in TAI, less 37 leap seconds.
AZIMUTH_UTC_NS = 1732399963_500_000_000


def test_every_byte_comes_back_whatever_the_chunks(tmp_path: Path) -> None:
    stream = make_stream()
    for size in (997, 65536):
        folder = tmp_path / str(size)
        recorder = record(folder, *[stream[i : i + size] for i in range(0, len(stream), size)])
        messages = read_back(folder)
        assert b"".join(message.data + b"\r\n" for message in messages) == stream
        assert [message.sequence for message in messages] == list(range(1, len(messages) + 1))
        assert recorder.num_recorded == len(messages)
        assert recorder.num_dropped == 0
        log_times = [message.log_time for message in messages]
        assert log_times == sorted(set(log_times))
        assert abs(log_times[-1] - time.time_ns()) < 60e9


def test_the_mcap_library_reads_channels_schemas_and_times(tmp_path: Path) -> None:
    record(tmp_path, make_stream())
    (path,) = find_files(tmp_path)
    with path.open("rb") as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        assert summary is not None
        assert {channel.topic for channel in summary.channels.values()} == {
            f"tma/{topic}" for topic in TelemetryTopicId.__members__
        }
        assert {channel.message_encoding for channel in summary.channels.values()} == {"json"}
        (schema, _, message) = next(reader.iter_messages(topics=["tma/azimuth"]))
        assert schema is not None
        properties = json.loads(schema.data)["properties"]
        data = json.loads(message.data)
        assert properties.keys() == data.keys()
        assert properties["actualPosition"]["unit"] == "deg"
        assert message.publish_time == pytest.approx((float(STAMP) - 37) * 1e9, abs=1000)


@pytest.mark.parametrize(
    ("frame", "topic"),
    [
        (AZIMUTH, "tma/azimuth"),
        (b'{"topicID": 99, "timestamp": 1732400000.5}', "tma_other/unknown_topic"),
        (b"{no JSON", "tma_other/undecodable"),
        (b"", "tma_other/undecodable"),
        (b"\xff\xfe", "tma_other/undecodable"),
        (b'{"timestamp": 1}', "tma_other/undecodable"),
    ],
)
def test_bad_frames_have_channels_of_their_own(tmp_path: Path, frame: bytes, topic: str) -> None:
    record(tmp_path, frame + b"\r\n")
    (message,) = read_back(tmp_path)
    assert (message.topic, message.data) == (topic, frame)


def test_over_long_and_unfinished_frames(tmp_path: Path) -> None:
    too_long = b"x" * (1 << 20) + b"y"
    record(tmp_path, too_long + b"\r\n" + AZIMUTH[:20])
    over_long, unfinished = read_back(tmp_path)
    assert over_long.topic == "tma_other/over_long"
    content = json.loads(over_long.data)
    assert content["length"] == len(too_long)
    assert base64.b64decode(content["head_base64"]) == too_long[:200]
    assert (unfinished.topic, unfinished.data) == ("tma_other/unfinished", AZIMUTH[:20])


@pytest.mark.parametrize(
    ("timestamp", "utc_ns"),
    [
        (b"1732400000.5", AZIMUTH_UTC_NS),
        (b"NaN", None),
        (b"Infinity", None),
        (b'"today"', None),
        (b"-1e300", None),
        (b"9.3e9", None),
        (b"1483228836.5", 1483228799_500_000_000 + 10**9),
        (b"1483228835.5", 1483228799_500_000_000),
    ],
)
def test_publish_time(tmp_path: Path, timestamp: bytes, utc_ns: int | None) -> None:
    record(tmp_path, AZIMUTH.replace(b"1732400000.5", timestamp) + b"\r\n")
    (message,) = read_back(tmp_path)
    assert message.publish_time == (message.log_time if utc_ns is None else utc_ns)


def test_the_recorder_stays_within_its_limit_and_deletes_only_its_own(tmp_path: Path) -> None:
    outside = tmp_path / "outside.mcap"
    outside.write_bytes(b"keep")
    folder = tmp_path / "folder"
    folder.mkdir()
    kept = [folder / "tma_notes.mcap", folder / "tma_20200101T000000.000000Z_x.mcap"]
    for path in kept:
        path.write_bytes(b"k" * 100_000)
    link = folder / "tma_20200101T000000.000000Z_1.mcap"
    link.symlink_to(outside)
    old = folder / "tma_20200101T000000.000000Z_2.mcap"
    old.write_bytes(b"o" * 100_000)
    stream = make_stream(600)
    # Repeated values compress well: each chunk is flushed as soon as 1 MiB is there.
    chunks = [stream[i : i + 65536] for i in range(0, len(stream), 65536)]
    record(folder, *(4 * chunks), limit=600_000)
    assert not old.exists()
    assert outside.read_bytes() == b"keep"
    assert link.is_symlink()
    assert all(path.exists() for path in kept)
    assert len(list_recordings(folder)) > 1
    # Beyond what was asked for there is at most one chunk, which is whole.
    assert sum(size for _, size in list_recordings(folder)) < 600_000 + 250_000
    read_back(folder)


def test_a_gap_is_counted_and_shows_in_the_sequence(tmp_path: Path) -> None:
    # The thread starts with the first item, so it waits for us within the first write.
    recorder = Recorder(tmp_path, logging.getLogger("test"), capacity=400)
    original = recorder._thread._write
    started, go_on = threading.Event(), threading.Event()

    def write(item: tuple[int, bytes | None]) -> None:
        started.set()
        assert go_on.wait(30)
        original(item)

    recorder._thread._write = write
    frame = AZIMUTH + b"\r\n"
    recorder.record(frame + frame[:10])
    assert started.wait(30)
    recorder.record(frame[10:] + frame)
    recorder.record(b"x" * 400)
    recorder.record(b"\r\n" + 5 * frame + frame[:10])
    go_on.set()
    assert recorder._thread.wait_written(30)
    recorder.record(frame[10:] + frame)
    assert recorder.close(timeout=30)
    messages = read_back(tmp_path)
    assert {message.data for message in messages} == {AZIMUTH}
    assert len(messages) == 4
    assert recorder.num_recorded == 4
    # Six with their ends, and the one that only began there.
    assert recorder.num_dropped == 7
    sequence = [message.sequence for message in messages]
    assert sequence == [1, 2, 3, 3 + 7 + 1]


def test_a_file_that_is_deleted_is_told_and_another_one_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Deleted to make room, by a person or another recorder: writing on would be for nobody."""
    monkeypatch.setattr(recorder_module, "FLUSH_INTERVAL", 0.001)
    monkeypatch.setattr(recorder_module, "RETRY_INTERVAL", 0.001)
    recorder = Recorder(tmp_path, logging.getLogger("test"))
    recorder.record(AZIMUTH + b"\r\n")
    assert recorder._thread.wait_written(30)
    (first,) = list_recordings(tmp_path)
    first[0].unlink()
    deadline = time.monotonic() + 30
    while not list_recordings(tmp_path):
        assert time.monotonic() < deadline
        recorder.record(AZIMUTH + b"\r\n")
        assert recorder._thread.wait_written(30)
    assert recorder.close(timeout=30)
    assert "the file was deleted; frames are not recorded" in caplog.text
    assert recorder.num_dropped > 0
    assert read_back(tmp_path)


def test_what_a_disk_that_hangs_does_not_take_in_the_end_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path, logging.getLogger("test"))
    go_on = threading.Event()
    recorder._thread._write = lambda item: go_on.wait(30)
    for _ in range(3):
        recorder.record(2 * (AZIMUTH + b"\r\n"))
    assert not recorder.close(timeout=0.01)
    go_on.set()
    # All but what is being written.
    assert recorder.num_dropped >= 4
    assert "the recording could not be completed within 0.01 s" in caplog.text


def test_several_recorders_stay_within_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "FLUSH_INTERVAL", 0.001)
    recorder = Recorder(tmp_path, logging.getLogger("test"), limit=100_000)
    recorder.record(AZIMUTH + b"\r\n")
    assert recorder._thread.wait_written(30)
    other = tmp_path / "tma_20200101T000000.000000Z_2.mcap"
    other.write_bytes(bytes(100_000))
    deadline = time.monotonic() + 30
    while other.exists():
        assert time.monotonic() < deadline
        recorder.record(AZIMUTH + b"\r\n")
        assert recorder._thread.wait_written(30)
    assert recorder.close(timeout=30)
    assert recorder.num_dropped == 0


def test_recording_stops_where_the_disk_is_nearly_full_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    share = [0.5]
    monkeypatch.setattr(recorder_module, "free_share", lambda folder: share[0])
    monkeypatch.setattr(recorder_module, "FLUSH_INTERVAL", 0.001)
    caplog.set_level(logging.INFO)
    recorder = Recorder(tmp_path, logging.getLogger("test"))

    def record_until(is_reached: Callable[[], bool]) -> int:
        deadline = time.monotonic() + 30
        num_frames = 0
        while not is_reached():
            assert time.monotonic() < deadline
            recorder.record(AZIMUTH + b"\r\n")
            assert recorder._thread.wait_written(30)
            num_frames += 1
        return num_frames

    total = record_until(lambda: recorder.num_recorded > 0)
    share[0] = 0.04
    total += record_until(lambda: recorder.num_dropped > 2)
    num_recorded = recorder.num_recorded
    share[0] = 0.06
    total += record_until(lambda: recorder.num_recorded > num_recorded + 2)
    assert recorder.close(timeout=30)
    assert "recording stops: 4.0% of the disk is free" in caplog.text
    assert "recording goes on" in caplog.text
    assert recorder.num_recorded + recorder.num_dropped == total
    assert len(messages := read_back(tmp_path)) == recorder.num_recorded
    # The gap shows.
    assert messages[-1].sequence == total


def test_a_disk_that_is_full_costs_the_recording_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A bound of the file's size brings the same error path as a full disk.
    code = f"""
import logging, resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.recording.frames import make_stream, record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
logging.basicConfig()
stream = make_stream(200)
recorder = record({str(tmp_path)!r}, *[stream[i : i + 65536] for i in range(0, len(stream), 65536)])
total = stream.count(b"\\r\\n")
assert recorder.num_dropped + recorder.num_recorded == total, (recorder.num_dropped, recorder.num_recorded)
assert recorder.num_dropped > 0
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "File too large; frames are not recorded" in result.stderr


@pytest.mark.slow
def test_what_is_two_seconds_old_can_be_read_after_sigkill(tmp_path: Path) -> None:
    code = f"""
import logging, sys, time
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from lsst.ts.mtmount.recording import Recorder
recorder = Recorder({str(tmp_path)!r}, logging.getLogger())
recorder.record({AZIMUTH!r} + b"\\r\\n")
print("recorded", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"recorded\n"
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    problems: list[str] = []
    (path,) = find_files(tmp_path)
    assert [message.data for message in read_messages(path, problems.append)] == [AZIMUTH]
    assert len(problems) == 1


def test_a_folder_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        Recorder(tmp_path / "file", logging.getLogger("test")).open()
