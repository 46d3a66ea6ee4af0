"""Counts the instructions that the core takes for a frame, and compares with committed figures.

Unlike a time, a count hardly depends on what else the machine does. It does depend
on what made the machine code: Python, compiler, Cython and the C and C++ libraries.
So each set of figures names its environment. In that environment a count may
exceed its figure by 3 per cent. Elsewhere, on the same kind of processor, the most
similar environment's figures are taken, with a margin of 30 per cent. Where there
are no figures at all for the kind of processor, the counts are printed and nothing
is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from lsst.ts.mtmount.core import topic_codec

from .guard_work import WORKS

__all__ = ["count_instructions", "describe_environment", "find_figures", "main"]

FIGURES_PATH = Path(__file__).parent / "guard.json"

#: By how much a count may exceed its figure [per cent]: in the figure's own
#: environment, and in another one.
EXACT_MARGIN = 3.0
LOOSE_MARGIN = 30.0

#: Frames that are counted.
NUM_FRAMES = 10_000

#: Upper bound for one run under valgrind [s].
RUN_TIMEOUT = 600

#: What makes runs repeatable. Of a copy by the processor's "rep movsb", which the C
#: library chooses for many bytes, valgrind counts each byte as an instruction.
RUN_VARIABLES = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "GLIBC_TUNABLES": f"glibc.cpu.x86_rep_movsb_threshold={1 << 30}",
}


@dataclass(frozen=True)
class Figures:
    """Instructions for a frame in one environment.

    Parameters
    ----------
    environment : `dict` [`str`, `str`]
        See `describe_environment`.
    instructions_per_frame : `dict` [`str`, `float`]
        By kind of work.
    """

    environment: dict[str, str]
    instructions_per_frame: dict[str, float]


def describe_environment() -> dict[str, str]:
    """Describe what the machine code was made with, as far as it matters for counts."""
    core = Path(topic_codec.__file__).read_bytes()
    return {
        "processor": f"{platform.machine()}{_find_vector_unit()}",
        "python": f"{platform.python_implementation()} {sys.version_info.major}.{sys.version_info.minor}",
        "compiler": _find_compiler(core),
        "cython": _find_version(rb"_cython_(\d+)_(\d+)_\d+", core),
        "libc": "-".join(platform.libc_ver()),
        "libstdc++": _find_libstdcxx(),
    }


def count_instructions(works: Sequence[str]) -> dict[str, float]:
    """Count the instructions for a frame.

    Parameters
    ----------
    works : `Sequence` [`str`]
        Kinds of work, keys of `WORKS`.

    Returns
    -------
    counts : `dict` [`str`, `float`]
        Instructions for a frame, by kind of work.

    Raises
    ------
    RuntimeError
        If valgrind is missing, or a run fails.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise RuntimeError("valgrind is not installed (Debian, Ubuntu: apt-get install valgrind)")
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        return dict(zip(works, executor.map(lambda work: _count_work(valgrind, work), works), strict=True))


def find_figures(known: Sequence[Figures], environment: Mapping[str, str]) -> Figures | None:
    """Find the figures whose environment has most in common with this one.

    Returns
    -------
    figures : `Figures` or `None`
        `None` if there are none for this kind of processor.
    """
    similar = [figures for figures in known if figures.environment["processor"] == environment["processor"]]
    return max(
        similar, key=lambda figures: len(environment.items() & figures.environment.items()), default=None
    )


def compare(counts: Mapping[str, float], figures: Figures, margin: float) -> bool:
    """Print a table of counts and figures; tell whether all are within the margin.

    Parameters
    ----------
    counts : `Mapping` [`str`, `float`]
        Instructions for a frame, by kind of work.
    figures : `Figures`
        What they are compared with.
    margin : `float`
        By how much a count may exceed its figure [per cent].
    """
    print(f"{'instructions a frame':26}{'counted':>10}{'figure':>10}{'change':>10}")
    is_good = True
    for work, count in counts.items():
        figure = figures.instructions_per_frame.get(work)
        if figure is None:
            print(f"{work:26}{count:10,.0f}{'none':>10}  refresh the figures")
            is_good = False
            continue
        change = 100 * (count / figure - 1)
        verdict = "  TOO MANY" if change > margin else "  fewer: refresh" if change < -margin else ""
        is_good = is_good and change <= margin
        print(f"{work:26}{count:10,.0f}{figure:10,.0f}{change:+9.1f}%{verdict}")
    return is_good


