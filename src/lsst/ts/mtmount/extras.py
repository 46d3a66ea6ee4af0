"""Packages that only some options need: imported where they are needed, and nowhere else."""

import importlib
from typing import Any

__all__ = ["MissingExtraError", "import_extra"]


class MissingExtraError(ImportError):
    """An option needs a package that is not installed; the text names the extra to install."""


def import_extra(module: str, extra: str, needed_by: str) -> Any:
    """Import a module of a package that an extra installs; `MissingExtraError` if that fails.

    The error names what needs it, such as ``--record``.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{needed_by} needs the Python package {module.partition('.')[0]} ({error}): "
            f"pip install 'ts-mtmount-telemetry[{extra}]'"
        ) from None
