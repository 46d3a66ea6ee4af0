"""The SAL backend that serves the client: this package's own, or the installed salobj."""

import asyncio
import importlib.util
import logging
from typing import Any, Protocol

from ..resilience.guarded_log import guard_logger
from ..tma_interface import TmaInterface, load_packaged_tma_interface
from .avro_schema import COMPONENT
from .controller import Controller
from .publisher import KafkaPublisher
from .salobj_backend import PACKAGE, SalobjBackend, SalobjError, import_salobj
from .tai import TaiClock

__all__ = ["BACKENDS", "SalBackend", "describe_backend", "make_sal_backend"]

#: Names of the SAL backends. ``auto``: salobj where it is installed.
BACKENDS = ("auto", "salobj", "builtin")


class SalBackend(Protocol):
    """What the telemetry client needs of SAL, whoever provides it.

    It starts when it is made, in a running event loop.
    """

    log: logging.Logger  #: The controller's logger
    publisher: KafkaPublisher  #: Where telemetry goes
    clock: TaiClock
    tma_interface: TmaInterface  #: What the TMA sends, its members in the fields of the SAL topics
    start_task: asyncio.Task[None]  #: Done when messages can be published; it raises what prevents that

    @property
    def controller(self) -> Any:
        """A `Controller`, or salobj's. For users: the life cycle, and topics as ``tel_...``, ``evt_...``."""

    async def write_event(self, name: str, **fields: Any) -> None:
        """Set an event's fields, by names without ``evt_``, and write it if a value changed.

        What the SAL interface lacks, event or field, is passed over: there
        was a warning at the start.
        """

    def note_end(self) -> None:
        """Take note that the client begins to end; `close` follows."""

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109
        """Publish what is queued, at most for ``timeout`` [s], and close the controller."""


def make_sal_backend(backend: str = "auto", tma_interface: TmaInterface | None = None) -> SalBackend:
    """Make one of `BACKENDS`; it starts at once. Raises as `Controller` does.

    salobj and what it imports take some 100 MB: it is looked for first, and
    imported only to be used. `ValueError` if there is no such backend, `SalobjError` if
    salobj is asked for by name and cannot be used. With ``auto``, the built-in backend
    is used then, and a warning says why.
    """
    _check(backend)
    sent = load_packaged_tma_interface() if tma_interface is None else tma_interface
    log = guard_logger(logging.getLogger(COMPONENT))
    reason = "as was asked for"
    if backend == "salobj" or (backend == "auto" and _is_salobj_installed()):
        try:
            return SalobjBackend(import_salobj(), sent)
        except SalobjError as error:
            if backend == "salobj":
                raise
            log.warning(f"{error}; the built-in SAL backend is used instead")
            reason = f"{PACKAGE} cannot be used"
    elif backend == "auto":
        reason = f"{PACKAGE} is not installed"
    builtin = Controller(tma_interface=sent)
    log.info(f"SAL backend: builtin ({reason})")
    return builtin


def describe_backend(backend: str = "auto") -> str:
    """Tell what a name of a SAL backend means here, without making it. Raises as `make_sal_backend`."""
    _check(backend)
    if backend == "builtin":
        return "builtin"
    if backend == "auto" and not _is_salobj_installed():
        return f"builtin ({PACKAGE} is not installed)"
    try:
        salobj = import_salobj()
    except SalobjError as error:
        if backend == "salobj":
            raise
        return f"builtin ({error})"
    return f"{PACKAGE} {getattr(salobj, '__version__', '?')} in {salobj.__file__}"


def _check(backend: str) -> None:
    if backend not in BACKENDS:
        raise ValueError(f"expected a SAL backend of {', '.join(map(repr, BACKENDS))}, got {backend!r}")


def _is_salobj_installed() -> bool:
    try:
        return importlib.util.find_spec(PACKAGE) is not None
    except ModuleNotFoundError:
        return False
