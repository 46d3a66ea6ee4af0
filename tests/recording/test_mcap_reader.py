"""Reading recordings that are cut, damaged or hostile."""

import io
import struct
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from mcap.writer import CompressionType, Writer

from lsst.ts.mtmount.recording import RecordingError, find_files, read_messages
from lsst.ts.mtmount.recording.mcap_reader import (
    MAGIC,
    MAX_CHANNELS,
    MAX_CHUNK_MESSAGES,
    MAX_CHUNK_SIZE,
    MAX_TOPIC_LENGTH,
)

from .frames import make_stream, record


def read(path: Path) -> tuple[list[bytes], list[str]]:
    problems: list[str] = []
    return [message.data for message in read_messages(path, problems.append)], problems


def make_chunk(
    compression: str, data: bytes, *, size: int, crc: int = 0, times: tuple[int, int] = (0, 0)
) -> bytes:
    name = compression.encode()
    content = struct.pack("<QQQII", *times, size, crc, len(name)) + name + struct.pack("<Q", len(data)) + data
    return struct.pack("<BQ", 6, len(content)) + content


def make_record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def make_channel(channel_id: int, topic: bytes) -> bytes:
    return make_record(4, struct.pack("<HHI", channel_id, 0, len(topic)) + topic + bytes(8))


def make_message(log_time: int) -> bytes:
    return make_record(5, struct.pack("<HIQQ", 1, 1, log_time, log_time))


def make_packed_chunk(records: bytes) -> bytes:
    return make_chunk("zstd", zstandard.compress(records), size=len(records))


def test_a_file_cut_anywhere_is_read_to_its_last_whole_chunk(tmp_path: Path) -> None:
    record(tmp_path, make_stream(200))
    (path,) = find_files(tmp_path)
    whole, problems = read(path)
    assert problems == []
    data = path.read_bytes()
    cut = tmp_path / "cut.mcap"
    lengths = set()
    for end in [*range(8, 1000, 97), *range(1000, len(data), len(data) // 40)]:
        cut.write_bytes(data[:end])
        frames, problems = read(cut)
        assert frames == whole[: len(frames)]
        lengths.add(len(frames))
        if end < len(data) - 100_000:
            assert len(problems) == 1
    assert len(lengths) > 2


def test_a_damaged_chunk_ends_the_reading_and_is_told(tmp_path: Path) -> None:
    record(tmp_path, make_stream(200))
    (path,) = find_files(tmp_path)
    whole, _ = read(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    frames, (problem,) = read(path)
    assert frames == whole[: len(frames)]
    assert len(frames) < len(whole)
    assert str(path) in problem


@pytest.mark.parametrize("declares", [True, False])
@pytest.mark.parametrize("size", [300 << 20, 10])
def test_a_small_chunk_that_unpacks_to_much_is_refused(tmp_path: Path, size: int, declares: bool) -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=declares)
    bomb = compressor.compress(bytes(300 << 20))
    path = tmp_path / "bomb.mcap"
    path.write_bytes(MAGIC + make_chunk("zstd", bomb, size=size))
    assert path.stat().st_size < 50_000
    tracemalloc.start()
    frames, (problem,) = read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert frames == []
    assert "chunk" in problem
    assert peak < 1 << 20


def test_an_lz4_bomb_is_refused(tmp_path: Path) -> None:
    lz4_frame = pytest.importorskip("lz4.frame")
    path = tmp_path / "bomb.mcap"
    path.write_bytes(MAGIC + make_chunk("lz4", lz4_frame.compress(bytes(100 << 20)), size=10))
    frames, problems = read(path)
    assert frames == []
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("chunk", "problem"),
    [
        (
            make_channel(1, b"a" * (60 << 20)),
            f"expected topics of up to {MAX_TOPIC_LENGTH} bytes, got one of {60 << 20}",
        ),
        (
            b"".join(make_channel(i, b"a" * MAX_TOPIC_LENGTH) for i in range(MAX_CHANNELS + 1)),
            f"expected up to {MAX_CHANNELS} channels, got more",
        ),
        (
            make_channel(1, b"a") + make_message(1) * (MAX_CHUNK_MESSAGES + 1),
            f"expected up to {MAX_CHUNK_MESSAGES} messages in a chunk, got more",
        ),
    ],
    ids=["long topic", "many channels", "many messages"],
)
def test_a_chunk_of_what_would_be_kept_is_refused(tmp_path: Path, chunk: bytes, problem: str) -> None:
    path = tmp_path / "bomb.mcap"
    path.write_bytes(MAGIC + make_packed_chunk(chunk))
    assert path.stat().st_size < len(chunk) / 100
    assert read(path) == ([], [f"{path}: {problem}; read to the last whole chunk, 0 of them"])


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<BQ", 6, 2**63),
        struct.pack("<BQ", 6, 5) + b"12345",
        struct.pack("<BQ", 4, 3) + b"abc",
        struct.pack("<BQ", 4, 9) + struct.pack("<HHI", 1, 0, 1) + b"\xff",
        make_chunk("", b"abc", size=3),
        make_chunk("", b"abc", size=4),
        make_chunk("", struct.pack("<BQ", 5, 100) + bytes(20), size=29),
        make_chunk("", struct.pack("<BQ", 5, 3) + b"abc", size=12),
        make_chunk("", struct.pack("<BQHIQQ", 5, 22, 7, 1, 0, 0), size=31),
        make_chunk("brotli", b"", size=0),
        make_chunk("zstd", b"abc", size=3),
        make_chunk("", b"", size=0, crc=5),
        make_chunk("", b"", size=MAX_CHUNK_SIZE + 1),
    ],
)
def test_nonsense_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nonsense.mcap"
    path.write_bytes(MAGIC + content)
    frames, problems = read(path)
    assert frames == []
    assert len(problems) == 1
    assert "\n" not in problems[0]


