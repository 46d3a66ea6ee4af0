"""What is told of each dropped frame, and to whom."""

import logging
from collections.abc import Callable

from ..core import KAFKA_REASONS, UNDECODABLE, DropReason, FrameError
from ..resilience import DeadLetterFile
from ..resilience.argument_types import check_result
from ..resilience.escape import describe_error, escape
from ..resilience.rate_limited_log import RateLimitedLog

__all__ = ["DropCallback", "DropReport"]

#: How much of a dropped frame is logged, and handed to the drop callback [bytes].
HEAD_LENGTH = 200

#: How much of what an error says is logged [characters].
MAX_TEXT_LENGTH = 500

#: Called with the reason and the first bytes of each dropped frame.
DropCallback = Callable[[BaseException, bytes], object]


class DropReport:
    """Logs dropped frames, keeps them in a file, and calls the user's callback.

    A strict client is ended by an undecodable frame. What the callback raises is logged.

    Attributes
    ----------
    fatal_error : `FrameError` or `None`
        Why a strict client must end.
    """

    def __init__(
        self,
        limited_log: RateLimitedLog,
        *,
        strict: bool,
        on_drop: DropCallback | None,
        dead_letter: DeadLetterFile | None,
    ) -> None:
        self.strict = strict
        self.fatal_error: FrameError | None = None
        self._limited_log = limited_log
        self._on_drop = on_drop
        self._dead_letter = dead_letter

    def report(self, error: BaseException, frame: bytes, culprit: str) -> None:
        """Tell of a dropped frame, or its first bytes.

        ``culprit`` is the preprocessor or handler that failed, if ``error`` is not one of ours.
        """
        head = frame[:HEAD_LENGTH]
        reason = DropReason.of_error(error)
        text = describe_error(error)
        if not isinstance(error, FrameError):
            text = f"{reason}: {culprit}: {text}"
        # A frame that Kafka keeps out, as all of its topic, is not a bad frame: its health was logged.
        if reason not in KAFKA_REASONS:
            self._limited_log.log(
                f"Dropped a frame, {reason}",
                logging.WARNING,
                f"Dropped a frame, {escape(text, MAX_TEXT_LENGTH)}; it starts with {head!r}",
                exc_info=error if reason is DropReason.HANDLER else False,
            )
            if self._dead_letter is not None:
                self._dead_letter.write(error, reason, frame)
        if self._on_drop is not None:
            try:
                check_result("on_drop", self._on_drop(error, head))
            # Not a cancellation of our task: it cannot come while we do not wait.
            except BaseException as failure:
                self._limited_log.log(
                    "on_drop failed",
                    logging.ERROR,
                    f"on_drop failed: {describe_error(failure)}",
                    exc_info=failure,
                )
                if isinstance(failure, KeyboardInterrupt | SystemExit):
                    raise
        if self.strict and isinstance(error, FrameError) and reason in UNDECODABLE:
            self.fatal_error = error

    @property
    def has_callback(self) -> bool:
        """Whether there is a user's callback."""
        return self._on_drop is not None

    def leave_callback(self, reason: str) -> None:
        """Call the user's callback no longer, and log why."""
        if self._on_drop is not None:
            self._on_drop = None
            self._limited_log.log("on_drop left", logging.ERROR, f"on_drop is not called any more: {reason}")
