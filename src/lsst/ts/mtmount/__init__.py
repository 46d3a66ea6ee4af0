"""High-throughput telemetry client of the Simonyi Survey Telescope's mount (TMA).

A drop-in replacement of the observatory's own telemetry client: the same
import, class, program and Kafka messages.
"""

from ._version import __version__
from .commands.run_client import run_mtmount_telemetry_client
from .constants import CLOCK_OFFSET_EVENT_INTERVAL, LINE_TERMINATOR, TELEMETRY_PORT, TELEMETRY_TIMEOUT
from .core import DropReason, FrameError
from .pipeline.counters import Counters
from .pipeline.topic_handlers import TelemetryTopicHandler
from .program.other_copies import warn_of_shadowing
from .tcp.client import Client
from .telemetry_client import TelemetryClient
from .telemetry_map import RAW_TELEMETRY_MAP, TELEMETRY_MAP, TelemetryTopicId

warn_of_shadowing()

__all__ = [
    "CLOCK_OFFSET_EVENT_INTERVAL",
    "LINE_TERMINATOR",
    "RAW_TELEMETRY_MAP",
    "TELEMETRY_MAP",
    "TELEMETRY_PORT",
    "TELEMETRY_TIMEOUT",
    "Client",
    "Counters",
    "DropReason",
    "FrameError",
    "TelemetryClient",
    "TelemetryTopicHandler",
    "TelemetryTopicId",
    "__version__",
    "run_mtmount_telemetry_client",
]
