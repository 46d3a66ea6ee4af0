"""Reading MCAP files that anybody may have written: bounded, and to the last whole chunk.

The library's own reader gives nothing of a file without its end, and unpacks whatever a chunk
promises. Here the records of a file are walked one by one; index records are skipped.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..extras import import_extra
from .recording_folder import list_recordings

__all__ = ["MAX_CHUNK_SIZE", "Message", "RecordingError", "find_files", "read_chunks", "read_messages"]

MAGIC = b"\x89MCAP0\r\n"

#: Upper bound of a chunk, packed or unpacked, and of any other record that is read [bytes].
MAX_CHUNK_SIZE = 64 << 20

#: Upper bound of the messages of a chunk: an object takes many times what an empty message takes in a file.
MAX_CHUNK_MESSAGES = 1 << 18

#: Upper bounds of the channels of a file, and of a channel's topic [bytes]: all of them are kept. The TMA has
#: some 26 topics; Kafka has topics of 249 bytes at most, those of SAL are shorter.
MAX_CHANNELS = 4096
MAX_TOPIC_LENGTH = 256

#: Log times from this on do not fit into a `numpy.datetime64` [unix ns]; in the year 2262.
MAX_LOG_TIME = 2**63

# Opcodes of the records that are read; all others are skipped.
FOOTER, CHANNEL, MESSAGE, CHUNK = 2, 4, 5, 6

RECORD_HEAD = struct.Struct("<BQ")
# Number, schema, length of the topic.
CHANNEL_HEAD = struct.Struct("<HHI")
MESSAGE_HEAD = struct.Struct("<HIQQ")
# Start and end time, unpacked size, CRC, length of the compression's name.
CHUNK_HEAD = struct.Struct("<QQQII")
CHUNK_TIMES = struct.Struct("<QQ")
CHUNK_DATA_LENGTH = struct.Struct("<Q")


class RecordingError(ValueError):
    """A file or folder holds no recording that can be read."""


class DamagedError(Exception):
    """A recording cannot be read from here on."""


class Message(NamedTuple):
    """One recorded frame."""

    topic: str  #: Name of its channel
    sequence: int  #: Number in the recording's order
    log_time: int  #: When it was received [UTC unix ns]
    publish_time: int  #: Its own time stamp [UTC unix ns]
    data: bytes  #: What was recorded of it


def find_files(path: str | os.PathLike[str]) -> list[Path]:
    """Return the recording at a path, or all of a recorder's files in a folder, in their order.

    `RecordingError` if there is none, `OSError` if the folder cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        if path.exists() and not path.is_file():
            # Reading from a FIFO would wait for whoever writes to it.
            raise RecordingError(f"{path}: expected a regular file, or a folder of recordings")
        return [path]
    files = [file for file, _ in list_recordings(path)]
    if not files:
        raise RecordingError(f"{path}: expected recordings (tma_..._....mcap), got none in this folder")
    return files


def read_messages(
    path: Path,
    report: Callable[[str], object],
    *,
    wants: Callable[[str], bool] = lambda topic: True,
    first: int = 0,
    stop: int = 2**64,
) -> Iterator[Message]:
    """Read a recording as `read_chunks` does, message by message."""
    for messages in read_chunks(path, report, wants=wants, first=first, stop=stop):
        yield from messages


