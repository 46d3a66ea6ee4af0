"""Program ``monitor_mtmount_telemetry``: a live view of the telemetry in Kafka."""

import argparse
import contextlib
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from rich.console import Console

from ..program.arguments import (
    LOOPBACK,
    ArgumentParser,
    add_tma_interface_option,
    check_extra,
    parse_address,
    parse_number,
    print_error,
)
from ..program.event_loop import END_SIGNALS, SignalRelay
from ..sal.avro_schema import COMPONENT
from ..sal.interface import Interface, InterfaceError, load_interface
from ..sal.kafka_settings import KafkaSettings, SettingsError
from ..tma_interface import (
    TmaInterfaceError,
    choose_tma_interface,
    describe_choice,
    load_packaged_tma_interface,
    log_choice,
)
from ..tools.monitor.check import Check
from ..tools.monitor.field_list import list_field_names, list_fields
from ..tools.monitor.live_view import LiveView
from ..tools.monitor.log_tail import LogTail
from ..tools.monitor.monitor_state import MonitorState
from ..tools.monitor.plain_lines import PlainLines
from ..tools.monitor.selection import FieldName, Selection, SelectionError
from ..tools.reader.live_consumer import Arrival, LiveConsumer, SettingsRefusedError
from .shared_options import parse_topics

__all__ = ["main"]

NAME = "monitor_mtmount_telemetry"

#: What is shown if nothing is asked for. In plain lines, as the observatory's
#: program of this name has it.
DEFAULT_TOPICS = ("all",)
DEFAULT_FIELDS = (
    "evt_telemetryConnected.connected",
    "azimuth.actualPosition",
    "elevation.actualPosition",
    "cameraCableWrap.actualPosition",
)
PLAIN_TOPICS = ("azimuth", "cameraCableWrap")
PLAIN_DURATION = 10.0
DEFAULT_SKIP = 9

#: Longest wait for a record [s], so that keys and signals are noticed.
READ_WAIT = 0.1

#: Longest check [s]: the TMA's slowest topic is late after 15 s.
CHECK_DURATION = 20.0


class WebError(RuntimeError):
    """The page for web browsers cannot be served."""


class View(Protocol):
    """What shows the telemetry."""

    is_over: bool

    def show(self, arrivals: Iterable[Arrival]) -> None:
        """Show what was read, after the state has taken it."""

    def show_summary(self, now: float) -> None:
        """Show what was seen, at the end."""


