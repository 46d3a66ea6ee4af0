"""Does the TMA send telemetry?"""

import math
import socket
import time
from collections import Counter
from collections.abc import Iterator

from ...constants import LINE_TERMINATOR, MAX_FRAME_LENGTH
from ...core import FRAME_DECODABLE, FrameClassifier
from ...resilience.escape import escape
from ...sal.tai import LEAP_SECOND_TABLE, TaiClock
from ...tma_interface import TmaInterface
from .finding import Finding, count, failed, ok, warning
from .frame_contents import FrameCheck

__all__ = ["check_tma"]

CONNECT_TIMEOUT = 5.0

#: How long frames are counted [s].
LISTEN_TIME = 2.0

#: Topics that are less frequent may be missing in that time [ms].
MAX_PERIOD_MS = 1000

#: How much is shown of what is no telemetry [bytes].
MAX_SHOWN = 40


def check_tma(
    host: str,
    port: int,
    interface: TmaInterface,
    offsets: list[float],
    frames: FrameCheck | None,
    *,
    accept_incomplete: bool,
) -> Iterator[Finding]:
    """Connect as the client would, and count and decode the frames of 2 s.

    ``interface`` is what the TMA should send. ``offsets`` gets the TMA's time less this
    computer's, of each frame [s]. Nothing is decoded if there is no SAL interface.
    """
    subject = f"TMA {host}:{port}"
    LEAP_SECOND_TABLE.load()
    clock = TaiClock()
    classifier = FrameClassifier(LINE_TERMINATOR, MAX_FRAME_LENGTH)
    counts: Counter[int | None] = Counter()
    num_bad = num_unknown = num_bytes = 0
    beginning = b""
    try:
        with socket.create_connection((host, port), CONNECT_TIMEOUT) as sock:
            start = time.monotonic()
            while (left := start + LISTEN_TIME - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    data = sock.recv(65536)
                except TimeoutError:
                    break
                now = clock.now()
                if not data:
                    yield _tell_closed(subject, num_bytes, beginning, is_tma=counts.total() > 0)
                    return
                num_bytes += len(data)
                beginning += data[: MAX_SHOWN + 1 - len(beginning)]
                for kind, topic_id, timestamp, _, frame in classifier.feed(data):
                    if kind != FRAME_DECODABLE:
                        num_bad += 1
                    elif topic_id not in interface.by_id:
                        num_unknown += 1
                    else:
                        assert topic_id is not None
                        counts[topic_id] += 1
                        if frames is not None:
                            frames.decode(topic_id, frame)
                        if math.isfinite(timestamp):
                            offsets.append(timestamp - now)
            elapsed = time.monotonic() - start
    except OSError as error:
        yield failed(subject, f"no connection: {error.strerror or error}", "check --host, --port and the TMA")
        return
    unusable = f"{num_bad} undecodable, {num_unknown} of unknown topics"
    if not counts.total() and (num_bad or num_unknown):
        yield failed(
            subject,
            f"connected (a second connection), but no frame of {LISTEN_TIME:g} s can be used: {unusable}",
            "check --port and --tma-interface",
        )
        return
    if not counts.total() and num_bytes:
        yield failed(
            subject,
            f"connected (a second connection), but no whole frame in {LISTEN_TIME:g} s: "
            f"{_describe_bytes(num_bytes, beginning)}",
            "check --port: is it the TMA's?",
        )
        return
    if not counts.total():
        yield failed(subject, f"connected (a second connection), but no telemetry in {LISTEN_TIME:g} s")
        return
    yield ok(
        subject,
        f"connected (a second connection); {counts.total() / elapsed:.0f} frames/s of {len(counts)} topics",
    )
    if frames is not None:
        yield from frames.tell(accept_incomplete)
    missing = [
        topic.sal_topic
        for topic_id, topic in interface.by_id.items()
        if topic_id not in counts and topic.period_ms <= MAX_PERIOD_MS
    ]
    if missing:
        yield warning(
            "TMA topics", f"none of {', '.join(missing)} in {LISTEN_TIME:g} s", "is that part switched off?"
        )
    if num_bad or num_unknown:
        yield warning("TMA frames", unusable, "these are dropped")


def _tell_closed(subject: str, num_bytes: int, beginning: bytes, *, is_tma: bool) -> Finding:
    if not num_bytes:
        return failed(subject, "it closed the connection", "it may serve one client only: end the other")
    return failed(
        subject,
        f"it closed the connection after {_describe_bytes(num_bytes, beginning)}",
        "" if is_tma else "check --port: is it the TMA's?",
    )


def _describe_bytes(num_bytes: int, beginning: bytes) -> str:
    shown = escape(beginning.decode(errors="backslashreplace"), MAX_SHOWN)
    return f"{count(num_bytes, 'byte', 'bytes')}, starting with '{shown}'"
