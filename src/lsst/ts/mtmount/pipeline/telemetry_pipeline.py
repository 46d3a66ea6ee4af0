"""From the receive buffer to Kafka, with the detours that users may ask for."""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from ..constants import CLOCK_OFFSET_TOPICS, MAX_FRAME_LENGTH
from ..core import (
    DecoderState,
    DropReason,
    FrameBuffer,
    FrameDecoder,
    FrameError,
    Record,
    TopicCodec,
)
from ..resilience import DeadLetterFile
from ..resilience.rate_limited_log import RateLimitedLog
from ..sal.publisher import KafkaPublisher
from ..telemetry_map import Functor, make_functors
from ..tma_interface import TmaInterface
from .counters import Counters
from .topic_handler import Handler, Preprocessor, TelemetryTopicHandler, TopicHandlers, WritableTopic

__all__ = ["DropCallback", "TelemetryPipeline", "TelemetryTopic"]

#: Reasons for which a strict client ends: the frame could not be decoded at all.
UNDECODABLE = frozenset(
    {
        DropReason.NOT_UTF8,
        DropReason.NOT_JSON,
        DropReason.NOT_OBJECT,
        DropReason.NESTING,
        DropReason.TOO_LONG,
    }
)

#: How much of a dropped frame is logged, and handed to the drop callback [bytes].
HEAD_LENGTH = 200

#: Called with the reason and the first bytes of each dropped frame.
DropCallback = Callable[[BaseException, bytes], object]


class TelemetryTopic(WritableTopic, Protocol):
    """A SAL topic whose record the pipeline may fill."""

    record: Record
    kafka_topic: str


