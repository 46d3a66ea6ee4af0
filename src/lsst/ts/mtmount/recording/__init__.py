"""The TMA's stream in MCAP files: recorded frame by frame, read back, and read as arrays."""

from .mcap_reader import Message, RecordingError, find_files, read_messages
from .recorder import DEFAULT_LIMIT, Recorder
from .recording import Recording

__all__ = [
    "DEFAULT_LIMIT",
    "Message",
    "Recorder",
    "Recording",
    "RecordingError",
    "find_files",
    "read_messages",
]
