"""What is sent of a recording, and when."""

import base64
import json
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from itertools import chain
from pathlib import Path

from ...constants import MAX_FRAME_LENGTH
from ...recording import Message
from ...recording.mcap_channels import OVER_LONG, TOPIC_PREFIX
from ...recording.mcap_reader import read_chunks
from ...tma_interface import TmaInterface, load_packaged_tma_interface

__all__ = ["Replay"]

LOG = logging.getLogger(__name__)

#: The frame's time stamp and those of its members, as the TMA spells numbers; in a string their
#: quotes would be escaped.
STAMP = re.compile(rb'("(?:timestamp|\w+Timestamp)"\s*:\s*)(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?=\s*[,}])')


@dataclass
class Replay:
    """What is sent of some recordings, and when.

    ``rate`` is how many times faster than recorded; infinity: as fast as the client takes it. With
    ``shift_time``, the time of sending less the recorded arrival is added to all time stamps. Only frames
    that were received at or after ``first`` and before ``stop`` are sent [UTC unix ns]. A topic is a SAL
    name, an ID, or the name of another channel; `ValueError` if the interface, by default the packaged
    one, does not have it.
    """

    files: list[Path]
    _: KW_ONLY
    rate: float = 1.0
    shift_time: bool = False
    first: int = 0
    stop: int = 2**64
    topics: Iterable[str] | None = None
    interface: TmaInterface | None = None

    def __post_init__(self) -> None:
        known = self.interface or load_packaged_tma_interface()
        names = self.topics
        self._channels = None if names is None else {_name_channel(name, known) for name in names}

    def read(self) -> Iterator[Message]:
        """Read what is to be sent. Blocks: to be called in a thread. Raises as `read_messages` does."""
        return chain.from_iterable(self.read_chunks())

    def read_chunks(self) -> Iterator[list[Message]]:
        """Read what is to be sent of each chunk, which may be nothing; otherwise as `read`.

        No step takes longer than to read a chunk, and to skip those of one file.
        """
        for file in self.files:
            yield from read_chunks(file, LOG.warning, wants=self._wants, first=self.first, stop=self.stop)
            yield []

    def render(self, message: Message, now: int) -> bytes:
        """Return the bytes to send for a message at a time [UTC unix ns], without terminator."""
        data = message.data
        if message.topic == OVER_LONG:
            data = _restore_over_long(data)
        elif self.shift_time and message.topic.startswith(TOPIC_PREFIX):
            shift = (now - message.log_time) / 1e9
            data = STAMP.sub(lambda match: match[1] + b"%.6f" % (float(match[2]) + shift), data)
        return data

    def _wants(self, channel: str) -> bool:
        return self._channels is None or channel in self._channels


def _name_channel(topic: str, interface: TmaInterface) -> str:
    """Return the channel of a topic, given by its SAL name, its ID, or the channel's own name."""
    if topic in interface.by_name:
        return f"{TOPIC_PREFIX}{topic}"
    for known in interface.topics:
        if topic == str(known.topic_id):
            return f"{TOPIC_PREFIX}{known.sal_topic}"
    if topic.startswith("tma_other/"):
        return topic
    raise ValueError(f"expected topics of the TMA, got {topic!r}")


def _restore_over_long(data: bytes) -> bytes:
    """Make a frame of the recorded length and head; as it is if that is not one of ours."""
    try:
        content = json.loads(data)
        head = base64.b64decode(content["head_base64"])
        length = min(int(content["length"]), 2 * MAX_FRAME_LENGTH)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return data
    return head.ljust(length, b"~")
