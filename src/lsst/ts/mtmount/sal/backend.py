"""Choice of the SAL side."""

from __future__ import annotations

from .controller import Controller

__all__ = ["BACKENDS", "make_controller"]

#: Names of the SAL sides. ``auto``: the best one that is installed.
BACKENDS = ("auto", "builtin")


def make_controller(backend: str = "auto") -> Controller:
    """Make the controller of a SAL side; it starts at once.

    Parameters
    ----------
    backend
        One of `BACKENDS`.

    Raises
    ------
    ValueError
        If there is no such SAL side.
    SettingsError, InterfaceError
        See `Controller`.
    """
    if backend not in BACKENDS:
        raise ValueError(f"There is no SAL side {backend!r}, only {', '.join(BACKENDS)}")
    return Controller()
