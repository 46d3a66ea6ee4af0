"""Metrics for Prometheus, and whether the program lives and is ready, over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from .._version import __version__
from ..constants import LOGGER_NAME
from ..extras import import_extra
from ..pipeline.counters import Counters
from ..resilience.escape import describe_error
from ..resilience.guarded_log import guard_logger
from ..resilience.rate_limited_log import RateLimitedLog

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["MetricsServer", "Snapshot", "check_address"]

#: Its messages reach SAL, as the client's do.
LOG = guard_logger(logging.getLogger(LOGGER_NAME).getChild("metrics"))

#: How often the figures are read, on the event loop [s].
INTERVAL = 0.25

#: A tick of the event loop that is older than this means that it hangs [s].
MAX_TICK_AGE = 5.0

#: A frame that is older than this means that no telemetry comes [s].
MAX_FRAME_AGE = 1.0

#: Kafka that has acknowledged nothing for this long, while messages wait, does not take them [s].
MAX_STALL = 5.0

#: How long a request and its answer may take as a whole [s].
REQUEST_TIMEOUT = 5.0

#: Connections beyond this are closed at once: each takes a descriptor and a thread.
MAX_CONNECTIONS = 16

#: Upper bound of the first line of a request [bytes].
MAX_REQUEST_LINE = 65536


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A client's figures at one moment."""

    counters: Counters  #: What became of every frame
    topic_frames: Mapping[str, int]  #: Messages made of the frames of each topic
    connected: bool  #: Is there a connection to the TMA?
    last_frame_time: float  #: When bytes were received last, by `time.monotonic` [s]; 0 if never
    kafka_stalled: float  #: How long Kafka has acknowledged nothing while messages wait [s]
    clock_offset: float  #: The TMA's clock less ours, NaN if it is not known [s]
    tma_interface: str = ""  #: Where the description of the TMA's interface is from


