"""What can be checked without Kafka: settings, names, interface, clock."""

import logging
import logging.handlers
import socket
import sys
import time
from collections.abc import Iterable, Iterator

from ...resilience.escape import escape
from ...sal.interface import Interface, load_interface
from ...sal.kafka_settings import KafkaSettings
from ...sal.registry_url import RegistryUrl
from ...sal.tai import LEAP_SECOND_TABLE, TaiClock
from ...tma_interface import TmaInterface, describe_choice
from .finding import Finding, failed, ok, warning
from .kafka import list_servers

__all__ = ["check_clock", "check_names", "check_sal_interface", "describe_tma_interface"]

#: More than clocks that are synchronised differ by [s].
MAX_CLOCK_ERROR = 0.5

#: How much is told of the differences of the TMA's interface [characters].
MAX_LINE = 1000
MAX_TOPIC = 100

#: Stands before each difference.
UNLIKE = "unlike the packaged one, "


def describe_tma_interface(interface: TmaInterface) -> Iterator[Finding]:
    """Tell which interface is used, and, in one line, how it differs from the packaged one."""
    subject = "TMA interface"
    texts: dict[int, list[str]] = {logging.INFO: [], logging.WARNING: []}
    for level, line in describe_choice(interface):
        text = line.removeprefix(f"{subject}: ")
        is_difference = text.startswith(UNLIKE)
        texts[level].append(escape(text.removeprefix(UNLIKE), MAX_TOPIC) if is_difference else text)
    for remark in texts[logging.WARNING]:
        yield warning(subject, remark)
    source, *differences = texts[logging.INFO]
    unlike = f"; unlike the packaged one: {'; '.join(differences)}" if differences else ""
    yield ok(subject, escape(source + unlike, MAX_LINE))


def check_sal_interface(tma_interface: TmaInterface) -> tuple[Interface, list[Finding]]:
    """Load the SAL interface; tell how it differs from what is expected."""
    log = logging.Logger("check")
    handler = logging.handlers.BufferingHandler(sys.maxsize)
    log.addHandler(handler)
    interface = load_interface(log, tma_interface=tma_interface)
    findings = [warning("SAL interface", record.getMessage()) for record in handler.buffer]
    return interface, findings or [ok("SAL interface", f"{interface.source}, {len(interface.topics)} topics")]


def check_names(settings: KafkaSettings, tma_host: str) -> Iterator[Finding]:
    """Resolve the names of all servers."""
    registry = RegistryUrl.parse(settings.registry_url)
    hosts = [
        *((f"LSST_KAFKA_BROKER_ADDR {host}", host) for host, _ in list_servers(settings)),
        (f"LSST_SCHEMA_REGISTRY_URL {registry.host}", registry.host),
        (f"--host {tma_host}", tma_host),
    ]
    for subject, host in hosts:
        try:
            addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
        except OSError as error:
            yield failed(subject, error.strerror or str(error), "correct the name, or the name service")
        else:
            yield ok(subject, ", ".join(sorted(addresses)))


def check_clock(tma_offsets: Iterable[float]) -> Iterator[Finding]:
    """Check leap seconds, and this computer's clock against the TMA's time stamps [s]."""
    LEAP_SECOND_TABLE.load()
    clock = TaiClock()
    kernel = round(time.clock_gettime(time.CLOCK_TAI) - time.time())
    if clock.use_clock_tai:
        yield ok("leap seconds", f"TAI - UTC is {clock.tai_minus_utc:g} s, in CLOCK_TAI too")
    else:
        yield ok(
            "leap seconds",
            f"TAI - UTC is {clock.tai_minus_utc:g} s by the table (CLOCK_TAI: {kernel} s, not used)",
        )
    offsets = sorted(tma_offsets)
    if not offsets:
        yield warning("clock", "not compared: the TMA sent no time stamp")
        return
    # The least delayed frame tells most.
    offset = max(offsets)
    if abs(offset) > MAX_CLOCK_ERROR:
        yield warning(
            "clock", f"the TMA's is {offset:+.3f} s from this one", "synchronise both; see clockOffset"
        )
    else:
        yield ok("clock", f"the TMA's is {offset:+.3f} s from this one")