def _count_work(valgrind: str, work: str) -> float:
    """Return the instructions for a frame of one kind of work."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "counts"
        result = subprocess.run(
            [
                valgrind,
                "--tool=callgrind",
                # Each call ends a count, in a file of its own: before the passes, and behind them.
                "--dump-before=getppid",
                f"--callgrind-out-file={output}",
                *(sys.executable, "-m", "bench.guard_work", work, str(NUM_FRAMES)),
            ],
            env={**os.environ, **RUN_VARIABLES},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT,
            check=False,
        )
        if result.returncode != 0:
            raise RuntimeError(f"valgrind ended with status {result.returncode}: {result.stderr[-2000:]}")
        passes = output.with_name("counts.2").read_text()
    totals = re.search(r"^totals: (\d+)", passes, re.MULTILINE)
    if totals is None:
        raise RuntimeError("callgrind's output has no totals")
    return round(int(totals[1]) / int(result.stdout), 1)


def _find_vector_unit() -> str:
    """The C library has variants of its functions for processors with AVX2."""
    cpuinfo = Path("/proc/cpuinfo")
    has_avx2 = cpuinfo.exists() and re.search(r"\bavx2\b", cpuinfo.read_text()) is not None
    return " with AVX2" if has_avx2 else ""


def _find_compiler(binary: bytes) -> str:
    """The compiler leaves its version in what it compiles."""
    for name, pattern in (("clang", rb"clang version (\d+)"), ("GCC", rb"GCC: \([^)]*\) (\d+)")):
        if found := re.search(pattern, binary):
            return f"{name} {found[1].decode()}"
    return "unknown"


def _find_version(pattern: bytes, binary: bytes) -> str:
    found = re.search(pattern, binary)
    return "unknown" if found is None else ".".join(group.decode() for group in found.groups())


def _find_libstdcxx() -> str:
    maps = Path("/proc/self/maps")
    found = re.search(r"\S*/libstdc\+\+\.so\S*", maps.read_text()) if maps.exists() else None
    return "unknown" if found is None else Path(found[0]).resolve().name.removeprefix("libstdc++.so.")


def read_figures() -> list[Figures]:
    """Read the committed figures."""
    return [Figures(**entry) for entry in json.loads(FIGURES_PATH.read_text(encoding="utf-8"))]


def refresh_figures(known: Sequence[Figures], new: Figures) -> None:
    """Write the figures, with new ones for one environment."""
    kept = [figures for figures in known if figures.environment != new.environment]
    text = json.dumps([asdict(figures) for figures in [*kept, new]], indent=2)
    FIGURES_PATH.write_text(text + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, compare and tell; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__)
    parser.add_argument(
        "--refresh", action="store_true", help="write what is counted as the figures of this environment"
    )
    options = parser.parse_args(arguments)
    environment = describe_environment()
    print("environment:", ", ".join(f"{name} {value}" for name, value in environment.items()))
    try:
        counts = count_instructions(list(WORKS))
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    known = read_figures()
    figures = find_figures(known, environment)
    if options.refresh:
        refresh_figures(known, Figures(environment, counts))
    if figures is None:
        print(f"There are no figures for {environment['processor']}; nothing is compared.")
        for work, count in counts.items():
            print(f"{work:26}{count:10,.0f}")
        return 0
    is_exact = figures.environment == environment
    margin = EXACT_MARGIN if is_exact else LOOSE_MARGIN
    if not is_exact:
        others = dict(figures.environment.items() - environment.items())
        print(
            "The figures are of another environment:",
            ", ".join(f"{k} {v}" for k, v in sorted(others.items())),
        )
    is_good = compare(counts, figures, margin)
    print(f"A count may exceed its figure by {margin:g} %{'' if is_good else '; at least one does more'}.")
    return 0 if is_good or options.refresh else 1


if __name__ == "__main__":
    sys.exit(main())
