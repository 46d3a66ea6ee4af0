"""Which interface a program or a client uses: an argument, an environment variable, or the packaged one."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from ..resilience.escape import escape
from .description import TmaInterface, TmaInterfaceError
from .differences import compare_tma_interfaces
from .load import load_packaged_tma_interface, load_tma_interface

__all__ = ["TMA_INTERFACE_VARIABLE", "choose_tma_interface", "describe_choice", "log_choice"]

#: Environment variable that names a file of the TMA's interface; empty is unset.
TMA_INTERFACE_VARIABLE = "MTMOUNT_TMA_INTERFACE"

#: How many topics are told one by one at the start.
MAX_TOLD = 50

#: How much of each of these lines [characters].
MAX_LINE = 1000


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