def parse_skip(text: str) -> int:
    """Parse the number of records to leave out."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def parse_duration(text: str) -> float:
    """Parse a time [s]."""
    return parse_number(text, lambda duration: 0 <= duration < math.inf, "a number of seconds from 0")


def parse_fields(text: str) -> list[FieldName]:
    """Parse a comma-separated list of fields."""
    try:
        return [FieldName.parse(name.strip()) for name in text.split(",")]
    except SelectionError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = ArgumentParser(
        NAME,
        description="Show what is written to the topics of MTMount in Kafka from now on: a live view on a "
        "terminal, else a line for each record that is not skipped.",
        epilog="The LSST_... environment variables tell where Kafka is. Keys of the live view: q quits, the "
        "arrow and page keys scroll.",
    )
    parser.add_argument(
        "topics",
        nargs="*",
        help="topics, such as azimuth, evt_clockOffset, or all (default: all; in plain lines: "
        f"{' and '.join(PLAIN_TOPICS)})",
    )
    parser.add_argument(
        "--topics",
        dest="more_topics",
        type=parse_topics,
        default=[],
        metavar="TOPICS",
        help="the same, separated by commas",
    )
    parser.add_argument(
        "-d",
        "--duration",
        type=parse_duration,
        help=f"end after this many seconds (default: never; in plain lines: {PLAIN_DURATION:g})",
    )
    parser.add_argument(
        "-s",
        "--skip",
        type=parse_skip,
        default=DEFAULT_SKIP,
        help="in plain lines: how many records of a topic to skip between two lines (default: %(default)s)",
    )
    parser.add_argument(
        "--fields",
        type=parse_fields,
        action="extend",
        metavar="FIELDS",
        help="fields, such as azimuth.actualPosition,azimuthDrives.current[3] (default: positions of the "
        "axes; in plain lines: all fields)",
    )
    add_tma_interface_option(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--plain", action="store_true", help="write plain lines to a terminal, too")
    how.add_argument("--list", action="store_true", help="list topics and fields with their units, and exit")
    how.add_argument(
        "--check",
        action="store_true",
        help="list what is wrong, and exit: status 0 once all telemetry is live, 1 if "
        f"it is not within DURATION (default: {CHECK_DURATION:g} s)",
    )
    how.add_argument(
        "--web",
        type=parse_address,
        metavar="[HOST:]PORT",
        help=f"serve a page for web browsers instead (default host: {LOOPBACK}); needs the extra [web]",
    )
    return parser


def make_selection(args: argparse.Namespace, interface: Interface, *, is_plain: bool) -> Selection:
    """Make the selection that the command line asks for; `SelectionError` if there is no such thing."""
    topics = [*args.topics, *args.more_topics]
    if is_plain:
        return Selection.make(interface, topics or ([] if args.fields else PLAIN_TOPICS), args.fields or [])
    selection = Selection.make(interface, topics or DEFAULT_TOPICS, args.fields or [])
    if args.fields is not None:
        return selection
    # The default fields are no reason to read more topics.
    fields = [field for field in map(FieldName.parse, DEFAULT_FIELDS) if field.topic in selection.topics]
    return Selection.make(interface, selection.topics, fields)


@contextlib.contextmanager
def log_to(handler: logging.Handler) -> Iterator[None]:
    """Send all that is logged to a handler alone."""
    root = logging.getLogger()
    previous, level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = previous
        root.setLevel(level)


def run(
    consumer: LiveConsumer, state: MonitorState, view: View, duration: float, stop: threading.Event
) -> None:
    """Read and show for ``duration`` [s], until ``stop`` is set or the view is over."""
    deadline = state.start + duration
    while not stop.is_set() and not view.is_over and (left := deadline - time.monotonic()) > 0:
        arrivals = consumer.read(min(READ_WAIT, left))
        state.take(arrivals, time.monotonic())
        state.mark(missing=consumer.missing, unread=consumer.unread)
        state.trouble = consumer.trouble
        view.show(arrivals)


def monitor(
    args: argparse.Namespace, parser: argparse.ArgumentParser, console: Console, stop: threading.Event
) -> int:
    """Run the program until ``stop`` is set; return its exit status.

    `SettingsError` or `SettingsRefusedError` if Kafka cannot be used with these settings,
    `InterfaceError` or `TmaInterfaceError` if an interface cannot be understood, `WebError` if
    the page for web browsers cannot be served.
    """
    # Without TERM nobody knows how to move the cursor.
    is_dumb = console.is_dumb_terminal or not os.environ.get("TERM")
    is_without_screen = args.plain or not console.is_terminal or is_dumb
    is_plain = is_without_screen and not (args.web or args.check or args.list)
    has_screen = not (is_without_screen or args.web or args.check or args.list)
    log_tail = LogTail()
    log = logging.getLogger(NAME)
    with contextlib.ExitStack() as stack:
        stack.enter_context(log_to(log_tail if has_screen else logging.StreamHandler()))
        tma_interface = choose_tma_interface(args.tma_interface)
        interface = load_interface(log, tma_interface=tma_interface)
        try:
            selection = make_selection(args, interface, is_plain=is_plain)
        except SelectionError as error:
            parser.error(str(error))
        if args.list:
            print(*list_fields(interface, selection.topics), sep="\n")
            return 0
        settings = KafkaSettings.from_environment()
        prefix = f"lsst.{settings.subname}.{COMPONENT}."
        consumer = stack.enter_context(
            LiveConsumer(settings, [prefix + name for name in selection.topics], log)
        )
        if has_screen and tma_interface == load_packaged_tma_interface():
            # The rows of the screen are for what is no matter of course: above it, this can be read later.
            with contextlib.suppress(OSError):
                print(*(line for _, line in describe_choice(tma_interface)), sep="\n", file=sys.stderr)
        else:
            log_choice(tma_interface, log)
        state = MonitorState(selection, prefix, time.monotonic(), tma_interface)
        title = f"{COMPONENT} in Kafka: {prefix}* at {settings.broker_addr}"
        view: View
        screen: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        duration = math.inf
        if is_plain:
            view, duration = PlainLines(state, sys.stdout, args.skip), PLAIN_DURATION
        elif args.check:
            view, duration = Check(state, sys.stdout), CHECK_DURATION
        elif args.web:
            view = stack.enter_context(serve_page(state, title, interface, *args.web))
        else:
            view = screen = LiveView(state, log_tail.lines, title, console)
        with screen:
            run(consumer, state, view, duration if args.duration is None else args.duration, stop)
        view.show_summary(time.monotonic())
    return 1 if args.check and not view.is_over else 0


@contextlib.contextmanager
def serve_page(state: MonitorState, title: str, interface: Interface, host: str, port: int) -> Iterator[View]:
    """Serve the page for web browsers, and tell where it is; `WebError` if that cannot be done."""
    from ..tools.monitor.web_view import WebView

    page = WebView(state, title, list_field_names(interface, state.topics), host, port)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(page)
        except OSError as error:
            raise WebError(f"--web {host}:{port}: {error.strerror or error}") from None
        print(f"Open {page.url} in a web browser", flush=True)
        yield page


def main(argv: Sequence[str] | None = None, relay: SignalRelay | None = None) -> int:
    """Run the program ``monitor_mtmount_telemetry`` with these arguments, or those of the command line.

    The relay brings the signals that end the program, if any do. Return the exit status: 0 at the
    end, also after SIGINT, SIGTERM or SIGHUP; 1 if Kafka cannot be used with the settings there are,
    or a check fails.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.web is not None:
        check_extra(parser, "bokeh.server.server", "web", "--web")
    stop = threading.Event()
    if relay is not None:
        relay.subscribe(lambda number: stop.set() if number in END_SIGNALS else None)
    try:
        return monitor(args, parser, Console(), stop)
    except (SettingsError, SettingsRefusedError, InterfaceError, TmaInterfaceError, WebError) as error:
        print_error(NAME, str(error))
        return 1


if __name__ == "__main__":
    import mtmount_telemetry_launcher

    sys.exit(mtmount_telemetry_launcher.run_monitor())
