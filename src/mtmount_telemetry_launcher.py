"""Start this distribution's programs, whatever else is on the path.

The observatory's set-up puts its own ``lsst/ts/mtmount`` on PYTHONPATH, which
comes before any site-packages. A program of this distribution must run this
distribution's package all the same, and may still take ``lsst.ts.salobj``
from there. So the programs start here, in a module whose name nothing else
has, and the package is loaded from beside this file.
"""

from __future__ import annotations

import os
import sys

# What takes milliseconds is imported where it is used: a signal may come meanwhile.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from typing import Any

PACKAGE = "lsst.ts.mtmount"
ROOT = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120

#: How long a program may take to end after a signal, alone and with the programs it has started [s].
END_LIMIT = 25.0
CHILDREN_LIMIT = 60.0


def load_package() -> types.ModuleType:
    """Load ``lsst.ts.mtmount`` from beside this file.

    Raises
    ------
    ImportError
        If another ``lsst.ts.mtmount`` was imported before, this
        distribution's is not there, or another one has overwritten it.
    """
    import importlib.util
    import warnings

    location = os.path.join(ROOT, *PACKAGE.split("."))  # noqa: PTH118
    loaded = sys.modules.get(PACKAGE)
    if loaded is not None:
        if os.path.dirname(os.path.realpath(loaded.__file__ or "")) != location:  # noqa: PTH120
            raise ImportError(f"{PACKAGE} was imported from {loaded.__file__} before")
        return loaded
    if ROOT not in sys.path:
        sys.path.append(ROOT)
    _load_alone("other_copies").check_copy()
    parent = _import_parent()
    spec = importlib.util.spec_from_file_location(
        PACKAGE,
        os.path.join(location, "__init__.py"),  # noqa: PTH118
        submodule_search_locations=[location],
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


def _load_alone(name: str) -> Any:
    """Load a module of ``program/`` that needs nothing of the package, which is not loaded for it."""
    import importlib.util

    full_name = f"{PACKAGE}.program.{name}"
    if full_name not in sys.modules:
        path = os.path.join(ROOT, *full_name.split(".")) + ".py"  # noqa: PTH118
        spec = importlib.util.spec_from_file_location(full_name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        # The package's own imports find it there.
        sys.modules[full_name] = module
    return sys.modules[full_name]


def _import_parent() -> types.ModuleType:
    """Import ``lsst.ts``; somebody's ``lsst`` may be no namespace package, and have no ``ts``."""
    import importlib

    lsst = importlib.import_module("lsst")
    try:
        return importlib.import_module("lsst.ts")
    except ModuleNotFoundError:
        lsst.__path__.append(os.path.join(ROOT, "lsst"))  # noqa: PTH118
        return importlib.import_module("lsst.ts")


def _run(command: str, *, is_held: bool = True, **options: Any) -> int:
    """Run a module of ``commands/`` and end the process; see `run_to_end` for the options.

    Unless ``is_held``, a signal ends it at once. Only another copy of the package returns from here.
    """
    # Built in, unlike signal, which takes milliseconds to import.
    import _signal  # type: ignore[import-not-found]

    waiting = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGUSR1)
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, waiting)
    try:
        bootstrap = _load_alone("bootstrap")
        bootstrap.open_standard_descriptors()
        signals = bootstrap.hold_signals() if is_held else bootstrap.let_signals_end()
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
    import importlib

    try:
        load_package()
    except ImportError as error:
        # One line says it all where there is another copy.
        if type(error).__name__ != "WrongCopyError":
            raise
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)  # noqa: PTH119
        return 1
    main = importlib.import_module(f"{PACKAGE}.commands.{command}").main
    runner = importlib.import_module(f"{PACKAGE}.commands.runner")
    status: int = runner.run_to_end(main, signals, **options)
    return status


def run_client() -> int:
    """Run ``run_mtmount_telemetry_client``."""
    return _run("run_client")


def run_mock_tma() -> int:
    """Run ``run_mock_tma_telemetry``."""
    return _run("mock_tma", end_limit=END_LIMIT)


def run_stress() -> int:
    """Run ``stress_mtmount_telemetry``."""
    return _run("stress", end_limit=CHILDREN_LIMIT)


def run_demo() -> int:
    """Run ``demo_mtmount_telemetry``."""
    return _run("demo", end_limit=CHILDREN_LIMIT)


def run_record() -> int:
    """Run ``record_tma_telemetry``."""
    return _run("record_tma", end_limit=END_LIMIT)


def run_monitor() -> int:
    """Run ``monitor_mtmount_telemetry``."""
    return _run("monitor", end_limit=END_LIMIT)


def run_adopt() -> int:
    """Run ``adopt_mtmount_telemetry_client``."""
    return _run("adopt", is_held=False)


def run_compare() -> int:
    """Run ``compare_mtmount_interfaces``."""
    return _run("compare_interfaces", is_held=False, failure=2)
