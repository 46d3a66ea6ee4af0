"""One topic, decoded by the core and by the plain pipeline side by side."""

from collections.abc import Iterable

from lsst.ts.mtmount.core import FrameError, TopicCodec

from ..core.topics import ORIGIN, REV_CODE, STAMP, UTC, mixed_codec, mixed_twin
from ..oracle import BadFrameError, TopicTwin


class Comparison:
    """Decodes frames with a codec and its plain twin, and tells where they differ.

    Parameters
    ----------
    codec : `TopicCodec`
        Of the core.
    twin : `TopicTwin`
        The same topic, plainly; in the same state.
    """

    def __init__(self, codec: TopicCodec, twin: TopicTwin) -> None:
        self.codec = codec
        self.twin = twin

    @classmethod
    def of_mixed_topic(cls) -> "Comparison":
        """Make one for the topic that has a field of each type."""
        return cls(mixed_codec(), mixed_twin())

    def take(self, frame: bytes) -> bool:
        """Decode a frame with both.

        Returns
        -------
        is_good : `bool`
            Did both take it?

        Raises
        ------
        AssertionError
            If only one took it, they refused it for different reasons, or
            their states differ.
        """
        shown = f"{frame[:300]!r} ({len(frame)} bytes)"
        refusal: FrameError | None = None
        try:
            self.codec.decode_frame(frame)
        except FrameError as error:
            refusal = error
        try:
            self.twin.decode_frame(frame)
        except BadFrameError as error:
            if refusal is None:
                raise AssertionError(f"{shown} was taken; the oracle: {error}") from None
            if (refusal.reason, refusal.field) not in error.problems:
                raise AssertionError(f"{shown} was refused: {refusal}; the oracle: {error}") from None
        else:
            if refusal is not None:
                raise AssertionError(f"{shown} was refused: {refusal}; the oracle takes it")
        self.codec.record.seq_num = 0
        message = self.codec.record.encode(STAMP, UTC)
        if message != self.twin.encode(STAMP, UTC, 1, REV_CODE, ORIGIN):
            raise AssertionError(
                f"after {shown} the state is {self.codec.record.values()}, the oracle's {self.twin.values}"
            )
        return refusal is None

    def take_all(self, frames: Iterable[bytes]) -> list[bool]:
        """Decode some frames with both; tell which they took."""
        return [self.take(frame) for frame in frames]
