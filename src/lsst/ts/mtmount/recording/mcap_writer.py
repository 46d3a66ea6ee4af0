"""One MCAP file that is being written."""

import base64
import errno
import json
import os
import time
from pathlib import Path
from typing import Any

from .._version import __version__
from ..core import FRAME_DECODABLE, FRAME_TOO_LONG, FRAME_UNDECODABLE
from ..extras import import_extra
from ..tma_interface import TmaInterface
from .mcap_channels import (
    OVER_LONG,
    TOPIC_PREFIX,
    UNDECODABLE,
    UNFINISHED,
    UNKNOWN_TOPIC,
    make_topic_schema,
)
from .recording_folder import name_recording
from .times import utc_ns_from_tai

__all__ = ["Frame", "RecordingFile"]

#: As of `FrameClassifier.feed`: kind, topic ID, time stamp, length, bytes.
Frame = tuple[int, int | None, float, int, bytes]

#: A chunk is compressed as a whole, and read as a whole [bytes].
CHUNK_SIZE = 1024 * 1024

#: Names of the metadata records.
METADATA_NAME = "mtmount_recording"


class RecordingFile:
    """Writes frames to a new MCAP file. Each method raises `OSError` if it cannot write.

    ``source``, ``host:port``, is kept in the file; ``needed_by`` is the option that wants the recording, for
    the `MissingExtraError` if the library is missing. Each topic of the interface has a channel.
    """

    def __init__(self, folder: Path, source: str, needed_by: str, tma_interface: TmaInterface) -> None:
        writer = import_extra("mcap.writer", "record", needed_by)
        monotonic_ns, utc_ns = time.monotonic_ns(), time.time_ns()
        # From the monotonic clock to UTC, as it is now: a clock that is set leaves this file alone.
        self._utc_offset = utc_ns - monotonic_ns
        self.start = monotonic_ns / 1e9  #: When it was begun, by `time.monotonic` [s]
        self._topics = tma_interface.by_id
        self._sequence = 0
        self._last_log_time = 0
        self._channels: dict[int | str, int] = {}
        self.path = folder / name_recording(utc_ns, os.getpid())
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self.path, flags, 0o666), "wb")
        try:
            self._writer: Any = writer.Writer(self._file, chunk_size=CHUNK_SIZE)
            self._writer.start(profile="", library=f"ts-mtmount-telemetry {__version__}")
            self._writer.add_metadata(
                METADATA_NAME,
                {"source": source, "utc_ns": str(utc_ns), "monotonic_ns": str(monotonic_ns)},
            )
            self._file.flush()
        except BaseException:
            self.discard()
            raise

    @property
    def size(self) -> int:
        """What was written so far, without the chunk that grows [bytes]."""
        return self._file.tell()

    def write(self, frame: Frame, arrival: int) -> None:
        """Write one frame, as of `FrameClassifier.feed`; ``arrival`` is by `time.monotonic_ns`."""
        kind, topic_id, timestamp, length, data = frame
        log_time = max(arrival + self._utc_offset, self._last_log_time + 1)
        self._last_log_time = log_time
        self._sequence += 1
        key: int | str
        if kind == FRAME_DECODABLE:
            key = UNKNOWN_TOPIC if topic_id is None or topic_id not in self._topics else topic_id
        elif kind == FRAME_UNDECODABLE:
            key = UNDECODABLE
        elif kind == FRAME_TOO_LONG:
            key = OVER_LONG
            data = json.dumps({"length": length, "head_base64": base64.b64encode(data).decode()}).encode()
        else:
            key = UNFINISHED
        channel_id = self._channels.get(key) or self._add_channel(key)
        publish_time = utc_ns_from_tai(timestamp)
        self._writer.add_message(
            channel_id=channel_id,
            log_time=log_time,
            data=data,
            publish_time=log_time if publish_time is None else publish_time,
            sequence=self._sequence,
        )

    def skip(self, num_frames: int) -> None:
        """Leave a gap in the sequence for frames that are missing here."""
        self._sequence += num_frames

    def flush(self) -> None:
        """Hand all frames to the operating system."""
        self._writer.flush()
        self._check_name()

    def close(self) -> None:
        """Complete the file and close it; that is done also if it cannot be completed."""
        try:
            self._writer.finish()
            self._file.flush()
            self._check_name()
        finally:
            self.discard()

    def discard(self) -> None:
        """Close the file as it is; it can be read to its last whole chunk."""
        # Not the buffered close, which would try to write what was refused.
        self._file.raw.close()

    def _check_name(self) -> None:
        """Raise `OSError` if somebody has deleted the file: what is written to it is lost."""
        if not os.fstat(self._file.fileno()).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "the file was deleted", str(self.path))

    def _add_channel(self, key: int | str) -> int:
        """Add the channel of a topic ID, or of a name."""
        if isinstance(key, int):
            tma_topic = self._topics[key]
            schema_id = self._writer.register_schema(
                name=f"lsst.mtmount.{tma_topic.sal_topic}",
                encoding="jsonschema",
                data=make_topic_schema(tma_topic),
            )
            topic, encoding = f"{TOPIC_PREFIX}{tma_topic.sal_topic}", "json"
        else:
            schema_id, topic = 0, key
            encoding = "json" if key in (UNKNOWN_TOPIC, OVER_LONG) else "application/octet-stream"
        channel_id: int = self._writer.register_channel(
            topic=topic, message_encoding=encoding, schema_id=schema_id
        )
        self._channels[key] = channel_id
        return channel_id
