"""Notice another distribution's ``lsst.ts.mtmount``; the launcher loads this file before the package.

The observatory's distribution owns a package of this name. Installed into one folder, each overwrites
files of the other. Nothing but the standard library is imported here.
"""

import base64
import hashlib
import importlib.metadata
from pathlib import Path

__all__ = ["WrongCopyError", "check_copy", "find_other_distributions"]

DISTRIBUTION = "ts-mtmount-telemetry"
OTHER_DISTRIBUTIONS = ("ts-mtmount", "lsst-ts-mtmount")
FOLDER = "lsst/ts/mtmount"

#: This package, wherever it is.
LOCATION = Path(__file__).resolve().parent.parent


class WrongCopyError(ImportError):
    """What would run is not this distribution's."""


def find_other_distributions() -> list[str]:
    """Return name, version and place of each other distribution of the package."""
    return [
        f"{other.name} {other.version} in {other.locate_file('')}"
        for name in OTHER_DISTRIBUTIONS
        for other in importlib.metadata.distributions(name=name)
    ]


def check_copy() -> None:
    """Check that another distribution has overwritten none of the package's modules.

    Raises
    ------
    WrongCopyError
        If one has.
    """
    others = [
        other
        for name in OTHER_DISTRIBUTIONS
        for other in importlib.metadata.distributions(name=name)
        if Path(str(other.locate_file(FOLDER))).resolve() == LOCATION
    ]
    if not others:
        return
    ours = next(iter(importlib.metadata.distributions(name=DISTRIBUTION)), None)
    for file in (ours.files or []) if ours is not None else []:
        path = Path(str(file.locate()))
        if file.hash is None or path.suffix != ".py" or path.resolve().parent != LOCATION:
            continue
        digest = hashlib.new(file.hash.mode, path.read_bytes()).digest() if path.is_file() else b""
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
            raise WrongCopyError(
                f"expected {DISTRIBUTION} {ours.version if ours else ''} in {path}, got "
                f"{others[0].name} {others[0].version}: the two cannot share an environment"
            )
