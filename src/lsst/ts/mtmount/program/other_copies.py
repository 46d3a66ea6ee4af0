"""Notice other copies of ``lsst.ts.mtmount``; the launcher loads this file before the package.

The observatory's distribution owns a package of this name. Installed into one folder, each overwrites
files of the other; on one path, it depends on the order which of them is imported. Nothing but the
standard library is imported here.
"""

import base64
import hashlib
import importlib.metadata
import warnings
from pathlib import Path

__all__ = [
    "DISTRIBUTION",
    "LOCATION",
    "WrongCopyError",
    "check_copy",
    "find_other_distributions",
    "warn_of_shadowing",
]

DISTRIBUTION = "ts-mtmount-telemetry"
OTHER_DISTRIBUTIONS = ("ts-mtmount", "lsst-ts-mtmount")
FOLDER = "lsst/ts/mtmount"

#: This package, wherever it is.
LOCATION = Path(__file__).resolve().parent.parent


class WrongCopyError(ImportError):
    """What would run is not this distribution's."""


def find_other_distributions() -> list[str]:
    """Return name, version and place of each other distribution of the package."""
    return [f"{other.name} {other.version} in {other.locate_file('')}" for other in _find_others()]


def check_copy() -> None:
    """Raise `WrongCopyError` if another distribution has overwritten one of the package's modules."""
    others = [other for other in _find_others() if Path(str(other.locate_file(FOLDER))).resolve() == LOCATION]
    ours = next(iter(importlib.metadata.distributions(name=DISTRIBUTION)), None)
    if not others or ours is None:
        return
    for file in ours.files or ():
        path = Path(str(file.locate()))
        if file.hash is None or path.suffix != ".py" or path.resolve().parent != LOCATION:
            continue
        digest = hashlib.new(file.hash.mode, path.read_bytes()).digest() if path.is_file() else b""
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
            raise WrongCopyError(
                f"expected {DISTRIBUTION} {ours.version} in {path}, got "
                f"{others[0].name} {others[0].version}: the two cannot share an environment"
            )


def warn_of_shadowing() -> None:
    """Warn, to who imports the package, of another one on the path."""
    import lsst.ts

    for folder in lsst.ts.__path__:
        other = Path(folder) / "mtmount"
        if (other / "__init__.py").exists() and other.resolve() != LOCATION:
            warnings.warn(
                f"another lsst.ts.mtmount is at {other}; this one is at {LOCATION}. "
                "The two cannot share an environment",
                stacklevel=3,
            )


def _find_others() -> list[importlib.metadata.Distribution]:
    return [other for name in OTHER_DISTRIBUTIONS for other in importlib.metadata.distributions(name=name)]
