"""The TMA's interface as data: which topics it sends, how often, with which members."""

from .description import TICK_MS, TmaInterface, TmaInterfaceError, TmaMember, TmaTopic
from .grouping import fit_to_sal
from .load import load_packaged_tma_interface, load_tma_interface
from .table import format_table

__all__ = [
    "TICK_MS",
    "TmaInterface",
    "TmaInterfaceError",
    "TmaMember",
    "TmaTopic",
    "fit_to_sal",
    "format_table",
    "load_packaged_tma_interface",
    "load_tma_interface",
]
