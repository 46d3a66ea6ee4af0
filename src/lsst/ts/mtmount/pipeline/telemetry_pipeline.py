"""From the receive buffer to Kafka, with the detours that users may ask for."""

import asyncio
import functools
import inspect
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, Protocol

from ..constants import CLOCK_OFFSET_TOPICS, MAX_FRAME_LENGTH
from ..core import (
    DropReason,
    FrameBuffer,
    FrameError,
    FrameProcessor,
    ProcessorState,
    Record,
)
from ..resilience import DeadLetterFile
from ..resilience.argument_types import check_result
from ..resilience.cancellation import ends_us
from ..resilience.rate_limited_log import RateLimitedLog
from ..sal.backend import SalBackend
from ..telemetry_map import Functor
from .clock_offset import ClockOffset
from .counters import Counters
from .drop_report import DropCallback, DropReport
from .member_report import MemberReport
from .topic_fields import choose_fields, make_codec
from .topic_handlers import (
    Handler,
    Preprocessor,
    TelemetryTopicHandler,
    TopicHandlers,
    WritableTopic,
)
from .user_code_time import TIME_BUDGET, UserCodeTime

__all__ = ["TelemetryPipeline", "TelemetryTopic"]

#: Delivery reports are collected after this many published frames, or by the
#: publisher's own slow timer.
FRAMES_PER_SERVE = 500

#: How long the end may call the drop callback for what was read and not published [seconds].
DROP_TIMEOUT = 1.0

#: How much of an unknown topic ID is logged [digits].
MAX_ID_LENGTH = 40

#: So many unsupported topics are counted one by one.
MAX_UNSUPPORTED = 100

#: What the frames of the other ones are counted as.
OTHERS = "others"


class TelemetryTopic(WritableTopic, Protocol):
    """A SAL topic whose record the pipeline may fill."""

    record: Record
    kafka_topic: str


