"""The flight recorder: writes what is received to files of bounded size, in a thread."""

import errno
import logging
import os
import time
from pathlib import Path

from ..constants import LINE_TERMINATOR, MAX_FRAME_LENGTH
from ..core import FrameClassifier
from ..extras import import_extra
from ..resilience.output_file import make_output_folder
from ..resilience.rate_limited_log import RateLimitedLog
from ..resilience.writer_thread import WriterThread
from ..tma_interface import TmaInterface, load_packaged_tma_interface
from .mcap_channels import fit_to_packaged_sal
from .mcap_writer import Frame, RecordingFile
from .recording_folder import free_share, make_room

__all__ = ["DEFAULT_LIMIT", "Recorder"]

#: What all files take together [bytes].
DEFAULT_LIMIT = 20 << 30

#: A file is complete when it has grown to this [bytes], or is this old [s].
MAX_FILE_SIZE = 256 << 20
MAX_FILE_AGE = 3600.0

#: Share of the limit that one file may take, where that is less.
MAX_FILE_SHARE = 0.25

#: Upper bound of what waits to be written [bytes]: over a minute of the TMA's full rate.
QUEUE_SIZE = 32 << 20

#: How often what was written is handed to the operating system [s].
FLUSH_INTERVAL = 1.0

#: Recording stops where less of the disk is free.
MIN_FREE_SHARE = 0.05

#: How long to wait after a file could not be written before another one is begun [s].
RETRY_INTERVAL = 5.0

#: How long `Recorder.close` waits for what is still to be written [s].
CLOSE_TIMEOUT = 5.0


