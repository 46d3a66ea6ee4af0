"""From the received bytes to Kafka messages: every complete frame in one call."""

import json
import sys

from lsst.ts.mtmount.core.processor_state import ProcessorState
from lsst.ts.mtmount.core.drop_reason import DropReason, FrameError

from libc.math cimport INFINITY, isfinite
from libc.stdint cimport int64_t
from libc.string cimport memcmp
from libcpp.vector cimport vector
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from posix.types cimport clockid_t

from lsst.ts.mtmount.core.call_clock cimport CallClock, monotonic_time
from lsst.ts.mtmount.core.frame_buffer cimport FRAME_HEAD, Block, FrameBuffer
from lsst.ts.mtmount.core.scanner cimport (
    JSON_INTEGER,
    JSON_REAL,
    OUTCOME_OK,
    OUTCOME_UNEXPECTED,
    JsonScanner,
    Member,
    as_double,
    find_member,
    find_topic_id,
    scan_error,
    scan_frame,
)
from lsst.ts.mtmount.core.topic_codec cimport TopicCodec, show


cdef extern from *:
    """
    #include <string.h>
    #include <time.h>
    #ifndef CLOCK_TAI
    #define CLOCK_TAI 11  /* Linux */
    #endif
    """
    clockid_t CLOCK_TAI
    void* memmem(const void*, size_t, const void*, size_t) nogil


cdef enum:
    # Topic IDs up to this are looked up in an array. (The TMA's end at 27.)
    MAX_INDEXED_TOPIC_ID = 255
    # Unknown topic IDs that are remembered, so that a sender of nonsense
    # cannot fill the memory.
    MAX_UNSUPPORTED = 1000

# The values of ProcessorState.
cdef enum State:
    NEED_MORE
    QUEUE_FULL
    NEED_HANDLER
    NEED_CLOCK
    STOPPED
    YIELDED

# A frame in the receive buffer.
cdef struct View:
    const char* frame
    Py_ssize_t length

cdef tuple STATES = tuple(ProcessorState)
cdef const char* TOPIC_ID_KEY = b'"topicID"'
cdef const char* TIMESTAMP = b"timestamp"
cdef enum:
    TOPIC_ID_KEY_LENGTH = 9
    TIMESTAMP_LENGTH = 9


