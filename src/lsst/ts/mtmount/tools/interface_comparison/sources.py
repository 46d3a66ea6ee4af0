"""What is compared: ``tma:FILE``, ``tma:packaged``, ``sal:FOLDER``, ``sal:installed``, ..."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...sal.fields import PRIVATE_FIELDS
from ...sal.interface import InterfaceError, TopicInfo, load_packaged_interface
from ...sal.interface_xml import find_installed_interface, list_missing_files, read_interface
from ...tma_interface import (
    TmaInterface,
    TmaInterfaceError,
    load_packaged_tma_interface,
    load_tma_interface,
)
from .observed_interface import Observation, observe

__all__ = ["Source", "SourceError", "load_source"]


class SourceError(RuntimeError):
    """An interface that cannot be compared."""


@dataclass(frozen=True)
class Source:
    """One of the interfaces that are compared."""

    name: str  #: As on the command line
    tma: TmaInterface | None  #: What the TMA sends, or a map of it
    sal: Mapping[str, TopicInfo]  #: SAL name: telemetry topic, if it is a SAL interface

    observation: Observation | None = None  #: How it was seen, if that was on the wire


def load_source(name: str, duration: float, known: TmaInterface) -> Source:
    """Load an interface by its name on the command line; `SourceError` if it cannot be used.

    That is ``tma:FILE``, ``tma:packaged``, ``sal:FOLDER``, ``sal:installed``,
    ``sal:packaged`` or ``live:HOST:PORT``. To the last it listens for ``duration`` [s],
    and ``known`` gives the SAL names of the topic IDs.
    """
    kind, _, rest = name.partition(":")
    try:
        match kind:
            case "tma" if rest:
                packaged = load_packaged_tma_interface()
                return Source(name, packaged if rest == "packaged" else load_tma_interface(rest), {})
            case "sal" if rest:
                topics = _load_sal(rest)
                return Source(name, None, {topic.sal_name: topic for topic in topics if not topic.is_event})
            case "live":
                host, _, port = rest.rpartition(":")
                if host and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536:
                    tma, observation = asyncio.run(observe(host.strip("[]"), int(port), duration, known))
                    return Source(name, tma, {}, observation)
    except (TmaInterfaceError, InterfaceError) as error:
        raise SourceError(str(error)) from None
    except TimeoutError:
        raise SourceError(f"{name}: no connection in time") from None
    except OSError as error:
        raise SourceError(f"{name}: {error.strerror or error}") from None
    raise SourceError(
        "expected tma:FILE, tma:packaged, sal:FOLDER, sal:installed, sal:packaged or live:HOST:PORT, "
        f"got {name!r}"
    )


def _load_sal(name: str) -> list[TopicInfo]:
    if name == "packaged":
        return list(load_packaged_interface().topics.values())
    folder = find_installed_interface() if name == "installed" else Path(name)
    if folder is None:
        raise SourceError("sal:installed: lsst.ts.xml is not installed")
    if missing := list_missing_files(folder):
        raise SourceError(f"sal:{name}: expected the files {', '.join(missing)} in {folder}, got none")
    return list(read_interface(folder, None, PRIVATE_FIELDS).values())
