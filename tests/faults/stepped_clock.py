"""A wall clock of one program alone that can be set at any moment."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")

COMPILE_TIMEOUT = 60.0


class SteppedClock:
    """The wall clock of the programs that run with `environment`.

    Parameters
    ----------
    folder : `pathlib.Path`
        Folder for its files.
    """

    def __init__(self, folder: Path) -> None:
        self._library = folder / "stepped_clock.so"
        self._path = folder / "clock_step"
        self.step(0)
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-o", self._library, SOURCE, "-ldl"],
            check=True,
            timeout=COMPILE_TIMEOUT,
        )

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a program that shall have this clock."""
        return {"LD_PRELOAD": str(self._library), "STEPPED_CLOCK": str(self._path)}

    def step(self, seconds: int) -> None:
        """Set the clock to so much more than the computer's [s]; programs see it at once."""
        with self._path.open("r+b" if self._path.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))
