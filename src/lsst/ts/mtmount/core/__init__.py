"""The compiled core: moves bytes, knows nothing of sockets, Kafka or logging.

The rest of the package imports the core from here and from nowhere else.
There is no pure-Python fallback: a core that was not built is an error.
"""

try:
    from .avro_record import Record
    from .call_clock import CallClock
    from .column_decoder import ColumnDecoder
    from .delivery_counter import DeliveryCounter
    from .drop_reason import KAFKA_REASONS, UNDECODABLE, DropReason, FrameError
    from .frame_buffer import FrameBuffer
    from .frame_classifier import (
        FRAME_DECODABLE,
        FRAME_TOO_LONG,
        FRAME_UNDECODABLE,
        FRAME_UNFINISHED,
        FrameClassifier,
    )
    from .frame_processor import FrameProcessor
    from .functors import ArrayFunctor, ScalarFunctor, member_names
    from .processor_state import ProcessorState
    from .structs import StructArrayReader, encode_structs, make_dtype, read_struct
    from .topic_codec import TopicCodec
except ModuleNotFoundError as _error:
    raise ImportError(
        f"the compiled core of lsst.ts.mtmount is missing ({_error}); build it with 'pip install .'"
    ) from _error

__all__ = [
    "FRAME_DECODABLE",
    "FRAME_TOO_LONG",
    "FRAME_UNDECODABLE",
    "FRAME_UNFINISHED",
    "KAFKA_REASONS",
    "UNDECODABLE",
    "ArrayFunctor",
    "CallClock",
    "ColumnDecoder",
    "DeliveryCounter",
    "DropReason",
    "FrameBuffer",
    "FrameClassifier",
    "FrameError",
    "FrameProcessor",
    "ProcessorState",
    "Record",
    "ScalarFunctor",
    "StructArrayReader",
    "TopicCodec",
    "encode_structs",
    "make_dtype",
    "member_names",
    "read_struct",
]