class Recorder:
    """Records a stream of frames to MCAP files in a folder.

    Nothing here holds up the stream: what a slow disk does not take is dropped
    and counted, and shows as a gap in the messages' sequence.

    Parameters
    ----------
    folder : path-like
        Where the files are made. It is created if need be.
    source : `str`
        Where the stream comes from, ``host:port``; kept in the files.
    limit : `int`
        Upper bound for all recordings in the folder [bytes]: the oldest are
        deleted, whichever process has made them.
    max_file_size, max_file_age : `int`, `float`
        When another file is begun [bytes, s].
    capacity : `int`
        Upper bound of what waits to be written [bytes].
    needed_by : `str`
        Option that wants the recording, for errors.
    tma_interface : `TmaInterface`, optional
        What the TMA sends; the packaged interface if `None`.

    Attributes
    ----------
    num_recorded : `int`
        Frames written.
    num_dropped : `int`
        Frames that are missing in the files: the disk was slow, full or broken.

    Raises
    ------
    MissingExtraError
        If the library for MCAP files is not installed.
    ValueError
        If the limit is not positive.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        log: logging.Logger,
        *,
        source: str = "",
        limit: int = DEFAULT_LIMIT,
        max_file_size: int = MAX_FILE_SIZE,
        max_file_age: float = MAX_FILE_AGE,
        capacity: int = QUEUE_SIZE,
        needed_by: str = "--record",
        tma_interface: TmaInterface | None = None,
    ) -> None:
        if limit <= 0:
            raise ValueError(f"expected a limit above 0 bytes, got {limit}")
        import_extra("mcap.writer", "record", needed_by)
        self._folder = Path(folder)
        self.num_recorded = 0
        self._num_refused = 0
        self._num_lost = 0
        self._log = log
        self._limited_log = RateLimitedLog(log, max_lines=1, interval=60.0)
        self._source = source
        self._limit = limit
        self._max_file_size = min(max_file_size, int(limit * MAX_FILE_SHARE))
        self._max_file_age = max_file_age
        self._needed_by = needed_by
        self._tma_interface = fit_to_packaged_sal(tma_interface or load_packaged_tma_interface())
        self._thread: WriterThread[tuple[int, bytes | None]] = WriterThread(
            "recorder", self._write, self._note_gap, capacity, self._flush_if_due, FLUSH_INTERVAL
        )
        # What follows belongs to the thread.
        self._classifier = FrameClassifier(LINE_TERMINATOR, MAX_FRAME_LENGTH)
        self._file: RecordingFile | None = None
        self._num_unflushed = 0
        self._num_gaps_written = 0
        # Does the next chunk begin within a frame whose head is missing?
        self._is_torn = False
        self._has_room = True
        self._next_flush = 0.0
        self._next_attempt = 0.0

    @property
    def num_dropped(self) -> int:
        """Frames that are missing in the files."""
        return self._num_refused + self._num_lost

    def open(self) -> None:
        """Make the folder, if need be; `OSError` if no files can be made in it. Call it in a thread."""
        make_output_folder(self._folder)

    def record(self, data: bytes) -> None:
        """Record received bytes. Never waits; to be called from one thread."""
        if not self._thread.put((time.monotonic_ns(), data), len(data)):
            self._num_refused += data.count(LINE_TERMINATOR)
            self._limited_log.log(
                "Recording is late",
                logging.ERROR,
                f"{self._needed_by} {self._folder}: writing is too slow, or hangs; frames are not recorded",
            )

    def end_stream(self) -> None:
        """Say that the connection has ended: what comes next begins a frame."""
        self._thread.put((time.monotonic_ns(), None), 0)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Write what waits, and complete the file. May wait: to be called in a thread.

        Return False if that takes more than the time-out [s]: the disk hangs, say,
        and the rest is given up.
        """
        self.end_stream()
        is_written = self._thread.close(timeout)
        if is_written:
            self._close_file()
        else:
            rest = self._thread.give_up()
            self._num_refused += sum(data.count(LINE_TERMINATOR) for _, data in rest if data is not None)
            self._lose_unflushed()
            self._log.error(
                f"{self._needed_by} {self._folder}: the recording could not be completed within {timeout:g} s"
            )
        self._limited_log.flush(force=True)
        return is_written

    # What follows runs in the thread.

    def _write(self, item: tuple[int, bytes | None]) -> None:
        arrival, data = item
        if data is None:
            frames = self._classifier.finish()
            self._is_torn = False
        else:
            frames = self._classifier.feed(self._skip_torn(data) if self._is_torn else data)
        if frames:
            self._write_frames(frames, arrival)
        self._flush_if_due()

    def _write_frames(self, frames: list[Frame], arrival: int) -> None:
        file = self._provide_file()
        num_written = 0
        if file is not None:
            try:
                for frame in frames:
                    file.write(frame, arrival)
                    self._num_unflushed += 1
                    num_written += 1
            except OSError as error:
                self._give_up_file(error)
        self._lose(len(frames) - num_written)
        if file is not None and file.size >= self._max_file_size:
            self._close_file()

    def _note_gap(self, _num_items: int) -> None:
        """Take note that received bytes are missing here."""
        self._classifier = FrameClassifier(LINE_TERMINATOR, MAX_FRAME_LENGTH)
        self._is_torn = True
        num_refused = self._num_refused
        if self._file is not None:
            self._file.skip(num_refused - self._num_gaps_written)
        self._num_gaps_written = num_refused

    def _skip_torn(self, data: bytes) -> bytes:
        """Drop the rest of a frame whose head is missing."""
        _, terminator, rest = data.partition(LINE_TERMINATOR)
        if terminator:
            self._is_torn = False
            self._lose(1)
        return rest

    def _lose(self, num_frames: int) -> None:
        """Count frames that are missing, and leave a gap for them."""
        self._num_lost += num_frames
        if self._file is not None:
            self._file.skip(num_frames)

    def _flush_if_due(self) -> None:
        """Hand what was written to the operating system, complete a large or old file, look at the disk."""
        now = time.monotonic()
        if now < self._next_flush:
            return
        self._next_flush = now + FLUSH_INTERVAL
        self._limited_log.flush()
        file = self._file
        if file is None:
            return
        try:
            file.flush()
            self.num_recorded += self._num_unflushed
            self._num_unflushed = 0
            if now - file.start >= self._max_file_age:
                self._close_file()
            self._look_at_disk()
            # Others may record to this folder, too.
            self._make_room(self._limit)
        except OSError as error:
            self._give_up_file(error)

    def _look_at_disk(self) -> None:
        share = free_share(self._folder)
        if share < MIN_FREE_SHARE and self._has_room:
            self._has_room = False
            self._log.error(
                f"{self._needed_by} {self._folder}: recording stops: {share:.1%} of the disk is free, "
                f"expected {MIN_FREE_SHARE:.0%} or more"
            )
        elif share >= MIN_FREE_SHARE and not self._has_room:
            self._has_room = True
            self._log.info(
                f"{self._needed_by} {self._folder}: recording goes on, {share:.1%} of the disk is free"
            )

    def _provide_file(self) -> RecordingFile | None:
        """Return the file to write to; None if there can be none now."""
        now = time.monotonic()
        if (self._file is None or not self._has_room) and now >= self._next_attempt:
            self._next_attempt = now + FLUSH_INTERVAL
            try:
                self._look_at_disk()
                if self._has_room and self._file is None:
                    self._begin_file()
            except OSError as error:
                self._give_up_file(error)
        return self._file if self._has_room else None

    def _begin_file(self) -> None:
        self._make_room(self._limit - self._max_file_size)
        self._file = RecordingFile(self._folder, self._source, self._needed_by, self._tma_interface)
        self._log.info(f"Recording to {self._file.path}")

    def _make_room(self, limit: int) -> None:
        for path in make_room(self._folder, limit, keep=None if self._file is None else self._file.path):
            self._log.info(f"{self._needed_by}: deleted the oldest recording, {path}")

    def _close_file(self) -> None:
        file, self._file = self._file, None
        self._next_attempt = 0.0
        if file is None:
            return
        try:
            file.close()
            self.num_recorded += self._num_unflushed
        except OSError as error:
            self._lose_unflushed()
            self._report(error)
        self._num_unflushed = 0

    def _give_up_file(self, error: OSError) -> None:
        """Leave a file that cannot be written, and begin another one later."""
        file, self._file = self._file, None
        self._lose_unflushed()
        self._next_attempt = time.monotonic() + RETRY_INTERVAL
        self._report(error)
        if file is not None:
            file.discard()

    def _lose_unflushed(self) -> None:
        self._num_lost += self._num_unflushed
        self._num_unflushed = 0

    def _report(self, error: OSError) -> None:
        reason = error.strerror or errno.errorcode.get(error.errno or 0, str(error))
        self._limited_log.log(
            f"Recording failed, {reason}",
            logging.ERROR,
            f"{self._needed_by} {self._folder}: {reason}; frames are not recorded",
        )
