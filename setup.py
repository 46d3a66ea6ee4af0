"""Build the Cython extensions of the core.

Everything else about the package is declared in ``pyproject.toml``.

Environment variables
---------------------
``MTMOUNT_DEBUG``
    ``1``: a debug build, with bounds checks, assertions, line tracing and
    annotated sources.
``MTMOUNT_SANITIZE``
    Comma-separated sanitizers, e.g. ``address,undefined``.
``MTMOUNT_FUZZ``
    ``1``: tell a fuzzer which branches an input takes.

Each combination of these builds in a folder of its own under ``build/``.
"""

import multiprocessing
import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).resolve().parent
PACKAGE = "lsst.ts.mtmount.core"
PROCESSORS = len(os.sched_getaffinity(0))

DEBUG = os.environ.get("MTMOUNT_DEBUG", "") == "1"
SANITIZE = os.environ.get("MTMOUNT_SANITIZE", "")
FUZZ = os.environ.get("MTMOUNT_FUZZ", "") == "1"
BUILD_FOLDER = "build/" + "-".join(
    filter(None, ["debug" if DEBUG else "release", SANITIZE.replace(",", "-"), "fuzz" if FUZZ else ""])
)

compile_args = ["-std=c++17", "-Wall", "-Wextra"]
link_args: list[str] = []
if DEBUG:
    compile_args += ["-O0", "-g", "-UNDEBUG", "-D_GLIBCXX_ASSERTIONS"]
else:
    compile_args += ["-O2", "-g0", "-DNDEBUG"]
if SANITIZE:
    flags = [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all", "-g"]
    compile_args += [*flags, "-D_GLIBCXX_ASSERTIONS"]
    link_args += flags
added_sources: list[str] = []
if FUZZ:
    # The fuzzer brings the sanitizers' run-time library, but for virtual functions.
    compile_args += ["-fsanitize-coverage=trace-pc,trace-cmp", "-fno-sanitize=vptr"]
    link_args = []
    added_sources += ["tests/fuzz/coverage.cc"]
macros: list[tuple[str, str | None]] = [("CYTHON_TRACE_NOGIL", "1")] if DEBUG else []


def make_extension(source: Path) -> Extension:
    """Describe the extension module that one ``.pyx`` file builds."""
    return Extension(
        name=f"{PACKAGE}.{source.stem}",
        sources=[str(source.relative_to(ROOT)), *added_sources],
        include_dirs=["ext"],
        depends=["setup.py", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "ext").glob("*.hpp"))],
        language="c++",
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        define_macros=macros,
    )


os.chdir(ROOT)
# Cython's processes: of Python 3.14's default kind, each would run this file anew.
multiprocessing.set_start_method("fork", force=True)
modules = sorted((ROOT / "ext").glob("*.pyx"))
if not modules:
    sys.exit("the sources of the core (ext/*.pyx) are missing: an incomplete source distribution?")
# Cython looks neither for its directives below, nor for what one module cimports from another within a
# namespace package.
declarations = [ROOT / "setup.py", *(ROOT / "src").rglob("*.pxd")]
inputs = [*(ROOT / "ext").iterdir(), *declarations]
generated = [ROOT / BUILD_FOLDER / "cython" / "ext" / f"{source.stem}.cpp" for source in modules]


def is_newer(path: Path, others: list[Path]) -> bool:
    """Is it there, and newer than each of the others?"""
    return path.exists() and path.stat().st_mtime > max(other.stat().st_mtime for other in others)


if "--force" not in sys.argv and all(is_newer(path, inputs) for path in generated):
    # Cython would do all again where its own files are new: in each environment that pip makes for a build.
    extensions = [make_extension(path) for path in generated]
else:
    extensions = cythonize(
        [make_extension(source) for source in modules],
        include_path=["src"],
        annotate=DEBUG,
        nthreads=PROCESSORS,
        build_dir=f"{BUILD_FOLDER}/cython",
        force="--force" in sys.argv
        or any(path.exists() and not is_newer(path, declarations) for path in generated),
        compiler_directives={
            "language_level": "3",
            "binding": True,
            "embedsignature": False,
            "cdivision": True,
            "linetrace": DEBUG,
        },
    )

setup(
    ext_modules=extensions,
    options={"build": {"build_base": BUILD_FOLDER}, "build_ext": {"parallel": PROCESSORS}},
)
