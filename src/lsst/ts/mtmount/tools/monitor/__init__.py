"""A live view of the MTMount telemetry that is in Kafka.

`LiveConsumer` reads what is new and survives what happens to Kafka, `MonitorState`
keeps what is to be seen of it, and `LiveView` or `PlainLines` shows it. The
observatory's ``lsst.ts.salobj`` is not needed, and not used if it is there.
"""

from .consumer import BadMessage, LiveConsumer, MonitorError
from .live_view import LiveView
from .message_list import MessageList
from .monitor_state import MonitorState, Status
from .plain_lines import PlainLines
from .selection import FieldName, Selection, SelectionError

__all__ = [
    "BadMessage",
    "FieldName",
    "LiveConsumer",
    "LiveView",
    "MessageList",
    "MonitorError",
    "MonitorState",
    "PlainLines",
    "Selection",
    "SelectionError",
    "Status",
]
