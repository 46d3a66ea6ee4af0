"""What a program prints and logs, written by threads: it must go on where nothing can be printed.

Whoever reads a pipe may have stopped, the disk of a log may be full, a terminal may be halted by Ctrl-S.
None of it is a reason to halt the telemetry, or to change the exit status.
"""

import errno
import io
import logging
import os
import sys
import threading
import time
from typing import Self, TextIO

from ..constants import LOGGER_NAME
from ..resilience.guarded_log import guard_logger
from ..resilience.output_file import write_all
from ..resilience.writer_thread import WriterThread

__all__ = ["OutputError", "QueuedOutput", "wait_printed"]

#: Its messages reach SAL, as the client's do.
LOG = guard_logger(logging.getLogger(LOGGER_NAME).getChild("program"))

#: Upper bound of the lines that wait to be written, for each stream [bytes].
QUEUE_SIZE = 1 << 20

#: What a line takes in memory besides its text, about [bytes].
LINE_OVERHEAD = 100

#: How long what waits may take to be written at the end [seconds].
CLOSE_TIMEOUT = 1.0


class OutputError(Exception):
    """What was printed could not be written, for this reason."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(f"cannot write the output: {reason.strerror}")
        self.reason = reason


class QueuedStream(io.TextIOBase):
    """Takes the place of `sys.stdout` or `sys.stderr`; nothing here waits."""

    def __init__(self, stream: TextIO, thread: WriterThread[tuple[int, bytes]]) -> None:
        self._stream = stream
        self._descriptor = stream.fileno()
        self._thread = thread
        # Of a line that is not finished; each thread's own.
        self._begun = threading.local()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the stream; what it does not know is escaped."""
        return self._stream.encoding or "utf-8"

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether this is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Have a text written, as soon as its line is finished or `flush` is called."""
        begun = getattr(self._begun, "text", "") + text
        lines, newline, self._begun.text = begun.rpartition("\n")
        self._put(lines + newline)
        return len(text)

    def flush(self) -> None:
        """Have written also what is not a whole line."""
        begun = getattr(self._begun, "text", "")
        self._begun.text = ""
        self._put(begun)

    def wait_written(self, timeout: float) -> bool:
        """Wait until what was written is out; return whether it is [seconds]."""
        return self._thread.wait_written(timeout)

    def _put(self, text: str) -> None:
        if text:
            data = text.encode(self.encoding, "backslashreplace")
            self._thread.put((self._descriptor, data), LINE_OVERHEAD + len(data))


class QueuedOutput:
    """Has `sys.stdout`, `sys.stderr` and the log handlers that use them write through threads.

    A context manager; inside of another one it does nothing. A stream that has no descriptor stays.
    """

    def __init__(self) -> None:
        self._threads: list[WriterThread[tuple[int, bytes]]] = []
        self._replaced: list[tuple[TextIO, QueuedStream]] = []
        self._failure: OSError | None = None

    def __enter__(self) -> Self:
        streams = [stream for stream in (sys.stdout, sys.stderr) if _has_descriptor(stream)]
        threads = [self._make_thread(stream.fileno()) for stream in streams]
        if len(streams) == 2 and os.path.samestat(*(os.fstat(stream.fileno()) for stream in streams)):
            # One target: the lines stay in their order.
            threads[1] = threads[0]
        self._threads = threads
        for stream, thread in zip(streams, threads, strict=True):
            self._replaced.append((stream, QueuedStream(stream, thread)))
        _exchange({id(old): new for old, new in self._replaced})
        return self

    def __exit__(self, *exc_info: object) -> None:
        deadline = time.monotonic() + CLOSE_TIMEOUT
        for _, stream in self._replaced:
            stream.flush()
        is_written = True
        for thread in self._threads:
            is_written &= thread.close(max(deadline - time.monotonic(), 0.0))
        if is_written:
            _exchange({id(new): old for old, new in self._replaced})
        elif self._failure is None:
            self._failure = TimeoutError(errno.ETIMEDOUT, "nobody reads it")

    def check(self) -> None:
        """Raise `OutputError`, at the end, if not all that was printed or logged was written."""
        if self._failure is not None:
            raise OutputError(self._failure)

    def _make_thread(self, descriptor: int) -> WriterThread[tuple[int, bytes]]:
        num_lost = 0
        is_told = False

        def write(item: tuple[int, bytes]) -> None:
            nonlocal num_lost, is_told
            descriptor, data = item
            notice = f"({num_lost} lines are missing here: they could not be written)\n" if num_lost else ""
            try:
                write_all(descriptor, notice.encode() + data)
            except OSError as error:
                num_lost += 1
                if self._failure is None:
                    self._failure = error
                if not is_told:
                    is_told = True
                    # Of a reader that has gone, or a descriptor that was closed, nobody needs to hear.
                    level = logging.INFO if error.errno in (errno.EPIPE, errno.EBADF) else logging.WARNING
                    LOG.log(level, f"Cannot print: {error.strerror}")
            else:
                num_lost = 0

        def write_dropped(num_dropped: int) -> None:
            nonlocal num_lost
            num_lost += num_dropped
            write((descriptor, b""))

        return WriterThread(f"output {descriptor}", write, write_dropped, QUEUE_SIZE)


def wait_printed(timeout: float) -> None:
    """Wait until what was printed and logged is out, but not longer than the time-out [seconds]."""
    deadline = time.monotonic() + timeout
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, QueuedStream):
            stream.flush()
            stream.wait_written(max(deadline - time.monotonic(), 0.0))


def _has_descriptor(stream: TextIO | None) -> bool:
    if stream is None or isinstance(stream, QueuedStream):
        return False
    try:
        stream.fileno()
    except (OSError, AttributeError):
        return False
    return True


def _exchange(new: dict[int, object]) -> None:
    """Use other streams, by the `id` of those before; in the handlers of the root logger, too."""
    sys.stdout = new.get(id(sys.stdout), sys.stdout)
    sys.stderr = new.get(id(sys.stderr), sys.stderr)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and id(handler.stream) in new:
            # Not by setStream, which flushes, and so may wait.
            handler.stream = new[id(handler.stream)]