class MetricsServer:
    """Serves ``/metrics``, ``/healthz`` and ``/readyz`` from threads.

    These read a snapshot that the event loop makes from time to time; they never ask the client.
    `OSError` if the address cannot be listened on; ``port`` is the one that it listens on.
    """

    def __init__(self, host: str, port: int) -> None:
        self._library = import_extra("prometheus_client", "metrics", "--metrics-port")
        registry = self._library.CollectorRegistry(auto_describe=False)
        registry.register(self)
        self._metrics_app = self._library.make_wsgi_app(registry)
        self._snapshot: Snapshot | None = None
        self._tick = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._last_failure = ""
        self._server = _listen(host, port)
        self.port: int = self._server.server_address[1]
        self._server.set_app(self._answer)
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def watch(self, take_snapshot: Callable[[], Snapshot]) -> None:
        """Read the figures now, and again after a while: by a timer, as somebody may cancel all tasks."""
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self.watch, take_snapshot)
        try:
            self._snapshot = take_snapshot()
        except Exception as error:
            # A method of a subclass of the client; the event loop runs all the same.
            if (reason := describe_error(error)) != self._last_failure:
                LOG.error(f"The figures for the metrics cannot be had: {reason}")
            self._last_failure = reason
        self._tick = time.monotonic()

    def close(self) -> None:
        """End serving."""
        if self._timer is not None:
            self._timer.cancel()
        self._server.shutdown()
        self._server.server_close()

    # What follows runs in the server's threads.

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        match environ.get("PATH_INFO"):
            case "/metrics":
                answer: Iterable[bytes] = self._metrics_app(environ, start_response)
                return answer
            case "/healthz":
                reason = self._find_illness()
            case "/readyz":
                reason = self._find_illness() or self._find_obstacle()
            case _:
                start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
                return [b"expected /metrics, /healthz or /readyz\n"]
        status = "503 Service Unavailable" if reason else "200 OK"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{reason or 'ok'}\n".encode()]

    def _find_illness(self) -> str:
        age = time.monotonic() - self._tick
        return f"the event loop has not run for {age:.1f} s" if age >= MAX_TICK_AGE else ""

    def _find_obstacle(self) -> str:
        snapshot = self._snapshot
        if snapshot is None or not snapshot.connected:
            return "not connected to the TMA"
        age = time.monotonic() - snapshot.last_frame_time
        if age >= MAX_FRAME_AGE:
            return f"no telemetry for {age:.1f} s"
        if snapshot.kafka_stalled >= MAX_STALL:
            return f"Kafka has acknowledged nothing for {snapshot.kafka_stalled:.1f} s"
        return ""

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; called by the library for each scrape."""
        core = import_extra("prometheus_client.metrics_core", "metrics", "--metrics-port")
        info = core.InfoMetricFamily("mtmount_build", "This program")
        info.add_metric([], {"version": __version__})
        yield info
        snapshot = self._snapshot
        if snapshot is None:
            return
        counters = snapshot.counters
        for name, text, value in (
            ("mtmount_frames", "Whole frames read", counters.frames),
            ("mtmount_frame_bytes", "Their length, without terminators", counters.bytes),
            ("mtmount_published", "Frames handed to the Kafka producer", counters.published),
            ("mtmount_acknowledged", "Of these, acknowledged by Kafka", counters.acknowledged),
            ("mtmount_failed", "Of these, given up by the producer", counters.failed),
            ("mtmount_unsupported", "Frames of unknown topics", counters.unsupported),
            ("mtmount_recorded_frames", "Frames recorded", counters.recorded_frames),
            (
                "mtmount_recorder_dropped",
                "Frames that are missing in the recording",
                counters.recorder_dropped,
            ),
        ):
            yield core.CounterMetricFamily(name, text, value)
        by_label: tuple[tuple[str, str, str, Mapping[Any, int]], ...] = (
            (
                "mtmount_failed_by_reason",
                "Frames given up by the producer",
                "reason",
                counters.failed_by_reason,
            ),
            ("mtmount_dropped", "Frames not published", "reason", counters.dropped),
            ("mtmount_topic_frames", "Messages made of a topic's frames", "topic", snapshot.topic_frames),
            ("mtmount_incomplete", "Frames taken though members were missing", "topic", counters.incomplete),
            (
                "mtmount_frames_with_unknown_members",
                "Frames with members that the TMA's interface lacks",
                "topic",
                counters.frames_with_unknown_members,
            ),
        )
        for name, text, label, counts in by_label:
            family = core.CounterMetricFamily(name, text, labels=[label])
            for key, count in counts.items():
                family.add_metric([str(key)], count)
            yield family
        age = time.monotonic() - snapshot.last_frame_time if snapshot.last_frame_time else float("inf")
        for name, text, level in (
            ("mtmount_in_flight", "Messages that Kafka has not acknowledged yet", counters.in_flight),
            ("mtmount_connected", "Whether there is a connection to the TMA", int(snapshot.connected)),
            ("mtmount_last_frame_age_seconds", "Time since bytes were received", age),
            (
                "mtmount_kafka_stalled_seconds",
                "Time without an acknowledgement while messages wait",
                snapshot.kafka_stalled,
            ),
            ("mtmount_clock_offset_seconds", "The TMA's clock less this one's", snapshot.clock_offset),
        ):
            yield core.GaugeMetricFamily(name, text, level)


def check_address(host: str, port: int) -> None:
    """Listen as a `MetricsServer` would, and stop at once; `OSError` if that cannot be."""
    _listen(host, port).server_close()


def _listen(host: str, port: int) -> _HttpServer:
    try:
        return _HttpServer((host, port), _RequestHandler)
    except OSError as error:
        where = f"--metrics-host {host}, --metrics-port {port}"
        raise OSError(error.errno, error.strerror, where) from None


class _HttpServer(socketserver.ThreadingMixIn, WSGIServer):
    """Looks up no name of its own, waits for no thread at the end, and bears any client."""

    daemon_threads = True
    block_on_close = False
    # A port in use is an error, also if the other listens on other addresses.
    allow_reuse_port = False

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        # When each connection that is open was accepted, by `time.monotonic` [s].
        self._accepted: dict[Any, float] = {}
        # Whoever reaches the port can make an error: not each is to be a line.
        self._limited_log = RateLimitedLog(LOG, max_lines=1)
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a request in a thread."""
        if len(self._accepted) >= MAX_CONNECTIONS:
            self.shutdown_request(request)
            return
        self._accepted[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        self._accepted.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End connections that take too long; called twice a second."""
        self._limited_log.flush()
        for request, accepted in list(self._accepted.items()):
            if time.monotonic() - accepted >= REQUEST_TIMEOUT:
                # Its thread may have ended it meanwhile.
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent about clients that hang up or are too slow; tell of our own errors."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self._limited_log.log(
                "Failed requests for metrics",
                logging.ERROR,
                f"A request for metrics failed: {describe_error(error or Exception())}",
            )

    def server_close(self) -> None:
        """Stop to listen."""
        super().server_close()
        self._limited_log.flush(force=True)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _RequestHandler(WSGIRequestHandler):
    server: _HttpServer
    timeout = REQUEST_TIMEOUT

    def handle(self) -> None:
        """Answer one request, as the base class does; `_Exchange` is what differs."""
        self.raw_requestline = self.rfile.readline(MAX_REQUEST_LINE + 1)
        if len(self.raw_requestline) > MAX_REQUEST_LINE:
            self.requestline = self.request_version = self.command = ""
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
        elif self.parse_request():
            # The file is one of bytes, whatever its type says.
            exchange = _Exchange(self.rfile, self.wfile, self.get_stderr(), self.get_environ())  # type: ignore[arg-type]
            exchange.request_handler = self
            app = self.server.get_app()
            assert app is not None
            exchange.run(app)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Be silent: a scrape every few seconds is no news."""

    def address_string(self) -> str:
        """Return the address; a name would have to be looked up."""
        return str(self.client_address[0])


class _Exchange(ServerHandler):
    """One request and its answer, of status 500 if that cannot be made."""

    request_handler: _RequestHandler

    def log_exception(self, exc_info: Any) -> None:
        """Log an error; the base class prints a traceback."""
        self.request_handler.server.handle_error(None, None)
