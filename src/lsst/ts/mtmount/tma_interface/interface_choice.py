"""Which interface is used: that of a file that an argument or a variable names, or the packaged one."""

import codecs
import logging
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ..resilience.escape import escape
from ..resilience.input_file import read_file
from .configuration_file import ENCODING, parse_configuration
from .description import TmaInterface, TmaInterfaceError
from .differences import compare_tma_interfaces
from .table import is_table, parse_table

__all__ = [
    "TMA_INTERFACE_VARIABLE",
    "choose_tma_interface",
    "describe_choice",
    "load_packaged_tma_interface",
    "load_tma_interface",
    "log_choice",
]

#: Environment variable that names a file of the TMA's interface; empty is unset.
TMA_INTERFACE_VARIABLE = "MTMOUNT_TMA_INTERFACE"

#: How many topics are told one by one at the start.
MAX_TOLD = 50

#: How much of each of these lines [characters].
MAX_LINE = 1000

PACKAGED_TABLE = Path(__file__).parent / "packaged.csv"

#: Longest file [bytes]; the TMA's own has 0.4 MB.
MAX_SIZE = 16 << 20


@cache
def load_packaged_tma_interface() -> TmaInterface:
    """Load the interface that this package was made for."""
    return parse_table(PACKAGED_TABLE.read_text(encoding="ascii"), "packaged tables")


def load_tma_interface(path: str | bytes | os.PathLike[str]) -> TmaInterface:
    """Load an interface from a file.

    That is the TMA's own (``TelemetryTopicsConfiguration.ini``), or a table that
    ``compare_mtmount_interfaces --export`` wrote. `TmaInterfaceError` if it cannot be read, is
    not a regular file, is longer than 16 MiB, has over 1,000 topics or 100,000 members, or has a fault: the
    text tells where, and what was expected.
    """
    source = os.fsdecode(path)
    try:
        data = read_file(source, MAX_SIZE).removeprefix(codecs.BOM_UTF8)
        text = data.decode(ENCODING)
    except OSError as error:
        raise TmaInterfaceError(f"{source}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TmaInterfaceError(
            f"{source}: expected {ENCODING} text, got the byte 0x{data[error.start]:02x} "
            f"at offset {error.start}"
        ) from None
    if is_table(text):
        return parse_table(text, source)
    return parse_configuration(text, source, load_packaged_tma_interface().by_name)


def choose_tma_interface(
    choice: TmaInterface | str | bytes | os.PathLike[str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> TmaInterface:
    """Choose the interface to use: one that is made, or a file for `load_tma_interface`.

    None: the file that ``MTMOUNT_TMA_INTERFACE`` names, or else the packaged interface.
    `TmaInterfaceError` if the file cannot be used; the text names the variable where that chose
    it. `TypeError` if the choice is none of these.
    """
    if isinstance(choice, TmaInterface):
        return choice
    if choice is not None and not isinstance(choice, str | bytes | os.PathLike):
        raise TypeError(f"tma_interface: expected a TmaInterface or a path, got {choice!r}")
    if choice:
        return load_tma_interface(choice)
    path = environ.get(TMA_INTERFACE_VARIABLE)
    if not path:
        return load_packaged_tma_interface()
    try:
        return load_tma_interface(path)
    except TmaInterfaceError as error:
        raise TmaInterfaceError(f"{TMA_INTERFACE_VARIABLE}: {error}") from None


def describe_choice(interface: TmaInterface) -> list[tuple[int, str]]:
    """Describe which interface is used, and how it differs from the packaged one: log levels and texts.

    There is one line a topic at most.
    """
    lines = [(logging.INFO, f"{escape(interface.source)} ({interface.describe_size()})")]
    lines += [(logging.WARNING, remark) for remark in interface.remarks[:MAX_TOLD]]
    differences: dict[str, list[str]] = {}
    for difference in compare_tma_interfaces(interface, load_packaged_tma_interface()):
        differences.setdefault(difference.topic, []).append(difference.what)
    for topic, texts in list(differences.items())[:MAX_TOLD]:
        text = escape(f"{topic} " + "; ".join(texts), MAX_LINE)
        lines.append((logging.INFO, f"unlike the packaged one, {text}"))
    if len(differences) > MAX_TOLD:
        lines.append(
            (logging.INFO, f"{len(differences) - MAX_TOLD} more topics differ from the packaged ones")
        )
    return [(level, f"TMA interface: {text}") for level, text in lines]


def log_choice(interface: TmaInterface, log: logging.Logger) -> None:
    """Log which interface is used; see `describe_choice`."""
    for level, line in describe_choice(interface):
        log.log(level, line)