cdef class FrameProcessor:
    """Takes every complete frame from a buffer and hands its record to a producer.

    Frames are decoded ahead, and their records handed over one right after the other: the more
    messages the producer's own thread finds when it wakes up, the fewer requests it makes of them.
    What is to be told of a frame is told, and the frame counted, when all before it are handed over.

    Parameters
    ----------
    produce : `Callable`
        ``produce(kafka_topic, value, key, partition, on_delivery)``; raises
        BufferError where the producer's queue is full, any other exception
        where it refuses the message. (One that ends the program is raised on.)
    on_delivery : `Callable`
        Passed on to ``produce``.
    on_drop : `Callable`
        Called with an exception (mostly a `FrameError`) and the frame, or its
        first bytes, for each one that is dropped. If it returns true,
        `process` ends with ``STOPPED``.
    on_unsupported : `Callable`
        Called with each new topic ID that no codec was added for.
    on_unknown_member : `Callable` or `None`
        Called with topic ID and name of each member that a topic's codec does
        not have, once; see `TopicCodec.unknown_members`.
    on_missing_member : `Callable` or `None`
        Called with topic ID, name and True once a member of a codec that
        accepts incomplete frames is missing, with False once it is back.
    on_result : `Callable` or `None`
        Called with the dict and what a preprocessor has returned, if that is not `None`;
        what it raises counts as raised by the preprocessor.
    calls : `CallClock` or `None`
        Is told of each call of a preprocessor; while ``on_drop`` is called for what one
        raised, that call goes on. What it raises itself costs the frame.

    Attributes
    ----------
    produce : `Callable`
        The parameter; may be replaced.
    frames : `int`
        Frames received: published, dropped and of unsupported topics.
    num_bytes : `int`
        Length of these frames, without terminators [bytes].
    published : `int`
        Frames whose record the producer took.
    preprocessed : `int`
        Those of them that went through a dict.
    handled : `int`
        Frames that a handler dealt with itself.
    pending : `int`
        Frames that a preprocessor has, or that wait for a handler, for the clock offset or for
        room in the producer's queue: 0 or 1.
    dropped : `dict` [`DropReason`, `int`]
        Frames dropped, by reason.
    unsupported : `int`
        Frames of unsupported topics.
    unsupported_by_id : `dict` [`int`, `int`]
        These, of the first 1,000 topic IDs.
    clock_is_due : `bool`
        Is a time stamp for the clock offset wanted?
    max_reported : `int`
        How much of a dropped frame ``on_drop`` gets [bytes]; 200 at most of
        one that is too long.
    pending_frame : `bytes` or `None`
        The frame for a handler.
    pending_codec : `TopicCodec` or `None`
        Its topic.
    pending_clock : `float`
        A time stamp of the TMA (TAI, unix seconds).
    """

    cdef public object produce
    cdef readonly object on_delivery
    cdef readonly object on_drop
    cdef readonly object on_unsupported
    cdef readonly object on_unknown_member
    cdef readonly object on_missing_member
    cdef readonly object on_result
    cdef readonly CallClock calls
    cdef readonly int64_t frames
    cdef readonly int64_t num_bytes
    cdef readonly int64_t published
    cdef readonly int64_t preprocessed
    cdef readonly int64_t handled
    cdef readonly int64_t unsupported
    cdef readonly dict dropped
    cdef readonly dict unsupported_by_id
    cdef public bint clock_is_due
    cdef public Py_ssize_t max_reported
    cdef readonly bytes pending_frame
    cdef readonly TopicCodec pending_codec
    cdef readonly double pending_clock
    cdef readonly dict codecs
    # `pending_frame` as a dict, if it was made one already.
    cdef dict _pending_data
    # A frame that waits for the clock offset to be written.
    cdef bytes _held_frame
    # A message that the producer had no room for, and the frame it was made of.
    cdef bytes _held_message
    cdef bytes _held_source
    cdef TopicCodec _held_codec
    cdef bint _held_is_preprocessed
    # What was decoded ahead: codecs, messages (None: yet to be made), frames, the memory of these,
    # and how many were handed over.
    cdef list _ahead_codecs
    cdef list _ahead_messages
    cdef vector[View] _ahead_frames
    cdef list _blocks
    cdef Py_ssize_t _num_handed_over
    # Has user code run since `_pause` looked at the time?
    cdef bint _called_back
    # A topic of which a callback did not let all news be told, by what it raised.
    cdef TopicCodec _untold_codec
    cdef bint _stopped
    cdef bint _is_processing
    cdef bint _is_preprocessing
    cdef JsonScanner _scanner
    cdef int _clock
    cdef double _tai_minus_utc
    cdef bint _clock_is_tai
    cdef list _by_id

    def __cinit__(
        self,
        produce,
        on_delivery,
        *,
        on_drop,
        on_unsupported,
        on_unknown_member=None,
        on_missing_member=None,
        on_result=None,
        CallClock calls=None,
    ) -> None:
        self.produce = produce
        self.on_delivery = on_delivery
        self.on_drop = on_drop
        self.on_unsupported = on_unsupported
        self.on_unknown_member = on_unknown_member
        self.on_missing_member = on_missing_member
        self.on_result = on_result
        self.calls = CallClock() if calls is None else calls
        self.max_reported = FRAME_HEAD
        self.dropped = dict.fromkeys(DropReason, 0)
        self.unsupported_by_id = {}
        self.codecs = {}
        self._by_id = [None] * (MAX_INDEXED_TOPIC_ID + 1)
        self._ahead_codecs = []
        self._ahead_messages = []
        self._blocks = []
        self._scanner.max_integer_digits = sys.get_int_max_str_digits()
        self.set_clock(False, 37.0)

    def set_clock(self, use_clock_tai: bool, tai_minus_utc: float) -> None:
        """Choose how records are stamped.

        TAI is read from the system's CLOCK_TAI, or else UTC from CLOCK_REALTIME; ``tai_minus_utc``
        [seconds] gives the other one.
        """
        self._clock_is_tai = use_clock_tai
        self._clock = CLOCK_TAI if use_clock_tai else CLOCK_REALTIME
        self._tai_minus_utc = tai_minus_utc

    def add_topic(self, codec: TopicCodec) -> None:
        """Add or replace the codec of a topic."""
        self.codecs[codec.topic_id] = codec
        if 0 <= codec.topic_id <= MAX_INDEXED_TOPIC_ID:
            self._by_id[codec.topic_id] = codec

    def remove_topic(self, topic_id: int) -> None:
        """Remove the codec of a topic, whose frames are then unsupported."""
        if 0 <= topic_id <= MAX_INDEXED_TOPIC_ID:
            self._by_id[topic_id] = None
        del self.codecs[topic_id]

    def process(self, buffer: FrameBuffer, double deadline=INFINITY) -> ProcessorState:
        """Take frames until none is complete, or something has to be done first.

        Return which. After the deadline (as of `time.monotonic`) that is ``YIELDED``; it is
        looked at only after a callback other than ``produce`` has run. RuntimeError if a callback
        of `process` calls it: its frames would overtake.
        """
        if self._is_processing:
            raise RuntimeError("process was called by one of its own callbacks")
        self._is_processing = True
        buffer.is_pinned = True
        try:
            return STATES[self._process(buffer, deadline)]
        finally:
            self._is_processing = False
            buffer.is_pinned = self._has_ahead()
            if not buffer.is_pinned:
                self._blocks.clear()

    cdef int _process(self, FrameBuffer buffer, double deadline) except -1:
        cdef const char* frame = NULL
        cdef Py_ssize_t length = 0
        cdef int state, code
        cdef bytes held
        cdef Block block = None
        self._stopped = False
        self._called_back = False
        if self._untold_codec is not None:
            self._tell_news(self._untold_codec)
        if self.pending_frame is not None:
            return NEED_HANDLER
        if self._held_message is not None:
            held = self._held_source
            if not self._publish(
                self._held_codec, self._held_message, held, len(held), self._held_is_preprocessed
            ):
                return QUEUE_FULL
        if self._held_frame is not None:
            held = self._held_frame
            self._held_frame = None
            state = self._take(held, len(held), False, False)
            if state != NEED_MORE:
                return state
        if self._called_back:
            state = self._pause(deadline)
            if state != NEED_MORE:
                return state
        state = self._hand_over(deadline)
        if state != NEED_MORE:
            return state
        while True:
            if self._called_back:
                state = self._pause(deadline)
                if state != NEED_MORE:
                    return state
            # The frames lie there, even if a callback receives more bytes,
            # for which the buffer moves on.
            if block is not buffer.block:
                block = buffer.block
                self._blocks.append(block)
            code = buffer.next_frame_view(<const unsigned char**>&frame, &length, self._has_ahead())
            if code == 1 and self._take_ahead(frame, length):
                continue
            if self._has_ahead():
                try:
                    state = self._hand_over(deadline)
                except BaseException:
                    # A user's code that ends the program; the buffer has given this frame away.
                    if code == 1:
                        self._put_aside(None, None, frame, length)
                    raise
                if state != NEED_MORE:
                    if code == 1:
                        self._put_aside(None, None, frame, length)
                    return state
                if code != 1:
                    # Bytes may have come meanwhile.
                    continue
            if code == 0:
                return NEED_MORE
            self._count(length)
            if code == 2:
                self._drop(
                    FrameError(DropReason.TOO_LONG, f"expected {buffer.limit} bytes at most, got {length}"),
                    frame,
                    min(length, FRAME_HEAD),
                )
                continue
            state = self._take(frame, length, True, True)
            if state != NEED_MORE:
                return state

    cdef bint _take_ahead(self, const char* frame, Py_ssize_t length) except -1:
        """Decode a frame that a template has, or put aside one for a preprocessor; false: neither."""
        cdef TopicCodec codec = self._guess(frame, length)
        cdef bytes message = None
        if codec is None or (self.clock_is_due and codec.reports_clock):
            return False
        if codec.is_fused:
            if codec.decode_by_template(&self._scanner, frame, length) != OUTCOME_OK:
                return False
            message = self._encode(codec)
        elif codec.preprocessor is None:
            return False
        self._put_aside(codec, message, frame, length)
        return True

    cdef int _put_aside(
        self, TopicCodec codec, bytes message, const char* frame, Py_ssize_t length
    ) except -1:
        self._ahead_codecs.append(codec)
        self._ahead_messages.append(message)
        self._ahead_frames.push_back(View(frame, length))
        return 0

    cdef bint _has_ahead(self) noexcept:
        """Has anything been decoded ahead and not been dealt with?"""
        return self._ahead_frames.size() != 0

    cdef int _hand_over(self, double deadline) except -1:
        """Hand over what was decoded ahead, as far as that goes; return why no further."""
        cdef Py_ssize_t i
        cdef int state = NEED_MORE
        while self._num_handed_over < <Py_ssize_t>self._ahead_frames.size():
            i = self._num_handed_over
            # Whatever becomes of it.
            self._num_handed_over += 1
            state = self._hand_over_one(
                <TopicCodec>self._ahead_codecs[i],
                <bytes>self._ahead_messages[i],
                self._ahead_frames[i].frame,
                self._ahead_frames[i].length,
                deadline,
            )
            if state != NEED_MORE:
                break
        if self._num_handed_over == <Py_ssize_t>self._ahead_frames.size():
            self._forget_ahead()
        return state

    cdef int _forget_ahead(self) except -1:
        self._num_handed_over = 0
        self._ahead_codecs.clear()
        self._ahead_messages.clear()
        self._ahead_frames.clear()
        return 0

    cdef int _hand_over_one(
        self, TopicCodec codec, bytes message, const char* frame, Py_ssize_t length, double deadline
    ) except -1:
        cdef int state = NEED_MORE
        self._count(length)
        if message is None:
            state = self._take(frame, length, True, False)
        elif not self._publish(codec, message, frame, length, False):
            state = QUEUE_FULL
        return self._pause(deadline) if state == NEED_MORE and self._called_back else state

    cdef void _count(self, Py_ssize_t length) noexcept:
        self.frames += 1
        self.num_bytes += length

    cdef int _pause(self, double deadline) noexcept:
        """Tell whether to return now that a callback has run."""
        self._called_back = False
        if self._stopped:
            return STOPPED
        return YIELDED if monotonic_time() >= deadline else NEED_MORE

    def finish_handler(self) -> None:
        """Say that a handler has dealt with `pending_frame` itself, if it is still pending."""
        if self.pending_frame is None:
            return
        self.handled += 1
        self._forget_pending()

    cdef void _forget_pending(self) noexcept:
        self.pending_frame = None
        self.pending_codec = None
        self._pending_data = None

    def load_pending(self) -> dict[str, object]:
        """Return `pending_frame` as `json.loads` does."""
        cdef dict data = self._pending_data
        self._pending_data = None
        return json.loads(self.pending_frame) if data is None else data

    @property
    def pending(self) -> int:
        """Frames that wait for something: 0 or 1."""
        return int(
            self._is_preprocessing
            or self.pending_frame is not None
            or self._held_frame is not None
            or self._held_message is not None
        )

    cdef int _refuse_preprocessor(self, str name) except -1:
        if self._is_preprocessing:
            raise RuntimeError(f"{name} was called by a preprocessor, whose frame is not done")
        return 0

    def drop_pending(self, error: BaseException) -> None:
        """Drop the frame that waits for something, if one does; RuntimeError if a preprocessor calls this."""
        self._refuse_preprocessor("drop_pending")
        cdef bytes frame = self.pending_frame or self._held_frame or self._held_source or b""
        if not self.pending:
            return
        self._forget_pending()
        self._held_frame = None
        self._held_message = None
        self._held_source = None
        self._drop(error, frame, len(frame))

    def drop_all(self, buffer: FrameBuffer, error: BaseException, double deadline=INFINITY) -> bool:
        """Drop the frame that waits for something, and all complete ones.

        Returns
        -------
        is_done : `bool`
            False if the deadline (as of `process`) came first.

        Raises
        ------
        RuntimeError
            If a preprocessor calls this.
        """
        cdef const char* frame = NULL
        cdef Py_ssize_t length = 0
        cdef int code
        cdef View ahead
        self._refuse_preprocessor("drop_all")
        self.drop_pending(error)
        while monotonic_time() < deadline:
            if self._num_handed_over < <Py_ssize_t>self._ahead_frames.size():
                ahead = self._ahead_frames[self._num_handed_over]
                self._num_handed_over += 1
                self._drop_unread(1, error, ahead.frame, ahead.length)
                continue
            self._forget_ahead()
            code = buffer.next_frame_view(<const unsigned char**>&frame, &length, False)
            if code == 0:
                return True
            self._drop_unread(code, error, frame, length)
        return False

    def drop_rest(self, buffer: FrameBuffer, error: BaseException) -> None:
        """Drop the beginning of a frame that will not be completed, if there is one.

        To be called when `process` has taken all complete ones.
        """
        cdef const char* frame = NULL
        cdef Py_ssize_t length = 0
        cdef int code = buffer.rest_view(<const unsigned char**>&frame, &length)
        if code != 0:
            self._drop_unread(code, error, frame, length)

    cdef int _drop_unread(self, int code, object error, const char* frame, Py_ssize_t length) except -1:
        """Count and drop a frame that was not dealt with."""
        self._count(length)
        return self._drop(error, frame, min(length, FRAME_HEAD) if code == 2 else length)

    cdef int _take(self, const char* frame, Py_ssize_t length, bint ask_clock, bint is_tried) except -1:
        """Publish, hold or drop one frame; ``is_tried``: `_take_ahead` could not."""
        cdef TopicCodec codec = self._guess(frame, length)
        cdef JsonScanner* scanner = &self._scanner
        cdef int outcome = OUTCOME_UNEXPECTED
        cdef bint clock_wanted = ask_clock and self.clock_is_due
        cdef dict data = None
        cdef int state
        if codec is not None and not (clock_wanted and codec.reports_clock):
            if codec.is_fused:
                if not is_tried:
                    outcome = codec.decode_by_template(scanner, frame, length)
            else:
                data = codec.load_by_template(scanner, frame, length)
                if data is not None:
                    state = self._hand_out(codec, frame, length, data)
                    if codec.news is not None:
                        self._tell_news(codec)
                    return state
        if outcome == OUTCOME_UNEXPECTED:
            if scan_frame(scanner, frame, length) != OUTCOME_OK:
                return self._drop(scan_error(scanner, frame, length), frame, length)
            try:
                topic_id = find_topic_id(scanner)
            except FrameError as error:
                return self._drop(error, frame, length)
            codec = self.codecs.get(topic_id)
            if codec is None:
                self.unsupported += 1
                if topic_id in self.unsupported_by_id:
                    self.unsupported_by_id[topic_id] += 1
                elif len(self.unsupported_by_id) < MAX_UNSUPPORTED:
                    self.unsupported_by_id[topic_id] = 1
                    self._called_back = True
                    self.on_unsupported(topic_id)
                return NEED_MORE
            if clock_wanted and codec.reports_clock and self._read_clock():
                self._held_frame = frame[:length]
                return NEED_CLOCK
            if not codec.is_fused:
                data = codec.load_members(scanner, frame, length)
                state = self._hand_out(codec, frame, length, data)
            else:
                outcome = codec.decode_members(scanner, frame, length)
                if outcome == OUTCOME_OK:
                    state = self._send(codec, frame, length, False)
                else:
                    state = self._drop(codec.error(outcome, scanner, frame), frame, length)
            if codec.news is not None:
                self._tell_news(codec)
            return state
        return self._send(codec, frame, length, False)

    cdef int _send(
        self, TopicCodec codec, const char* frame, Py_ssize_t length, bint is_preprocessed
    ) except -1:
        if self._publish(codec, self._encode(codec), frame, length, is_preprocessed):
            return NEED_MORE
        return QUEUE_FULL

    cdef int _hand_out(self, TopicCodec codec, const char* frame, Py_ssize_t length, dict data) except -1:
        """Give a frame's dict (None: that of json.loads) to the topic's preprocessor, or to its handler."""
        if codec.preprocessor is not None:
            return self._preprocess(codec, frame, length, data)
        self.pending_frame = frame[:length]
        self.pending_codec = codec
        self._pending_data = data
        return NEED_HANDLER

    cdef int _preprocess(
        self, TopicCodec codec, const char* frame, Py_ssize_t length, dict data
    ) except -1:
        """Publish a frame with what its preprocessor leaves in the dict."""
        cdef bint is_good = False
        self._called_back = True
        self._is_preprocessing = True
        try:
            self.calls.begin_call(codec.description)
            if data is None:
                data = json.loads(frame[:length])
            result = codec.preprocessor(data)
            if result is not None and self.on_result is not None:
                self.on_result(data, result)
            codec.gather(data)
            is_good = True
        # Not a cancellation of our task: it cannot come while we do not wait.
        except BaseException as error:
            self._is_preprocessing = False
            self._drop(error, frame, length)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
        finally:
            try:
                self.calls.end_call()
            except BaseException as error:
                # If it was a good one, it has not been counted.
                self._is_preprocessing = False
                if is_good:
                    self._drop(error, frame, length)
                raise
            self._is_preprocessing = False
        return self._send(codec, frame, length, True) if is_good else NEED_MORE

    cdef int _tell_news(self, TopicCodec codec) except -1:
        """Tell of members that are new, missing or back; the frame has been dealt with.

        If a callback raises, the next call of `process` tells the rest first.
        """
        self._called_back = True
        self._untold_codec = codec
        while codec.news:
            name, is_missing = codec.news.pop(0)
            callback = self.on_unknown_member if is_missing is None else self.on_missing_member
            if callback is None:
                continue
            if is_missing is None:
                callback(codec.topic_id, name)
            else:
                callback(codec.topic_id, name, is_missing)
        self._untold_codec = None
        codec.news = None
        return 0

    cdef TopicCodec _guess(self, const char* frame, Py_ssize_t length):
        """The codec of the topic whose ID the frame seems to have.

        Templates are then compared byte for byte, so a wrong guess
        costs time only.
        """
        cdef const char* end = frame + length
        cdef const char* p
        cdef int topic_id = 0
        if length > 16 and memcmp(frame + 1, TOPIC_ID_KEY, TOPIC_ID_KEY_LENGTH) == 0:
            p = frame + 1
        else:
            p = <const char*>memmem(frame, length, TOPIC_ID_KEY, TOPIC_ID_KEY_LENGTH)
            if p == NULL:
                return None
        p += TOPIC_ID_KEY_LENGTH
        while p < end and (p[0] == c" " or p[0] == c":"):
            p += 1
        while p < end and c"0" <= p[0] <= c"9":
            topic_id = topic_id * 10 + (p[0] - c"0")
            if topic_id > MAX_INDEXED_TOPIC_ID:
                return None
            p += 1
        return <TopicCodec>self._by_id[topic_id]

    cdef bint _read_clock(self) except -1:
        """Does the scanned frame tell the TMA's time? Then note it."""
        cdef Py_ssize_t i = find_member(&self._scanner, TIMESTAMP, TIMESTAMP_LENGTH)
        cdef Member* member
        if i < 0:
            return False
        member = &self._scanner.members[i]
        if member.type != JSON_INTEGER and member.type != JSON_REAL:
            return False
        self.pending_clock = as_double(member.value, member.value_end)
        if not isfinite(self.pending_clock):
            return False
        self.clock_is_due = False
        return True

    cdef bytes _encode(self, TopicCodec codec):
        cdef timespec now
        cdef double seconds
        clock_gettime(self._clock, &now)
        seconds = <double>now.tv_sec + 1e-9 * <double>now.tv_nsec
        if self._clock_is_tai:
            return codec.record.encode_values(seconds, seconds - self._tai_minus_utc)
        return codec.record.encode_values(seconds + self._tai_minus_utc, seconds)

    cdef bint _publish(
        self, TopicCodec codec, bytes message, const char* frame, Py_ssize_t length, bint is_preprocessed
    ) except -1:
        """Hand a frame's message to the producer; False if its queue is full, then the message is held.

        ``is_preprocessed``: it went through a dict. The topic may take another path since.
        """
        self._held_message = None
        self._held_source = None
        try:
            self.produce(codec.kafka_topic, message, b"", 0, self.on_delivery)
        except BufferError:
            self._held_message = message
            self._held_source = frame[:length]
            self._held_codec = codec
            self._held_is_preprocessed = is_preprocessed
            return False
        # Not a cancellation of our task: it cannot come while we do not wait.
        except BaseException as error:
            text = show(error)
            # By its name, so that the core needs no Kafka library.
            refusal = FrameError(DropReason.of_refusal(text), text, topic_id=codec.topic_id)
            refusal.__cause__ = error
            self._drop(refusal, frame, length)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            return True
        self.published += 1
        self.preprocessed += is_preprocessed
        return True

    cdef int _drop(self, object error, const char* frame, Py_ssize_t length) except -1:
        """Count and report a dropped frame."""
        self.dropped[DropReason.of_error(error)] += 1
        self._called_back = True
        if self.on_drop(error, frame[:min(length, self.max_reported)]):
            self._stopped = True
        return NEED_MORE
