"""What make says of an environment that is there already."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "check_environment"
VERSION = "{}.{}".format(*sys.version_info)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    folder = tmp_path / "an environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    return folder


def check(folder: Path, python: str = "") -> str:
    """Return what it prints, which is nothing if and only if the environment can be used."""
    done = subprocess.run([TOOL, folder, python], stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode == 0) == (done.stderr == "")
    return done.stderr


def test_usable(environment: Path, tmp_path: Path) -> None:
    assert check(environment) == ""
    assert check(environment, sys.executable) == ""
    assert check(tmp_path / "none") == ""
    (tmp_path / "link").symlink_to(environment)
    assert check(tmp_path / "link") == ""


def test_of_another_python(environment: Path, tmp_path: Path) -> None:
    other = tmp_path / "python3.10"
    other.write_text("#!/bin/sh\necho 3.10\n")
    other.chmod(0o755)
    expected = f"expected an environment of Python 3.10 in {environment}, got one of Python {VERSION}"
    assert check(environment, str(other)) == f"{expected} (rm -r {environment} makes way for a new one)\n"


def test_whose_python_is_gone(environment: Path) -> None:
    (environment / "bin" / "python").unlink()
    assert check(environment).startswith(f"expected a Python in {environment}, got one that does not start (")


def test_moved(environment: Path, tmp_path: Path) -> None:
    moved = environment.rename(tmp_path / "moved")
    expected = f"expected an environment made in {moved}, got one made in {environment} ("
    assert check(moved).startswith(expected)
