"""Opt-in help against faults: back-off between attempts, and a file of what was dropped."""

from .backoff import Backoff
from .dead_letter import DeadLetterFile

__all__ = ["Backoff", "DeadLetterFile"]
