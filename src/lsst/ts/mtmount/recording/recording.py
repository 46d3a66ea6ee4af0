"""Recordings as arrays."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from ..core import ColumnDecoder, Record, TopicCodec
from ..sal.avro_schema import TopicInfo
from ..sal.fields import FieldInfo
from ..tma_interface import TmaInterface, TmaTopic, choose_tma_interface
from .mcap_channels import TOPIC_PREFIX, UNKNOWN_TOPIC, fit_to_packaged_sal
from .mcap_reader import Message, find_files, read_messages
from .times import parse_time

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Recording"]

LOG = logging.getLogger(__name__)

#: How many frames are decoded at once: enough to cost little each, few enough to fit into memory.
BATCH = 4096

#: Fewer are, where they have this size [bytes]: a small file may unpack to very long ones.
BATCH_SIZE = 16 << 20

#: A time: ISO 8601 (UTC, unless it has a zone), or a `numpy.datetime64` in UTC.
Time: TypeAlias = "str | np.datetime64"


class Recording:
    """A recording, or all of a recorder's files in a folder.

    Files that are cut or damaged are read to their last whole chunk, with a warning.

    Parameters
    ----------
    path : path-like
        A file, or a folder.
    tma_interface : `TmaInterface`, path or `None`
        What the TMA sent. None: the file that ``MTMOUNT_TMA_INTERFACE`` names, or else the packaged
        interface. The recorder need not have known it.

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
    lsst.ts.mtmount.tma_interface.TmaInterfaceError
        If the file of the TMA's interface cannot be used.
    OSError
        If the recording cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tma_interface: TmaInterface | str | os.PathLike[str] | None = None,
    ) -> None:
        self.files = find_files(path)
        self._interface = fit_to_packaged_sal(choose_tma_interface(tma_interface))
        self.invalid_frames: Counter[str] = Counter()

    @property
    def topics(self) -> Counter[str]:
        """Number of frames by SAL topic, or by name of the other channels; reads all once."""
        topics, _, _ = self._overview
        return topics

    @property
    def times(self) -> tuple[np.datetime64, np.datetime64]:
        """When the first and the last frame were received (UTC); not-a-time if there is none."""
        import numpy as np

        topics, start, end = self._overview
        if not topics:
            return np.datetime64("NaT"), np.datetime64("NaT")
        return np.datetime64(start, "ns"), np.datetime64(end, "ns")

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
            If a file is not a recording.
        ValueError
            If a time is none.
        """
        first = 0 if start is None else _to_ns(start)
        end = 2**64 if stop is None else _to_ns(stop)
        names = None if topic is None else {topic, f"{TOPIC_PREFIX}{topic}"}
        sent = None if topic is None else self._interface.by_name.get(topic)
        if names is not None and sent is not None:
            # The recorder may not have known the topic.
            names.add(UNKNOWN_TOPIC)
        for file in self.files:
            for message in read_messages(
                file, LOG.warning, wants=lambda name: names is None or name in names, first=first, stop=end
            ):
                if (
                    sent is None
                    or message.topic != UNKNOWN_TOPIC
                    or _has_topic_id(message.data, sent.topic_id)
                ):
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
            If a file is not a recording.
        ValueError
            If there is no such topic or field, or a time is none.

        Notes
        -----
        A frame whose values cannot be read has no row; see `invalid_frames`.
        """
        import numpy as np

        if topic not in self._interface.by_name:
            raise ValueError(
                f"expected a telemetry topic of the TMA interface ({self._interface.source}), got {topic!r}; "
                "tma_interface= gives another interface"
            )
        decoder = _make_decoder(self._interface.by_name[topic], fields)
        parts: list[npt.NDArray[Any]] = []
        batch: list[tuple[int, bytes]] = []
        size = num_invalid = 0

        def decode() -> None:
            nonlocal num_invalid
            rows = np.empty(len(batch), decoder.dtype)
            num_rows = decoder.decode(batch, rows)
            num_invalid += len(batch) - num_rows
            parts.append(rows[:num_rows])
            batch.clear()

        for message in self.frames(topic, start, stop):
            batch.append((message.log_time, message.data))
            size += len(message.data)
            if len(batch) == BATCH or size >= BATCH_SIZE:
                decode()
                size = 0
        decode()
        self.invalid_frames[topic] = num_invalid
        if num_invalid:
            LOG.warning(f"{topic}: left out {num_invalid} frames whose values cannot be read")
        return np.concatenate(parts)

    @cached_property
    def _overview(self) -> tuple[Counter[str], int, int]:
        """The topics, and when the first and the last frame was received [UTC unix ns]."""
        topics: Counter[str] = Counter()
        start, end = 2**63 - 1, 0
        for message in self.frames():
            topics[message.topic.removeprefix(TOPIC_PREFIX)] += 1
            start, end = min(start, message.log_time), max(end, message.log_time)
        return topics, start, end


def _has_topic_id(frame: bytes, topic_id: int) -> bool:
    """Return whether a frame, which the recorder could decode, is of a topic."""
    try:
        return bool(json.loads(frame)["topicID"] == topic_id)
    except (ValueError, TypeError, LookupError, RecursionError):
        return False


def _make_decoder(topic: TmaTopic, fields: Sequence[str] | None) -> ColumnDecoder:
    for field in fields or ():
        if field not in topic.fields:
            raise ValueError(f"expected fields of {topic.sal_topic}, got {field!r}")
    info = TopicInfo(
        topic.sal_topic,
        tuple(
            FieldInfo(name, members[0].sal_type or "double", len(members))
            for name, members in topic.fields.items()
        ),
    )
    codec = TopicCodec(
        topic.topic_id,
        "",
        Record(info.record_fields(), schema_id=None, rev_code="", origin=0),
        {member.name: (member.field, member.index) for member in topic.members},
    )
    return ColumnDecoder(codec, list(topic.fields) if fields is None else list(fields))


def _to_ns(time: Time) -> int:
    """Return a time as UTC [unix ns]."""
    if isinstance(time, str):
        return parse_time(time)
    import numpy as np

    if np.isnat(time):
        raise ValueError("expected a time, got not-a-time")
    return int(time.astype("datetime64[ns]").astype(np.int64))
