"""Values of options that say what is simulated."""

from __future__ import annotations

import argparse
import math

from ..program.arguments import parse_number

__all__ = ["parse_rate", "parse_seed", "parse_topics"]


def parse_rate(text: str) -> float:
    """Parse a multiple of the full rate: a number above 0, or ``max``."""
    if text == "max":
        return math.inf
    return parse_number(text, lambda rate: 0 < rate < math.inf, "a number above 0 or 'max'")


def parse_seed(text: str) -> int:
    """Parse a seed: an integer of at least 0."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise argparse.ArgumentTypeError(f"expected an integer from 0 of up to 20 digits, got {text!r}")
    return int(text)


def parse_topics(text: str) -> list[str]:
    """Parse a comma-separated list of topics."""
    return [topic.strip() for topic in text.split(",")]
