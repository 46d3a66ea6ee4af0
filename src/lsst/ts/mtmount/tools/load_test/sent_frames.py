"""The frames that went over the wire, read back from the simulator's recording."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from ...constants import LINE_TERMINATOR

__all__ = ["FrameRecording"]

#: How much is read in one go [bytes].
READ_SIZE = 1 << 20


class FrameRecording:
    """Follows a file to which frames are being written. A context manager.

    The file must exist, but may be empty.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        # The beginning of a frame that is not yet there whole.
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()

    def read_new(self) -> list[bytes]:
        """Read the frames that have been added."""
        frames: list[bytes] = []
        while data := self._file.read(READ_SIZE):
            *whole, self._rest = (self._rest + data).split(LINE_TERMINATOR)
            frames += whole
        return frames
