"""The programs run this distribution's package, whatever else is on the path."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lsst.ts import mtmount

from .decoys import BETRAYAL, KINDS, make_decoy

PACKAGE = Path(mtmount.__file__ or "").parent
ROOT = PACKAGE.parents[2]

LOAD = """
import mtmount_telemetry_launcher as launcher
package = launcher.load_package()
assert launcher.load_package() is package
import lsst.ts.mtmount
from lsst.ts.mtmount.core import Record
from lsst.ts import mtmount
assert mtmount is lsst.ts.mtmount is package
print(package.__file__)
"""

LOAD_AND_IMPORT_SALOBJ = LOAD + "import lsst.ts.salobj\nprint(lsst.ts.salobj.__file__)\n"


def run(*arguments: str, path: list[Path], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with a PYTHONPATH."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_our_package_is_loaded_beside_a_decoy(tmp_path: Path, kind: str) -> None:
    decoy = make_decoy(tmp_path, kind)
    code = LOAD if kind == "bare" else LOAD_AND_IMPORT_SALOBJ
    result = run("-W", "error", "-c", code, path=[decoy, ROOT])
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert Path(lines[0]) == PACKAGE / "__init__.py"
    assert lines[1:] == ([] if kind == "bare" else [str(decoy / "lsst" / "ts" / "salobj" / "__init__.py")])


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_the_decoy_is_what_a_plain_import_gets(tmp_path: Path, kind: str) -> None:
    decoy = make_decoy(tmp_path, kind)
    result = run("-c", "import lsst.ts.mtmount", path=[decoy, ROOT])
    assert (result.returncode, result.stderr.strip()) == (1, BETRAYAL)


@pytest.mark.parametrize("kind", KINDS)
def test_the_program_says_what_it_runs(tmp_path: Path, kind: str) -> None:
    program = Path(sys.executable).with_name("run_mtmount_telemetry_client")
    assert program.is_file()
    result = run(str(program), "--which", path=[make_decoy(tmp_path, kind)])
    assert result.returncode == 0, result.stderr
    assert f"package: {PACKAGE}\n" in result.stdout
    assert mtmount.__version__ in result.stdout
    # That of the decoy is found, and is none that can be used.
    assert ("of the decoy" in result.stdout) == (kind != "bare")
    assert "SAL backend: builtin (lsst.ts.salobj" in result.stdout
    assert BETRAYAL not in result.stdout + result.stderr


def test_which_needs_no_kafka_and_may_fail(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("run_mtmount_telemetry_client"))
    builtin = run(program, "--which", "--sal-backend=builtin", path=[], LSST_TOPIC_SUBNAME="")
    assert builtin.returncode == 0, builtin.stderr
    assert "SAL backend: builtin\n" in builtin.stdout
    salobj = run(program, "--which", "--sal-backend=salobj", path=[make_decoy(tmp_path, "namespace")])
    assert salobj.returncode == 1
    assert "it is none that publishes to Kafka" in salobj.stdout


def test_a_host_is_required() -> None:
    program = str(Path(sys.executable).with_name("run_mtmount_telemetry_client"))
    result = run(program, path=[])
    assert result.returncode == 2
    assert "--host" in result.stderr


def test_another_package_that_was_imported_before_is_an_error(tmp_path: Path) -> None:
    other = tmp_path / "lsst" / "ts" / "mtmount"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    code = "import lsst.ts.mtmount, mtmount_telemetry_launcher as l; l.load_package()"
    result = run("-c", code, path=[tmp_path, ROOT])
    assert result.returncode == 1
    assert f"lsst.ts.mtmount was imported from {other / '__init__.py'} before" in result.stderr


def test_a_broken_package_is_not_left_behind(tmp_path: Path) -> None:
    launcher = ROOT / "mtmount_telemetry_launcher.py"
    (tmp_path / launcher.name).write_text(launcher.read_text())
    broken = tmp_path / "lsst" / "ts" / "mtmount"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("import no_such_module")
    shutil.copytree(PACKAGE / "program", broken / "program")
    code = (
        "import sys, mtmount_telemetry_launcher as l\n"
        "for _ in range(2):\n"
        "    try: l.load_package()\n"
        "    except ModuleNotFoundError as error: print(error, 'lsst.ts.mtmount' in sys.modules)\n"
    )
    result = run("-c", code, path=[tmp_path])
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["No module named 'no_such_module' False"] * 2


def test_an_import_warns_of_a_neighbour(tmp_path: Path) -> None:
    decoy = make_decoy(tmp_path, "namespace")
    result = run("-W", "always", "-c", "import lsst.ts.mtmount", path=[ROOT, decoy])
    assert result.returncode == 0, result.stderr
    assert f"another lsst.ts.mtmount is at {decoy / 'lsst' / 'ts' / 'mtmount'}" in result.stderr
    assert "cannot share an environment" in result.stderr


def test_an_import_without_a_neighbour_is_silent() -> None:
    result = run("-W", "always", "-c", "import lsst.ts.mtmount", path=[ROOT])
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    "module",
    ["adopt", "compare_interfaces", "demo", "mock_tma", "monitor", "record_tma", "run_client", "stress"],
)
def test_a_command_started_as_a_module_is_a_program(module: str) -> None:
    command = [sys.executable, "-m", f"lsst.ts.mtmount.commands.{module}", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip().endswith(mtmount.__version__)
