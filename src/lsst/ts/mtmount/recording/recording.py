"""Recordings as arrays."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..core import ColumnDecoder, Record, TopicCodec
from ..sal.interface import load_packaged_interface
from ..telemetry_map import TELEMETRY_MAP, TelemetryTopicId
from .channels import TOPIC_PREFIX
from .reader import Message, find_files, read_messages
from .times import parse_time

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Recording"]

LOG = logging.getLogger(__name__)

#: How many frames are decoded at once: enough to cost little each, few enough to fit into memory.
BATCH = 4096

#: A time: ISO 8601 (UTC, unless it has a zone), or a `numpy.datetime64` in UTC.
Time: TypeAlias = "str | np.datetime64"


class Recording:
    """A recording, or all of a recorder's files in a folder.

    Files that are cut or damaged are read to their last whole chunk, with a warning.

    Parameters
    ----------
    path : path-like
        A file, or a folder.

    Attributes
    ----------
    files : `list` [`pathlib.Path`]
        The files, the oldest first.
    invalid_frames : `collections.Counter` [`str`]
        Frames that the last `read_columns` of each topic left out: no values could be read from them.

    Raises
    ------
    RecordingError
        If there is no recording.
    OSError
        If it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.files = find_files(path)
        self.invalid_frames: Counter[str] = Counter()
        self._topics: Counter[str] | None = None
        self._start = 0
        self._end = 0

    @property
    def topics(self) -> Counter[str]:
        """Number of frames by SAL topic, or by name of the other channels; reads all once."""
        return self._read_overview()

    @property
    def times(self) -> tuple[np.datetime64, np.datetime64]:
        """When the first and the last frame were received (UTC); not-a-time if there is none."""
        import numpy as np

        if not self._read_overview():
            return np.datetime64("NaT"), np.datetime64("NaT")
        return np.datetime64(self._start, "ns"), np.datetime64(self._end, "ns")

    def frames(
        self, topic: str | None = None, start: Time | None = None, stop: Time | None = None
    ) -> Iterator[Message]:
        """Read frames, in the order in which they were received.

        Parameters
        ----------
        topic : `str` or `None`
            SAL topic (``azimuth``), or name of another channel; all if None.
        start, stop : time or `None`
            Only frames that were received at or after, or before, this.

        Raises
        ------
        RecordingError
            If a file is no recording.
        ValueError
            If a time is none.
        """
        first = 0 if start is None else _to_ns(start)
        end = 2**64 if stop is None else _to_ns(stop)
        names = None if topic is None else {topic, f"{TOPIC_PREFIX}{topic}"}
        for file in self.files:
            for message in read_messages(
                file, LOG.warning, wants=lambda name: names is None or name in names
            ):
                if first <= message.log_time < end:
                    yield message

    def read_columns(
        self,
        topic: str,
        fields: Sequence[str] | None = None,
        start: Time | None = None,
        stop: Time | None = None,
    ) -> npt.NDArray[Any]:
        """Read the values of a topic.

        Parameters
        ----------
        topic : `str`
            SAL topic, such as ``azimuth``.
        fields : `Sequence` [`str`] or `None`
            SAL fields; all that the TMA sends if None.
        start, stop : time or `None`
            As of `frames`.

        Returns
        -------
        columns : `numpy.ndarray`
            A structured array with a row for each frame: ``arrival_time`` (``datetime64[ns]``, UTC), then
            the fields, arrays as sub-arrays. Times within the fields are TAI [unix s].

        Raises
        ------
        RecordingError
            If a file is no recording.
        ValueError
            If there is no such topic or field, or a time is none.

        Notes
        -----
        A frame whose values cannot be read has no row; see `invalid_frames`.
        """
        import numpy as np

        decoder = _make_decoder(topic, fields)
        parts: list[npt.NDArray[Any]] = []
        batch: list[tuple[int, bytes]] = []
        num_invalid = 0

        def decode() -> None:
            nonlocal num_invalid
            rows = np.empty(len(batch), decoder.dtype)
            num_rows = decoder.decode(batch, rows)
            num_invalid += len(batch) - num_rows
            parts.append(rows[:num_rows])
            batch.clear()

        for message in self.frames(topic, start, stop):
            batch.append((message.log_time, message.data))
            if len(batch) == BATCH:
                decode()
        decode()
        self.invalid_frames[topic] = num_invalid
        if num_invalid:
            LOG.warning(f"{topic}: left out {num_invalid} frames whose values cannot be read")
        return np.concatenate(parts)

    def _read_overview(self) -> Counter[str]:
        if self._topics is None:
            self._topics = Counter()
            self._start, self._end = 2**63 - 1, 0
            for message in self.frames():
                self._topics[message.topic.removeprefix(TOPIC_PREFIX)] += 1
                self._start = min(self._start, message.log_time)
                self._end = max(self._end, message.log_time)
        return self._topics


def _make_decoder(topic: str, fields: Sequence[str] | None) -> ColumnDecoder:
    if topic not in TelemetryTopicId.__members__:
        raise ValueError(f"expected a telemetry topic of the TMA, got {topic!r}")
    topic_id = TelemetryTopicId[topic].value
    functors = TELEMETRY_MAP[topic_id][1]
    for field in fields or ():
        if field not in functors:
            raise ValueError(f"expected fields of {topic}, got {field!r}")
    info = load_packaged_interface().topics[f"tel_{topic}"]
    codec = TopicCodec(
        topic_id,
        "",
        Record(info.record_fields(), schema_id=None, rev_code="", origin=0),
        {
            member: (name, index)
            for name, functor in functors.items()
            for index, member in enumerate(functor.members)
        },
    )
    return ColumnDecoder(codec, list(functors) if fields is None else list(fields))


def _to_ns(time: Time) -> int:
    """Return a time as UTC [unix ns]."""
    if isinstance(time, str):
        return parse_time(time)
    import numpy as np

    if np.isnat(time):
        raise ValueError("expected a time, got not-a-time")
    return int(time.astype("datetime64[ns]").astype(np.int64))
