"""Why a frame is dropped."""

import enum
from functools import partial
from typing import Any


class DropReason(enum.StrEnum):
    """Why a frame was dropped."""

    NOT_UTF8 = "not UTF-8"
    NOT_JSON = "not JSON"
    NOT_OBJECT = "no JSON object"
    NESTING = "nested too deeply"
    TOO_LONG = "too long"
    CUT_OFF = "cut off"
    TOPIC_ID = "bad topicID"
    MISSING_FIELD = "missing field"
    BAD_VALUE = "bad value"
    HANDLER = "handler failed"
    REFUSED = "refused by the producer"
    NOT_AUTHORIZED = "not authorized by Kafka"
    NO_KAFKA_TOPIC = "no such Kafka topic"
    CLOSED = "client closed"

    @classmethod
    def of_refusal(cls, text: str) -> "DropReason":
        """Return why the producer refused a message, by the name of Kafka's error in its text."""
        if "TOPIC_AUTHORIZATION_FAILED" in text:
            return cls.NOT_AUTHORIZED
        if "_UNKNOWN_TOPIC" in text or "_UNKNOWN_PARTITION" in text:
            return cls.NO_KAFKA_TOPIC
        return cls.REFUSED

    @classmethod
    def of_error(cls, error: BaseException) -> "DropReason":
        """Return the reason of a `FrameError`; HANDLER for all else, also where a user's has another one."""
        try:
            return cls(error.reason) if isinstance(error, FrameError) else cls.HANDLER
        except ValueError:
            return cls.HANDLER


#: The frame could not be decoded at all: a strict client ends.
UNDECODABLE = frozenset(
    {
        DropReason.NOT_UTF8,
        DropReason.NOT_JSON,
        DropReason.NOT_OBJECT,
        DropReason.NESTING,
        DropReason.TOO_LONG,
    }
)

#: Reasons that keep out all frames of a topic, good ones.
KAFKA_REASONS = frozenset({DropReason.NOT_AUTHORIZED, DropReason.NO_KAFKA_TOPIC})


class FrameError(ValueError):
    """A frame that cannot be published.

    Parameters
    ----------
    reason : `DropReason`
        Why.
    detail : `str`
        What exactly, for people.
    topic_id : `int` or `None`
        The frame's topic, where it is known.
    field : `str` or `None`
        The wire member that is missing or bad.
    offset : `int` or `None`
        Where in the frame [bytes].

    Raises
    ------
    ValueError
        If there is no such reason.
    """

    # Of a user's subclass that does not call this class's constructor.
    reason = DropReason.HANDLER
    detail = ""
    topic_id: int | None = None
    field: str | None = None
    offset: int | None = None

    def __init__(
        self,
        reason: DropReason,
        detail: str,
        *,
        topic_id: int | None = None,
        field: str | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = DropReason(reason)
        self.detail = detail
        self.topic_id = topic_id
        self.field = field
        self.offset = offset

    def __reduce__(self) -> tuple[Any, ...]:
        make = partial(type(self), topic_id=self.topic_id, field=self.field, offset=self.offset)
        return make, (self.reason, self.detail), self.__dict__
