"""Checking a class's arguments, with errors that name the argument."""

import inspect
import math
import os
from typing import Any

__all__ = ["check_bool", "check_callable", "check_path", "check_result", "check_seconds"]


def check_bool(name: str, value: object) -> bool:
    """Return a bool; TypeError for anything else, as ``"no"`` would count as true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected a bool, got {value!r}")
    return value


def check_seconds(name: str, value: Any) -> float:
    """Return what `float` makes of a value; TypeError if that is no number, ValueError if below 0."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if math.isnan(seconds):
        raise TypeError(f"{name}: expected a number of seconds, got {value!r}")
    if seconds < 0:
        raise ValueError(f"{name}: expected 0 s or more, got {value!r}")
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


def check_callable(name: str, function: object) -> None:
    """Raise TypeError for what cannot be called, or would not be run: a coroutine or generator function."""
    if not callable(function):
        raise TypeError(f"{name}: expected a callable, got {function!r}")
    for called in (function, getattr(function, "__call__", None)):  # noqa: B004
        for is_wrong in (
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        ):
            if is_wrong(called):
                raise TypeError(
                    f"{name}: expected neither a coroutine nor a generator function, got {function!r}"
                )


def check_result(name: str, result: object) -> None:
    """Raise TypeError if a function has returned what nobody would run, a coroutine or a generator."""
    if inspect.iscoroutine(result) or inspect.isgenerator(result):
        result.close()
    elif not inspect.isasyncgen(result):
        return
    raise TypeError(f"expected a {name} that works at once, got one that returns a {type(result).__name__}")
