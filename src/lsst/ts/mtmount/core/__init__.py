"""The compiled core: moves bytes, knows nothing of sockets, Kafka or logging.

The rest of the package imports the core from here and from nowhere else.
There is no pure-Python fallback: a core that was not built is an error.
"""

try:
    from .arrays import ArrayFunctor, ScalarFunctor, member_names
    from .avro_record import Record
    from .call_clock import CallClock
    from .codec import TopicCodec
    from .columns import ColumnDecoder
    from .decoder import FrameDecoder
    from .decoder_state import DecoderState
    from .delivery_counter import DeliveryCounter
    from .drop_reason import DropReason, FrameError
    from .frame_splitter import (
        FRAME_DECODABLE,
        FRAME_TOO_LONG,
        FRAME_UNDECODABLE,
        FRAME_UNFINISHED,
        FrameSplitter,
    )
    from .framing import FrameBuffer
    from .structs import StructArrayReader, encode_structs, make_dtype, read_struct
except ModuleNotFoundError as _error:
    raise ImportError(
        f"the compiled core of lsst.ts.mtmount is missing ({_error}); build it with 'pip install .'"
    ) from _error

__all__ = [
    "FRAME_DECODABLE",
    "FRAME_TOO_LONG",
    "FRAME_UNDECODABLE",
    "FRAME_UNFINISHED",
    "ArrayFunctor",
    "CallClock",
    "ColumnDecoder",
    "DecoderState",
    "DeliveryCounter",
    "DropReason",
    "FrameBuffer",
    "FrameDecoder",
    "FrameError",
    "FrameSplitter",
    "Record",
    "ScalarFunctor",
    "StructArrayReader",
    "TopicCodec",
    "encode_structs",
    "make_dtype",
    "member_names",
    "read_struct",
]
