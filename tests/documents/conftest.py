"""Fixtures of the tests of documents."""

import shutil
import subprocess

import pytest

from .scripts import BRING_UP_LOOPBACK, OWN_NETWORK


@pytest.fixture(scope="session")
def own_network() -> list[str]:
    """What comes before a command that is to have a network of its own."""
    prefix = [*OWN_NETWORK, BRING_UP_LOOPBACK]
    if shutil.which(prefix[0]) is None:
        pytest.skip("needs unshare (util-linux)")
    trial = subprocess.run([*prefix, "true"], capture_output=True, text=True, timeout=60, check=False)
    if trial.returncode != 0:
        pytest.skip(f"needs the right to make a network namespace: {trial.stderr.strip()[-200:]}")
    return prefix
