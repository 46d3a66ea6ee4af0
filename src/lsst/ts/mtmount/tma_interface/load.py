"""Where a description of the TMA's interface comes from: the packaged table, or a file."""

from __future__ import annotations

import codecs
import os
from functools import cache
from pathlib import Path

from ..resilience.input_file import read_file
from .configuration_file import ENCODING, parse_configuration
from .description import TmaInterface, TmaInterfaceError
from .table import is_table, parse_table

__all__ = ["load_packaged_tma_interface", "load_tma_interface"]

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
    not a regular file, is longer than 16 MiB, or has a fault: the text tells where, and what was
    expected.
    """
    source = os.fsdecode(path)
    data = _read_file(source)
    try:
        text = data.decode(ENCODING)
    except UnicodeDecodeError as error:
        raise TmaInterfaceError(
            f"{source}: expected {ENCODING} text, got the byte 0x{data[error.start]:02x} "
            f"at offset {error.start}"
        ) from None
    if is_table(text):
        return parse_table(text, source)
    return parse_configuration(text, source, load_packaged_tma_interface().by_name)


def _read_file(path: str) -> bytes:
    try:
        data = read_file(path, MAX_SIZE)
    except OSError as error:
        raise TmaInterfaceError(f"{path}: {error.strerror}") from None
    return data.removeprefix(codecs.BOM_UTF8)
