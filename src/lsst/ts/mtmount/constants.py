"""Constants of the TMA's telemetry protocol and of its client."""

__all__ = [
    "CLOCK_OFFSET_EVENT_INTERVAL",
    "CLOCK_OFFSET_TOPICS",
    "LINE_TERMINATOR",
    "LOGGER_NAME",
    "MAX_FRAME_LENGTH",
    "TELEMETRY_PORT",
    "TELEMETRY_TIMEOUT",
]

#: Port of the TMA's telemetry server.
TELEMETRY_PORT = 50035

#: What ends each frame.
LINE_TERMINATOR = b"\r\n"

#: Longest time between two frames [seconds].
TELEMETRY_TIMEOUT = 1

#: Shortest time between two clockOffset events [seconds].
CLOCK_OFFSET_EVENT_INTERVAL = 1

#: Topics whose time stamps tell the TMA's clock: the TMA sends them in every tick.
CLOCK_OFFSET_TOPICS = frozenset({"azimuth", "azimuthDrives", "elevation", "elevationDrives"})

#: Longest frame that is decoded [bytes]; the TMA's longest is about 19 kB.
MAX_FRAME_LENGTH = 1 << 20

#: The telemetry client's logger: ``--loglevel`` sets its level. All others but the SAL controller's,
#: ``MTMount``, are its children.
LOGGER_NAME = "MTMount.TelemetryClient.TelemetryClient(TelemetryClient)"
