"""Values of options that say what is simulated."""

from __future__ import annotations

import argparse
import math

__all__ = ["parse_rate", "parse_seed", "parse_topics"]


def parse_rate(text: str) -> float:
    """Parse a multiple of the full rate: a number above 0, or ``max``."""
    if text == "max":
        return math.inf
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0 or 'max', got {text!r}")
    return rate


def parse_seed(text: str) -> int:
    """Parse a seed: an integer of at least 0."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected an integer of at least 0, got {text!r}")
    return int(text)


def parse_topics(text: str) -> list[str]:
    """Parse a comma-separated list of topics."""
    return [topic.strip() for topic in text.split(",")]
