"""Values as text that is safe to show."""

import math
from collections.abc import Mapping
from typing import Any

from ...resilience.escape import escape

__all__ = ["format_value", "format_values"]

#: Floating point numbers from here on are shown with a fixed number of
#: decimals, so that a unix time does not lose its seconds.
MANY_DIGITS = 1e7
TOO_MANY_DIGITS = 1e15

#: Much of a text is shown [characters].
MAX_LENGTH = 200


def format_value(value: Any) -> str:
    """Format a value of a record for people.

    An array of numbers becomes its range.
    """
    if isinstance(value, float):
        return f"{value:.3f}" if MANY_DIGITS <= abs(value) < TOO_MANY_DIGITS else f"{value:.7g}"
    if isinstance(value, list):
        numbers = [number for number in value if isinstance(number, int | float) and math.isfinite(number)]
        if numbers and len(numbers) == len(value):
            return f"{format_value(min(numbers))} to {format_value(max(numbers))}"
    return escape(repr(value), MAX_LENGTH)


def format_values(values: Mapping[str, Any]) -> str:
    """Format the fields of an event for people: ``connected=True``."""
    return " ".join(f"{escape(name)}={format_value(value)}" for name, value in values.items())
