"""The TMA's interface as data: which topics it sends, how often, with which members."""

from .description import TICK_MS, TmaInterface, TmaInterfaceError, TmaMember, TmaTopic
from .differences import Difference, compare_tma_interfaces, list_names, sum_up_changes
from .grouping import fit_to_sal
from .interface_choice import (
    TMA_INTERFACE_VARIABLE,
    choose_tma_interface,
    describe_choice,
    load_packaged_tma_interface,
    load_tma_interface,
    log_choice,
)
from .table import format_table

__all__ = [
    "TICK_MS",
    "TMA_INTERFACE_VARIABLE",
    "Difference",
    "TmaInterface",
    "TmaInterfaceError",
    "TmaMember",
    "TmaTopic",
    "choose_tma_interface",
    "compare_tma_interfaces",
    "describe_choice",
    "fit_to_sal",
    "format_table",
    "list_names",
    "load_packaged_tma_interface",
    "load_tma_interface",
    "log_choice",
    "sum_up_changes",
]