def read_chunks(
    path: Path,
    report: Callable[[str], object],
    *,
    wants: Callable[[str], bool] = lambda topic: True,
    first: int = 0,
    stop: int = 2**64,
) -> Iterator[list[Message]]:
    """Read what is wanted of each chunk of a recording, which may be nothing, in the order of ``sequence``.

    ``report`` is called with one line if the file is cut or damaged: it is then read to its last
    whole chunk. ``wants`` returns whether messages of a channel are wanted; those are whose log time is
    ``first`` or later, and before ``stop`` [UTC unix ns]. `RecordingError` if this is not an MCAP file,
    `MissingExtraError` if a chunk's compression needs a library that is not installed, `OSError` if the
    file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise RecordingError(f"{path}: expected an MCAP file, got another one")
        channels: dict[int, str] = {}
        num_chunks = 0
        try:
            for opcode, content in _walk(file, first, stop):
                if opcode == CHANNEL:
                    _add_channel(channels, content)
                elif opcode == CHUNK:
                    messages = _read_chunk(_unpack(content), channels, wants, first, stop)
                    num_chunks += 1
                    yield messages
        except DamagedError as error:
            report(f"{path}: {error}; read to the last whole chunk, {num_chunks} of them")


def _walk(file: BinaryIO, first: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Read a file's channels, and its chunks up to the last of the time that is wanted.

    DamagedError if there is no footer after all records.
    """
    size = os.fstat(file.fileno()).st_size
    # Up to here chunks are read whatever their times: they may have the channels of one that is wanted.
    end_of_needed = 0
    first_skipped: int | None = None
    while True:
        position = file.tell()
        head = file.read(RECORD_HEAD.size)
        if len(head) < RECORD_HEAD.size:
            raise DamagedError("the file is cut off")
        opcode, length = RECORD_HEAD.unpack(head)
        if opcode == FOOTER:
            return
        if length > size - file.tell():
            raise DamagedError("the file is cut off")
        if opcode not in (CHANNEL, CHUNK):
            # Schemas, too: what is recorded is JSON.
            file.seek(length, os.SEEK_CUR)
            continue
        if length > MAX_CHUNK_SIZE:
            raise DamagedError(f"a record of {length} bytes, the limit is {MAX_CHUNK_SIZE}")
        if opcode == CHUNK and position >= end_of_needed:
            times = file.read(min(length, CHUNK_TIMES.size))
            if not _overlaps(times, first, stop):
                first_skipped = position if first_skipped is None else first_skipped
                file.seek(length - len(times), os.SEEK_CUR)
                continue
            end_of_needed = file.tell()
            if first_skipped is not None:
                file.seek(first_skipped)
                first_skipped = None
                continue
            file.seek(-len(times), os.SEEK_CUR)
        yield opcode, file.read(length)


def _overlaps(times: bytes, first: int, stop: int) -> bool:
    """Return whether a chunk may have messages of a time, by the first bytes of its head."""
    if len(times) < CHUNK_TIMES.size:
        return True
    start, end = CHUNK_TIMES.unpack(times)
    # Some writers leave out the times.
    return bool(end == 0 or (start < stop and end >= first))


def _unpack(content: bytes) -> bytes:
    """Return the records of a chunk; refuse what would be too large before it is unpacked."""
    if len(content) < CHUNK_HEAD.size:
        raise DamagedError("a chunk without a head")
    _, _, size, crc, name_length = CHUNK_HEAD.unpack_from(content)
    start = CHUNK_HEAD.size + name_length + CHUNK_DATA_LENGTH.size
    if start > len(content):
        raise DamagedError("a chunk without a head")
    compression = content[CHUNK_HEAD.size : CHUNK_HEAD.size + name_length].decode("ascii", "replace")
    (packed_size,) = CHUNK_DATA_LENGTH.unpack_from(content, start - CHUNK_DATA_LENGTH.size)
    if packed_size != len(content) - start:
        raise DamagedError(f"a chunk of {len(content) - start} bytes that says {packed_size}")
    if size > MAX_CHUNK_SIZE:
        raise DamagedError(f"a chunk of {size} bytes, the limit is {MAX_CHUNK_SIZE}")
    packed = memoryview(content)[start:]
    if compression == "zstd":
        data = _unpack_zstd(packed, size)
    elif compression == "lz4":
        data = _unpack_lz4(packed, size)
    elif not compression:
        data = bytes(packed)
    else:
        raise DamagedError(f"the unknown compression {compression[:20]!r}")
    if len(data) != size:
        raise DamagedError(f"a chunk of {len(data)} bytes that says {size}")
    if crc and zlib.crc32(data) != crc:
        raise DamagedError("a chunk with a wrong checksum")
    return data


