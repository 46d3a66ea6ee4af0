"""Running all checks, side by side and within a time limit."""

import argparse
import functools
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator

from ...resilience.escape import describe_error
from ...sal import InterfaceError
from ...sal.interface import Interface
from ...sal.kafka_settings import CLIENT_FILE_VARIABLE, PRODUCER_FILE_VARIABLE, KafkaSettings, SettingsError
from ...tma_interface import TmaInterface
from .finding import Finding, failed, ok, print_findings
from .frame_contents import FrameCheck
from .kafka import check_kafka
from .local import check_clock, check_names, check_sal_interface, describe_tma_interface
from .options import check_options
from .registry import check_registry
from .tma_arrivals import check_tma

__all__ = ["run_health_check"]

#: All checks end within this [s].
TIME_LIMIT = 28.0


class _Group:
    """Findings of checks that follow each other, in a thread of their own."""

    def __init__(self, name: str, check: Callable[[], Iterable[Finding]]) -> None:
        self.findings: list[Finding] = []
        self._name = name
        self._check = check
        self._ended = threading.Event()
        threading.Thread(target=self._run, name=f"check {name}", daemon=True).start()

    def _run(self) -> None:
        try:
            for finding in self._check():
                self.findings.append(finding)  # each counts, if the next one hangs
        except Exception as error:
            self.findings.append(
                failed(self._name, f"the check itself failed: {describe_error(error)}", "report this")
            )
        finally:
            self._ended.set()

    def wait(self, deadline: float) -> list[Finding]:
        """Return what was found by then."""
        if not self._ended.wait(max(deadline - time.monotonic(), 0)):
            return [
                *self.findings,
                failed(self._name, f"no end within {TIME_LIMIT:g} s", "is a server hanging?"),
            ]
        return self.findings


def run_health_check(
    args: argparse.Namespace, tma_interface: TmaInterface, preprocessed: Collection[str] = ()
) -> int:
    """Check all that a run with these options needs, and print one line for each finding.

    ``preprocessed`` are the SAL topics whose frames a subclass of the client changes. Return
    the exit status: 1 if anything failed, else 0.
    """
    return print_findings(list(find_all(args, tma_interface, preprocessed)), as_json=args.json)


def find_all(
    args: argparse.Namespace, tma_interface: TmaInterface, preprocessed: Collection[str]
) -> Iterator[Finding]:
    """Run all checks; yield what they find, in the order of a start."""
    deadline = time.monotonic() + TIME_LIMIT
    yield from describe_tma_interface(tma_interface)
    interface: Interface | None = None
    try:
        interface, findings = check_sal_interface(tma_interface)
    except InterfaceError as error:
        findings = [failed("SAL interface", str(error), "Kafka and registry are not checked without")]
    offsets: list[float] = []
    frames = None if interface is None else FrameCheck(interface, preprocessed)
    check_frames = functools.partial(
        check_tma,
        *(args.host, args.port, tma_interface, offsets, frames),
        accept_incomplete=args.accept_incomplete,
    )
    tma = _Group("TMA", check_frames)
    options = _Group("options", functools.partial(check_options, args))
    try:
        settings = KafkaSettings.from_environment()
    except SettingsError as error:
        yield failed("settings", str(error), "Kafka and registry are not checked without")
        yield from findings
    else:
        yield ok("settings", f"{settings.broker_addr}, {settings.subname}")
        for variable in (PRODUCER_FILE_VARIABLE, CLIENT_FILE_VARIABLE):
            if path := os.environ.get(variable):
                yield ok(variable, f"{path} is read")
        yield from findings
        if interface is not None:
            yield from _check_servers(args.host, settings, interface, deadline)
    yield from tma.wait(deadline)
    yield from check_clock(offsets)
    yield from options.wait(deadline)


def _check_servers(
    tma_host: str, settings: KafkaSettings, interface: Interface, deadline: float
) -> Iterator[Finding]:
    groups = [
        _Group("names", lambda: check_names(settings, tma_host)),
        _Group("Kafka", lambda: check_kafka(settings, interface)),
        _Group("schema registry", lambda: check_registry(settings, interface)),
    ]
    for group in groups:
        yield from group.wait(deadline)
