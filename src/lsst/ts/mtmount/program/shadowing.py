"""Watch out for the observatory's own package beside this one."""

import warnings
from pathlib import Path

import lsst.ts

__all__ = ["warn_of_shadowing"]


def warn_of_shadowing() -> None:
    """Warn if another ``lsst.ts.mtmount`` is on the path.

    The observatory's distribution ts_mtmount owns the same package folder,
    so which one an import gets depends on the path. Use a separate
    environment.
    """
    here = Path(__file__).parents[1]
    for folder in lsst.ts.__path__:
        other = Path(folder) / "mtmount"
        if (other / "__init__.py").exists() and other.resolve() != here.resolve():
            warnings.warn(
                f"another lsst.ts.mtmount is at {other}; this one is at {here}. "
                "The two cannot share an environment",
                stacklevel=3,
            )
