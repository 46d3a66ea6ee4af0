"""Checking the types of a class's arguments, with errors that name the argument."""

import math
import os
from typing import Any

__all__ = ["check_bool", "check_path", "check_seconds"]


def check_bool(name: str, value: object) -> bool:
    """Return a bool; TypeError for anything else, as ``"no"`` would count as true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected a bool, got {value!r}")
    return value


def check_seconds(name: str, value: Any) -> float:
    """Return what `float` makes of a value; TypeError if that is nothing, or not a number."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if math.isnan(seconds):
        raise TypeError(f"{name}: expected a number of seconds, got {value!r}")
    return seconds


def check_path(name: str, value: Any) -> str:
    """Return a path as a `str`; TypeError if it is none, ValueError if it is empty."""
    try:
        path = os.fsdecode(value)
    except TypeError:
        raise TypeError(f"{name}: expected a path, got {value!r}") from None
    if not path:
        raise ValueError(f"{name}: expected a path, got {value!r}")
    return path
