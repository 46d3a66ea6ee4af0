"""Start this distribution's programs, whatever else is on the path.

The observatory's set-up puts its own ``lsst/ts/mtmount`` on PYTHONPATH, which
comes before any site-packages. A program of this distribution must run this
distribution's package all the same, and may still take ``lsst.ts.salobj``
from there. So the programs start here, in a module whose name nothing else
has, and the package is loaded from beside this file.
"""

import importlib.util
import sys
import types
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

PACKAGE = "lsst.ts.mtmount"
ROOT = Path(__file__).resolve().parent


def load_package() -> types.ModuleType:
    """Load ``lsst.ts.mtmount`` from beside this file.

    Raises
    ------
    ImportError
        If another ``lsst.ts.mtmount`` was imported before, or this
        distribution's is not there.
    """
    location = ROOT.joinpath(*PACKAGE.split("."))
    loaded = sys.modules.get(PACKAGE)
    if loaded is not None:
        if Path(loaded.__file__ or "").resolve().parent != location:
            raise ImportError(f"{PACKAGE} was imported from {loaded.__file__} before")
        return loaded
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    parent = _import_parent()
    spec = importlib.util.spec_from_file_location(
        PACKAGE, location / "__init__.py", submodule_search_locations=[str(location)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{PACKAGE} is not at {location}")
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    try:
        with warnings.catch_warnings():
            # Another one on the path is what this module is for.
            warnings.filterwarnings("ignore", message="another lsst.ts.mtmount")
            spec.loader.exec_module(package)
    except BaseException:
        del sys.modules[PACKAGE]
        raise
    parent.mtmount = package  # type: ignore[attr-defined]
    return package


def _import_parent() -> types.ModuleType:
    """Import ``lsst.ts``; somebody's ``lsst`` may be no namespace package, and have no ``ts``."""
    lsst = import_module("lsst")
    try:
        return import_module("lsst.ts")
    except ModuleNotFoundError:
        lsst.__path__.append(str(ROOT / "lsst"))
        return import_module("lsst.ts")


def _main_of(command: str) -> Callable[[], int]:
    load_package()
    main: Callable[[], int] = import_module(f"{PACKAGE}.commands.{command}").main
    return main


def run_client() -> int:
    """Run ``run_mtmount_telemetry_client``."""
    return _main_of("run_client")()


def run_mock_tma() -> int:
    """Run ``run_mock_tma_telemetry``."""
    return _main_of("mock_tma")()


def run_stress() -> int:
    """Run ``stress_mtmount_telemetry``."""
    return _main_of("stress")()


def run_demo() -> int:
    """Run ``demo_mtmount_telemetry``."""
    return _main_of("demo")()


def run_monitor() -> int:
    """Run ``monitor_mtmount_telemetry``."""
    return _main_of("monitor")()


def run_adopt() -> int:
    """Run ``adopt_mtmount_telemetry_client``."""
    return _main_of("adopt")()
