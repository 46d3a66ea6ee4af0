"""The frames that went over the wire, as the simulator has written them to a file."""

from pathlib import Path

from ...constants import LINE_TERMINATOR

__all__ = ["SentFrames"]

#: How much is read in one go [bytes].
READ_SIZE = 1 << 20


class SentFrames:
    """Follows a file to which frames are being written. It must exist, but may be empty."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        # The beginning of a frame that is not yet there whole.
        self._rest = b""

    def read_new(self) -> list[bytes]:
        """Read the frames that have been added."""
        frames: list[bytes] = []
        while data := self._file.read(READ_SIZE):
            *whole, self._rest = (self._rest + data).split(LINE_TERMINATOR)
            frames += whole
        return frames

    def close(self) -> None:
        """Close the file."""
        self._file.close()
