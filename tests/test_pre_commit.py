"""The hooks of pre-commit run from the environment alone, and find what is wrong."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
(REPOSITORY,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]

CLEAN = '"""Clean."""\n'
#: A name that is not used, and white space where none belongs.
FAULTY = {".py": '"""Faulty."""\nimport os\nNUMBERS = [ ]\n', ".pyx": "def f():\n    cdef int x = 1  \n"}


@pytest.mark.slow
@pytest.mark.parametrize("hook", REPOSITORY["hooks"], ids=lambda hook: hook["id"])
def test_hook(hook: dict[str, Any], tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    suffix = ".py" if "types_or" in hook else ".pyx"

    def run(text: str) -> tuple[bool, str]:
        """Return whether the hook lets the text pass: status 0, and the file stays as it was."""
        path = tmp_path / f"subject{suffix}"
        path.write_text(text)
        result = subprocess.run(
            [*shlex.split(hook["entry"]), path.name],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in result.stderr, result.stderr
        return result.returncode == 0 and path.read_text() == text, result.stdout + result.stderr

    passes, output = run(CLEAN)
    assert passes, output
    passes, output = run(FAULTY[suffix])
    assert not passes, output