class TelemetryPipeline:
    """Takes frames from a buffer and publishes them; knows why it cannot go on, and what helps.

    A topic takes the fused path, which builds no dict, unless it has a
    preprocessor or a user has replaced its handler.

    Parameters
    ----------
    sal : `SalBackend`
        Where messages and events go. It need not run yet.
    preprocessors : `Mapping` [`str`, `Preprocessor`]
        SAL topic name: its preprocessor.
    strict : `bool`
        Does an undecodable frame end the client?
    accept_incomplete : `bool`
        Does a missing member cost its field only, and not the frame?

    Attributes
    ----------
    topic_handlers : `TopicHandlers`
        Topic ID: handler. May be changed.
    wake_up : `asyncio.Event`
        Set when `take` returns false: `resolve` has something to do.
    last_pause_end : `float`
        When `resolve` had done it, by `time.monotonic` [seconds]; 0 if never.
    """

    def __init__(
        self,
        sal: SalBackend,
        *,
        preprocessors: Mapping[str, Preprocessor],
        log: logging.Logger,
        strict: bool = False,
        on_drop: DropCallback | None = None,
        dead_letter: DeadLetterFile | None = None,
        accept_incomplete: bool = False,
    ) -> None:
        self.wake_up = asyncio.Event()
        self.last_pause_end = 0.0
        # Why no frames are taken, as of `FrameProcessor.process`: the only place where that is kept.
        self._pause: ProcessorState = ProcessorState.NEED_MORE
        self._log = log
        self.limited_log = RateLimitedLog(log)
        self._publisher = sal.publisher
        self._acknowledged_means_sent = not sal.publisher.settings.has_acknowledgements
        self._user_code = UserCodeTime(log)
        self._members = MemberReport(log)
        self._drops = DropReport(self.limited_log, strict=strict, on_drop=on_drop, dead_letter=dead_letter)
        self._num_published_at_serve = 0
        self._deliveries = self._publisher.make_delivery_counter()
        self._processor = FrameProcessor(
            self._publisher.produce,
            self._deliveries,
            on_drop=self._report_drop,
            on_unsupported=self._report_unsupported,
            on_unknown_member=self._members.note_unknown,
            on_missing_member=self._members.note_missing,
            on_result=self._check_result,
            calls=self._user_code,
        )
        if dead_letter is not None:
            self._processor.max_reported = MAX_FRAME_LENGTH
        self.clock_offset = ClockOffset(sal, self._processor, self.limited_log)
        handlers: dict[int, Handler] = {}
        # What a standard handler has.
        self._standard: dict[int, tuple[TelemetryTopic, Mapping[str, Functor]]] = {}
        self._names = {topic.topic_id: topic.sal_topic for topic in sal.tma_interface.topics}
        for tma_topic in sal.tma_interface.topics:
            topic_id, sal_topic = tma_topic.topic_id, tma_topic.sal_topic
            topic: TelemetryTopic | None = getattr(sal.controller, f"tel_{sal_topic}", None)
            if topic is None:
                # Not in this SAL interface: its frames are unsupported.
                continue
            # A change in place would go unnoticed.
            fields = MappingProxyType(choose_fields(tma_topic, topic.record))
            codec = make_codec(tma_topic, topic.kafka_topic, topic.record, fields)
            codec.reports_clock = sal_topic in CLOCK_OFFSET_TOPICS
            codec.accept_incomplete = accept_incomplete
            self._members.add_topic(sal_topic, codec)
            self._processor.add_topic(codec)
            handlers[topic_id] = TelemetryTopicHandler(topic, fields, preprocessors.get(sal_topic))
            self._standard[topic_id] = (topic, fields)
        self._codecs = dict(self._processor.codecs)
        self.topic_handlers = TopicHandlers(self._codecs, self._choose_path)
        self.topic_handlers.update(handlers)

    @property
    def num_frames(self) -> int:
        """How many frames have come so far."""
        return self._processor.frames

    @property
    def num_used(self) -> int:
        """How many of them could be decoded, or were given to a handler."""
        return sum(codec.record.num_encoded for codec in self._codecs.values()) + self._processor.handled

    @property
    def is_paused(self) -> bool:
        """Whether frames wait for `resolve`, which is no fault of the TMA's."""
        return self._pause != ProcessorState.NEED_MORE

    @property
    def unsupported_topic_ids(self) -> set[int]:
        """Topic IDs seen that are not the TMA's."""
        return set(self._processor.unsupported_by_id)

    @property
    def topic_frames(self) -> dict[str, int]:
        """Records made so far, by name of the SAL topic."""
        return {
            codec.kafka_topic.rpartition(".")[2]: codec.record.num_encoded
            for codec in self._processor.codecs.values()
        }

    @property
    def counters(self) -> Counters:
        """What became of every frame so far."""
        processor = self._processor
        return Counters(
            frames=processor.frames,
            bytes=processor.num_bytes,
            published=processor.published,
            acknowledged=self._deliveries.acknowledged,
            failed=self._deliveries.failed,
            dropped=dict(processor.dropped),
            unsupported=processor.unsupported,
            preprocessed=processor.preprocessed,
            handled=processor.handled,
            pending=processor.pending,
            incomplete=self._members.incomplete,
            unknown_members=self._members.unknown_members,
            frames_with_unknown_members=self._members.frames_with_unknown,
            unsupported_by_topic=self._count_unsupported(),
            failed_by_reason=dict(self._deliveries.failed_by_reason),
            acknowledged_means_sent=self._acknowledged_means_sent,
        )

    def start(self) -> None:
        """Get ready, now that the publisher runs."""
        self._processor.produce = self._publisher.produce
        self.clock_offset.refresh()
        self.clock_offset.start()

    def take(self, buffer: FrameBuffer) -> bool:
        """Publish what is whole in the buffer, as far as that needs no waiting.

        Return False if `resolve` has something to do first.
        """
        if self._pause != ProcessorState.NEED_MORE:
            return False
        deadline = time.monotonic() + TIME_BUDGET
        try:
            self._pause = self._processor.process(buffer, deadline)
        except (KeyboardInterrupt, SystemExit):
            # Of a user's code. Where the event loop goes on all the same, so do the frames.
            self._pause = ProcessorState.YIELDED
            self.wake_up.set()
            raise
        num_published = self._processor.published
        if num_published - self._num_published_at_serve >= FRAMES_PER_SERVE:
            # Reports that nobody collects take up room in the queue.
            self._num_published_at_serve = num_published
            self._publisher.serve()
        if self._pause == ProcessorState.NEED_MORE:
            return True
        self.wake_up.set()
        return False

    async def resolve(self) -> None:
        """Do what frames wait for. If this returns, `take` may go on.

        `FrameError` if the client is strict, and a frame could not be decoded.
        """
        self.wake_up.clear()
        if self._drops.fatal_error is not None:
            raise self._drops.fatal_error
        if self._pause == ProcessorState.QUEUE_FULL:
            self.limited_log.log(
                "Kafka queue full",
                logging.WARNING,
                "The Kafka producer's queue is full; reading telemetry is paused",
            )
            await self._publisher.wait_for_room()
        elif self._pause == ProcessorState.NEED_HANDLER:
            await self._handle_pending()
        elif self._pause == ProcessorState.NEED_CLOCK:
            await self.clock_offset.write()
        if self._pause == ProcessorState.YIELDED or self._user_code.is_spent:
            # Others have their turn.
            await asyncio.sleep(0)
            self._user_code.reset()
        self.last_pause_end = time.monotonic()
        self._pause = ProcessorState.NEED_MORE

    def flush_logs(self, *, force: bool = False) -> None:
        """Write what the rate limits of the log have left out; see `RateLimitedLog.flush`."""
        self.limited_log.flush(force=force)
        self._members.limited_log.flush(force=force)

    def drop_rest(self, buffer: FrameBuffer) -> None:
        """Count as dropped what came of a frame that the TMA did not complete."""
        error = FrameError(DropReason.CUT_OFF, "the telemetry ended in the middle of the frame")
        self._processor.drop_rest(buffer, error)

    async def close(self, buffer: FrameBuffer) -> None:
        """Count as dropped what was read and can no longer be published."""
        self._drops.strict = False
        self.clock_offset.next_task.cancel()
        deadline = time.monotonic() + DROP_TIMEOUT
        error = FrameError(DropReason.CLOSED, "closed before the frame could be published")
        try:
            while not self._drop_some(buffer, error):
                # Others have their turn.
                await asyncio.sleep(0)
                if time.monotonic() > deadline:
                    self._drops.leave_callback(f"the end has {DROP_TIMEOUT:g} s for it")
        finally:
            # Otherwise the producer would live as long as this.
            self._processor.produce = self._publisher.refuse
            self._user_code.close()
            self.flush_logs(force=True)

    def _drop_some(self, buffer: FrameBuffer, error: FrameError) -> bool:
        """Drop what is in the buffer; return whether that was all, within the time budget."""
        try:
            return self._processor.drop_all(buffer, error, time.monotonic() + TIME_BUDGET)
        except (KeyboardInterrupt, SystemExit) as leaving:
            # The process waits for this end.
            self._drops.leave_callback(f"it raised {leaving!r}")
            return False

    def _check_result(self, data: dict[str, Any], result: object) -> None:
        """Look at what the present preprocessor has returned."""
        check_result("preprocessor", result)
        if isinstance(result, dict) and result is not data:
            self._user_code.warn_once(
                self._user_code.present,
                "returned a dict, which is ignored: expected that it changes its argument",
            )

    async def _handle_pending(self) -> None:
        """Give the pending frame to the handler that a user has put in place."""
        codec = self._processor.pending_codec
        assert codec is not None
        handler = self.topic_handlers.get(codec.topic_id)
        describe = functools.partial(self._describe, codec.topic_id, handler)
        self._user_code.begin(describe)
        task = asyncio.current_task()
        try:
            if handler is None:
                raise LookupError("the handler was removed while the frame waited for it")
            result: object = handler(self._processor.load_pending())
            if not inspect.isawaitable(result):
                raise TypeError(f"expected a coroutine function, got one that returns {result!r:.100}")
            await result
        except BaseException as error:
            is_leaving = isinstance(error, KeyboardInterrupt | SystemExit)
            if is_leaving or not ends_us(error, task):
                self._processor.drop_pending(error)
            if ends_us(error, task):
                raise
        else:
            self._processor.finish_handler()
        finally:
            self._user_code.end()

    def _describe(self, topic_id: int, handler: Handler | None) -> str:
        """Name a topic's handler, or its preprocessor where it is the standard one, for people."""
        name = self._names[topic_id]
        if isinstance(handler, TelemetryTopicHandler) and handler.preprocessor is not None:
            return f"preprocessor {_name_code(handler.preprocessor)} of topic {name}"
        return f"handler {_name_code(handler)} of topic {name}"

    def _choose_path(self, topic_id: int, handler: Handler | None) -> None:
        """Have the processor treat a topic as its handler, `None` if it has none, demands."""
        codec = self._codecs[topic_id]
        if handler is None:
            if topic_id in self._processor.codecs:
                self._processor.remove_topic(topic_id)
            return
        is_fused, codec.preprocessor = False, None
        topic, fields = self._standard[topic_id]
        # Does it do no more than its preprocessor and what the core does?
        if (
            type(handler) is TelemetryTopicHandler
            and "preprocess" not in vars(handler)
            and handler.topic is topic
            and handler.field_dict is fields
        ):
            codec.preprocessor = handler.preprocessor
            codec.description = functools.partial(self._describe, topic_id, handler)
            is_fused = handler.preprocessor is None
        codec.fused = is_fused
        self._processor.add_topic(codec)

    def _report_unsupported(self, topic_id: int) -> None:
        name = self._names.get(topic_id)
        if name is None:
            reason = "the TMA's interface lacks it; --tma-interface gives another one"
        elif topic_id in self._standard:
            reason = f"topic {name} has no handler"
        else:
            reason = f"the SAL interface has no telemetry topic {name}"
        self.limited_log.log(
            "Unsupported topic ID",
            logging.INFO,
            f"Unsupported topic ID {_format_id(topic_id)}; its frames are ignored: {reason}",
        )

    def _count_unsupported(self) -> dict[str, int]:
        """Count the frames of unsupported topics, by name or ID: of those that came first, and the rest."""
        counts: Counter[str] = Counter()
        for topic_id, count in islice(self._processor.unsupported_by_id.items(), MAX_UNSUPPORTED):
            counts[self._names.get(topic_id) or _format_id(topic_id)] += count
        if rest := self._processor.unsupported - counts.total():
            counts[OTHERS] += rest
        return dict(counts)

    def _report_drop(self, error: BaseException, frame: bytes) -> bool:
        """Tell of a dropped frame; return whether the processor has to stop."""
        # What is called now is what has failed, if the error is not one of ours.
        culprit = self._user_code.present
        describe = "report of a dropped frame, or on_drop,".__str__
        # A user may have made the error.
        topic_id = error.topic_id if isinstance(error, FrameError) else None
        codec = self._codecs.get(topic_id) if isinstance(topic_id, int) else None
        if isinstance(error, FrameError) and codec is not None:
            health = self._publisher.health
            if error.reason is DropReason.NOT_AUTHORIZED:
                health.report_missing_permission(codec.kafka_topic)
            elif error.reason is DropReason.NO_KAFKA_TOPIC:
                health.report_missing_topic(codec.kafka_topic)
        if self._drops.has_callback:
            self._user_code.begin(describe)
            try:
                self._drops.report(error, frame, culprit)
            finally:
                self._user_code.end()
        else:
            start = time.monotonic()
            self._drops.report(error, frame, culprit)
            # Log handlers are user code, too.
            self._user_code.add(time.monotonic() - start, describe)
        return self._drops.fatal_error is not None or self._user_code.is_spent


def _format_id(topic_id: int) -> str:
    # It may have thousands of digits, and has been read as a number by now.
    digits = str(topic_id)
    return digits if len(digits) <= MAX_ID_LENGTH else f"{digits[:MAX_ID_LENGTH]}... ({len(digits)} digits)"


def _name_code(code: Callable[..., Any] | None) -> str:
    try:
        return getattr(code, "__qualname__", None) or type(code).__qualname__
    except Exception:
        # A user's class may have any methods.
        return type(code).__qualname__
