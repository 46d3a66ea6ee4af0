"""Telling which package a program runs."""

import platform
from pathlib import Path

from .._version import __version__
from ..sal import describe_backend
from .other_copies import DISTRIBUTION, find_other_distributions

__all__ = ["describe_program"]


def describe_program(sal_backend: str = "auto") -> str:
    """Tell which package this is, where it is, and what it would publish with; see `describe_backend`."""
    return "\n".join(
        [
            f"{DISTRIBUTION} {__version__}",
            f"package: {Path(__file__).resolve().parent.parent}",
            f"SAL backend: {describe_backend(sal_backend)}",
            f"Python: {platform.python_version()}",
            *(f"warning: there is also {other}" for other in find_other_distributions()),
        ]
    )