def _unpack_zstd(packed: memoryview, size: int) -> bytes:
    zstandard = import_extra("zstandard", "record", "reading recordings")
    try:
        declared = zstandard.frame_content_size(packed)
        if declared > MAX_CHUNK_SIZE:
            raise DamagedError(f"a chunk of {declared} bytes, the limit is {MAX_CHUNK_SIZE}")
        # Without a declared size the bound is this one; 0 would mean none.
        data: bytes = zstandard.ZstdDecompressor().decompress(packed, max_output_size=max(size, 1))
    except zstandard.ZstdError as error:
        raise DamagedError(f"a chunk that cannot be unpacked ({error})") from None
    return data


def _unpack_lz4(packed: memoryview, size: int) -> bytes:
    frame = import_extra("lz4.frame", "record", "reading recordings")
    try:
        data: bytes = frame.LZ4FrameDecompressor().decompress(packed, max_length=size)
    except RuntimeError as error:
        raise DamagedError(f"a chunk that cannot be unpacked ({error})") from None
    return data


def _read_chunk(
    data: bytes, channels: dict[int, str], wants: Callable[[str], bool], first: int, stop: int
) -> list[Message]:
    messages = []
    wanted = {channel_id for channel_id, topic in channels.items() if wants(topic)}
    position, end = 0, len(data)
    while position < end:
        if end - position < RECORD_HEAD.size:
            raise DamagedError("a chunk that ends within a record")
        opcode, length = RECORD_HEAD.unpack_from(data, position)
        position += RECORD_HEAD.size
        if length > end - position:
            raise DamagedError("a chunk that ends within a record")
        if opcode == MESSAGE:
            if length < MESSAGE_HEAD.size:
                raise DamagedError("a message without a head")
            channel_id, sequence, log_time, publish_time = MESSAGE_HEAD.unpack_from(data, position)
            if channel_id in wanted:
                if log_time >= MAX_LOG_TIME:
                    raise DamagedError(f"expected log times below {MAX_LOG_TIME} ns, got {log_time}")
                if first <= log_time < stop:
                    content = data[position + MESSAGE_HEAD.size : position + length]
                    messages.append(Message(channels[channel_id], sequence, log_time, publish_time, content))
                    if len(messages) > MAX_CHUNK_MESSAGES:
                        raise DamagedError(
                            f"expected up to {MAX_CHUNK_MESSAGES} messages in a chunk, got more"
                        )
            elif channel_id not in channels:
                raise DamagedError(f"a message of the unknown channel {channel_id}")
        elif opcode == CHANNEL:
            channel_id = _add_channel(channels, data[position : position + length])
            if wants(channels[channel_id]):
                wanted.add(channel_id)
        position += length
    messages.sort(key=attrgetter("sequence"))
    return messages


def _add_channel(channels: dict[int, str], content: bytes) -> int:
    """Take the number and the topic of a channel record; return the number."""
    if len(content) < CHANNEL_HEAD.size:
        raise DamagedError("a channel without a head")
    channel_id, _, length = CHANNEL_HEAD.unpack_from(content)
    if length > MAX_TOPIC_LENGTH:
        raise DamagedError(f"expected topics of up to {MAX_TOPIC_LENGTH} bytes, got one of {length}")
    try:
        channels[channel_id] = content[CHANNEL_HEAD.size : CHANNEL_HEAD.size + length].decode()
    except UnicodeDecodeError:
        raise DamagedError("a channel whose topic is not UTF-8") from None
    if len(channels) > MAX_CHANNELS:
        raise DamagedError(f"expected up to {MAX_CHANNELS} channels, got more")
    return int(channel_id)