class TelemetryPipeline:
    """Takes frames from a buffer and publishes them.

    A topic takes the fused path, which builds no dict, unless it has a
    preprocessor or a user has replaced its handler.

    Parameters
    ----------
    interface : `TmaInterface`
        What the TMA sends.
    topics : `Mapping` [`str`, `TelemetryTopic`]
        SAL topic name: topic. Frames of topics that are missing here are
        unsupported.
    get_preprocessor : callable
        Returns the preprocessor of a SAL topic, or None.
    publisher : `KafkaPublisher`
        Where the messages go. It need not run yet.
    log : `logging.Logger`
        Logger.
    strict : `bool`
        Does an undecodable frame end the client?
    on_drop : callable or `None`
        Called in addition for each dropped frame.
    dead_letter : `DeadLetterFile` or `None`
        Keeps each dropped frame.

    Attributes
    ----------
    decoder : `FrameDecoder`
        What takes the frames.
    topic_handlers : `TopicHandlers`
        Topic ID: handler. May be changed.
    fatal_error : `FrameError` or `None`
        Why a strict client must end.
    """

    def __init__(
        self,
        *,
        interface: TmaInterface,
        topics: Mapping[str, TelemetryTopic],
        get_preprocessor: Callable[[str], Preprocessor | None],
        publisher: KafkaPublisher,
        log: logging.Logger,
        strict: bool = False,
        on_drop: DropCallback | None = None,
        dead_letter: DeadLetterFile | None = None,
    ) -> None:
        self.log = log
        self.limited_log = RateLimitedLog(log)
        self.strict = strict
        self.fatal_error: FrameError | None = None
        self.deliveries = publisher.make_delivery_counter()
        self.decoder = FrameDecoder(
            publisher.produce,
            self.deliveries,
            on_drop=self._report_drop,
            on_unsupported=self._report_unsupported,
        )
        if dead_letter is not None:
            self.decoder.max_reported = MAX_FRAME_LENGTH
        self._publisher = publisher
        self._on_drop = on_drop
        self._dead_letter = dead_letter
        handlers: dict[int, Handler] = {}
        # What a standard handler has.
        self._standard: dict[int, tuple[TelemetryTopic, dict[str, Functor]]] = {}
        for tma_topic in interface.topics:
            topic_id, sal_topic = tma_topic.topic_id, tma_topic.sal_topic
            if sal_topic not in topics:
                continue
            topic = topics[sal_topic]
            fields = {
                name: functor
                for name, functor in make_functors(tma_topic).items()
                # Another SAL interface may not have all that the TMA sends.
                if topic.record.holds_numbers(name, functor.num_elements)
            }
            codec = TopicCodec(
                topic_id,
                topic.kafka_topic,
                topic.record,
                {
                    member: (name, index)
                    for name, functor in fields.items()
                    for index, member in enumerate(functor.members)
                },
            )
            codec.reports_clock = sal_topic in CLOCK_OFFSET_TOPICS
            self.decoder.add_topic(codec)
            handlers[topic_id] = TelemetryTopicHandler(topic, fields, get_preprocessor(sal_topic))
            self._standard[topic_id] = (topic, fields)
        self._codecs = dict(self.decoder.codecs)
        self.topic_handlers = TopicHandlers(handlers, self._choose_path)
        for topic_id in handlers:
            self._choose_path(topic_id)

    def start(self) -> None:
        """Get ready, now that the publisher runs."""
        self.decoder.produce = self._publisher.produce

    @property
    def counters(self) -> Counters:
        """What became of every frame so far."""
        decoder = self.decoder
        return Counters(
            frames=decoder.frames,
            bytes=decoder.num_bytes,
            published=decoder.published,
            acknowledged=self.deliveries.acknowledged,
            failed=self.deliveries.failed,
            dropped=dict(decoder.dropped),
            unsupported=decoder.unsupported,
            preprocessed=decoder.preprocessed,
            handled=decoder.handled,
            pending=decoder.pending,
        )

    def take_frames(self, buffer: FrameBuffer) -> DecoderState:
        """Publish what is whole in the buffer, as far as that needs no waiting.

        Returns
        -------
        state : `DecoderState`
            As of `FrameDecoder.process`.
        """
        while True:
            state = self.decoder.process(buffer)
            if state != DecoderState.NEED_HANDLER:
                return state
            codec = self.decoder.pending_codec
            assert codec is not None
            handler = self.topic_handlers[codec.topic_id]
            if not self._is_standard(codec.topic_id, handler):
                return state
            self._preprocess_pending(handler)

    async def handle_pending(self) -> None:
        """Give the pending frame to the handler that a user has put in place."""
        codec = self.decoder.pending_codec
        assert codec is not None
        try:
            await self.topic_handlers[codec.topic_id](self.decoder.load_pending())
        except Exception as error:
            self.decoder.drop_pending(error)
        else:
            self.decoder.finish_handler()

    def drop_rest(self, buffer: FrameBuffer) -> None:
        """Count as dropped what came of a frame that the TMA did not complete.

        Parameters
        ----------
        buffer : `FrameBuffer`
            What was received.
        """
        error = FrameError(DropReason.CUT_OFF, "the telemetry ended in the middle of the frame")
        self.decoder.drop_rest(buffer, error)

    def close(self, buffer: FrameBuffer) -> None:
        """Count as dropped what was read and can no longer be published.

        Parameters
        ----------
        buffer : `FrameBuffer`
            What was received.
        """
        self.strict = False
        self.decoder.drop_all(
            buffer, FrameError(DropReason.CLOSED, "closed before the frame could be published")
        )
        self.limited_log.flush(force=True)

    def _is_standard(self, topic_id: int, handler: Handler) -> bool:
        """Does the handler do no more than its preprocessor and what the core does?"""
        topic, fields = self._standard[topic_id]
        return (
            type(handler) is TelemetryTopicHandler and handler.topic is topic and handler.field_dict is fields
        )

    def _choose_path(self, topic_id: int) -> None:
        codec = self._codecs.get(topic_id)
        if codec is None:
            raise KeyError(f"topic ID {topic_id} is none of the TMA's")
        handler = self.topic_handlers.get(topic_id)
        if handler is None:
            self.decoder.remove_topic(topic_id)
            return
        codec.fused = self._is_standard(topic_id, handler) and handler.preprocessor is None  # type: ignore[attr-defined]
        self.decoder.add_topic(codec)
        if isinstance(handler, TelemetryTopicHandler):
            handler.on_change = lambda: self._choose_path(topic_id)

    def _preprocess_pending(self, handler: Handler) -> None:
        assert isinstance(handler, TelemetryTopicHandler)
        try:
            data = self.decoder.load_pending()
            if handler.preprocessor is not None:
                handler.preprocessor(data)
        except Exception as error:
            self.decoder.drop_pending(error)
        else:
            self.decoder.publish_pending(data)

    def _report_unsupported(self, topic_id: int) -> None:
        self.log.info(f"Unsupported topic ID {topic_id}; its frames are ignored")

    def _report_drop(self, error: BaseException, frame: bytes) -> bool:
        """Log a dropped frame; tell whether that is the end."""
        head = frame[:HEAD_LENGTH]
        reason = error.reason if isinstance(error, FrameError) else DropReason.HANDLER
        text = str(error) if isinstance(error, FrameError) else f"{reason}: {error!r}"
        self.limited_log.log(
            f"Dropped a frame, {reason}",
            logging.WARNING,
            f"Dropped a frame, {text}; it starts with {head!r}",
            exc_info=error if reason is DropReason.HANDLER else False,
        )
        # A frame that Kafka's permissions keep out is no bad frame.
        if self._dead_letter is not None and reason is not DropReason.NOT_AUTHORIZED:
            self._dead_letter.write(error, reason, frame)
        if self._on_drop is not None:
            self._on_drop(error, head)
        if self.strict and isinstance(error, FrameError) and reason in UNDECODABLE:
            self.fatal_error = error
            return True
        return False
