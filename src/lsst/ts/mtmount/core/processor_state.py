"""What a processor waits for."""

import enum


class ProcessorState(enum.IntEnum):
    """Why `FrameProcessor.process` returned."""

    #: All complete frames were taken.
    NEED_MORE = 0
    #: The producer's queue is full: call again when there is room.
    QUEUE_FULL = 1
    #: `pending_frame` needs the topic's handler; then call again.
    NEED_HANDLER = 2
    #: `pending_clock` is the TMA's time stamp of the next frame; then call again.
    NEED_CLOCK = 3
    #: The drop callback asked to end.
    STOPPED = 4
    #: Callbacks have taken the time there was: call again soon.
    YIELDED = 5