@pytest.mark.parametrize("compression", CompressionType)
def test_files_of_the_mcap_library_are_read(tmp_path: Path, compression: CompressionType) -> None:
    buffer = io.BytesIO()
    writer = Writer(buffer, compression=compression)
    writer.start()
    channel = writer.register_channel("tma/azimuth", "json", 0)
    for sequence in (3, 1, 2):
        writer.add_message(channel, sequence, b"%d" % sequence, sequence, sequence)
    writer.finish()  # type: ignore[no-untyped-call]
    path = tmp_path / "library.mcap"
    path.write_bytes(buffer.getvalue())
    assert read(path) == ([b"1", b"2", b"3"], [])


@pytest.mark.parametrize(
    ("first", "stop", "expected"),
    [(0, 2**64, [1, 9, 2, 3]), (0, 3, [1, 2]), (2, 3, [2]), (3, 9, [3]), (9, 10, [9]), (4, 9, [])],
)
def test_a_time_is_read_whatever_the_order_of_the_chunks(
    tmp_path: Path, first: int, stop: int, expected: list[int]
) -> None:
    path = tmp_path / "library.mcap"
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=1)  # a chunk for each message, the channel in the first one
        writer.start()
        channel = writer.register_channel("tma/azimuth", "json", 0)
        for sequence, log_time in enumerate((1, 9, 2, 3)):
            writer.add_message(channel, log_time, b"", log_time, sequence)
        writer.finish()  # type: ignore[no-untyped-call]
    problems: list[str] = []
    messages = list(read_messages(path, problems.append, first=first, stop=stop))
    assert [(message.topic, message.log_time) for message in messages] == [
        ("tma/azimuth", log_time) for log_time in expected
    ]
    assert problems == []


def test_chunks_after_the_time_are_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "damaged.mcap"
    head = make_chunk("", make_channel(1, b"a") + make_message(1), size=57, times=(1, 1))
    damaged = make_chunk("zstd", b"abc", size=3, times=(2, 5))
    path.write_bytes(MAGIC + head + damaged + make_record(2, bytes(20)))
    problems: list[str] = []
    assert [message.log_time for message in read_messages(path, problems.append, stop=2)] == [1]
    assert [message.log_time for message in read_messages(path, problems.append, first=6)] == []
    assert problems == []
    assert [message.log_time for message in read_messages(path, problems.append, stop=3)] == [1]
    assert "a chunk that cannot be unpacked" in problems[0]


def test_what_is_no_recording_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"no MCAP file")
    with pytest.raises(RecordingError, match="expected an MCAP file"):
        read(path)
    with pytest.raises(RecordingError, match="expected recordings"):
        find_files(tmp_path)
