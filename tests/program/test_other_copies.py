"""Two distributions of one package in one folder: the wrong copy is noticed."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lsst.ts import mtmount

PACKAGE = Path(mtmount.__file__ or "").parent
ROOT = PACKAGE.parents[2]

RUN = "import sys, mtmount_telemetry_launcher as launcher; sys.exit(launcher.run_client())"


def write_distribution(site: Path, name: str, version: str, files: list[str]) -> None:
    """Write what an installer writes."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for file in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256((site / file).read_bytes()).digest()).rstrip(b"=")
        lines.append(f"{file},sha256={digest.decode()},1\n")
    (folder / "RECORD").write_text("".join(lines))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site-packages with this distribution."""
    ignored = shutil.ignore_patterns("__pycache__")
    package = tmp_path / "lsst" / "ts" / "mtmount"
    shutil.copytree(PACKAGE, package, ignore=ignored)
    shutil.copy(ROOT / "mtmount_telemetry_launcher.py", tmp_path)
    modules = [
        str(path.relative_to(tmp_path)) for path in (tmp_path / "lsst" / "ts" / "mtmount").glob("*.py")
    ]
    write_distribution(tmp_path, "ts-mtmount-telemetry", "1.0", modules)
    return tmp_path


def run(site: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", RUN, *options],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_one_distribution(site: Path) -> None:
    result = run(site, "--which")
    assert result.returncode == 0, result.stderr
    assert f"package: {site / 'lsst' / 'ts' / 'mtmount'}" in result.stdout
    assert "warning" not in result.stdout


@pytest.mark.parametrize("module", ["__init__.py", "telemetry_client.py"])
@pytest.mark.parametrize("options", [["--which"], ["--host=127.0.0.1"]])
def test_module_that_was_overwritten(site: Path, module: str, options: list[str]) -> None:
    (site / "lsst" / "ts" / "mtmount" / module).write_text("print('the other one runs')\n")
    write_distribution(site, "ts-mtmount", "0.30.1", [f"lsst/ts/mtmount/{module}"])
    result = run(site, *options)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert "expected ts-mtmount-telemetry 1.0 in" in line
    assert "got ts-mtmount 0.30.1" in line


def test_other_distribution_elsewhere(site: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    write_distribution(other, "ts-mtmount", "0.30.1", [])
    result = subprocess.run(
        [sys.executable, "-P", "-c", RUN, "--which"],
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{other}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert f"warning: there is also ts-mtmount 0.30.1 in {other}" in result.stdout
