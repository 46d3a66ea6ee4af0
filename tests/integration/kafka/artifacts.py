"""Fetch the servers' jar files from Maven Central into a cache folder, once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")

#: Goal of the dependency plugin that fetches each server; the executions are in ``pom.xml``.
GOALS = {"kafka": "dependency:copy-dependencies@kafka", "registry": "dependency:unpack@registry"}

#: The oldest Java that a Kafka 4 broker runs on.
MIN_JAVA_VERSION = 17

#: Needed programs: Maven fetches, setpriv ends the servers with the tests, openssl makes certificates.
REQUIRED_PROGRAMS = ("java", "mvn", "setpriv", "openssl")

#: Longest time for one download [s].
FETCH_TIMEOUT = 900.0


class ArtifactError(RuntimeError):
    """A server could not be fetched."""


def find_missing_tool() -> str | None:
    """Say what this machine lacks to run the servers.

    Returns
    -------
    str or None
        The reason in words, or None if nothing is missing.
    """
    for program in REQUIRED_PROGRAMS:
        if shutil.which(program) is None:
            return f"the program {program!r} is not installed"
    output = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60).stderr
    match = re.search(r'version "(\d+)', output)
    if match is None:
        return f"'java -version' names no version: {output.strip()[:200]!r}"
    if int(match[1]) < MIN_JAVA_VERSION:
        return f"Java {match[1]} is installed, Kafka 4 needs Java {MIN_JAVA_VERSION} or newer"
    return None


def get_cache_folder() -> Path:
    """Return the folder for downloads, which need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ts-mtmount-telemetry"


def fetch(server: str) -> Path:
    """Return the folder with a server's files; download them if they are not there yet.

    Parameters
    ----------
    server : `str`
        A key of `GOALS`.

    Returns
    -------
    pathlib.Path
        Named after the content of ``pom.xml``, so that a new version there is fetched anew.

    Raises
    ------
    ArtifactError
        If Maven fails.
    """
    cache = get_cache_folder()
    folder = cache / f"{server}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=cache, prefix=f"{server}-") as scratch:
                download = Path(scratch) / "download"
                _run_maven(GOALS[server], download)
                # Only a whole download gets the final name.
                download.rename(folder)
    return folder


def _run_maven(goal: str, output_folder: Path) -> None:
    """Run one goal of the POM file."""
    command = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", f"--file={POM}"]
    command += ["-Dstyle.color=never", f"-Doutput.folder={output_folder}", goal]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise ArtifactError(f"Maven did not end within {FETCH_TIMEOUT:.0f} s: {goal}") from error
    if result.returncode != 0:
        # The first line tells what happened, the others how to use Maven.
        message = (result.stdout + result.stderr).strip().partition("\n")[0]
        raise ArtifactError(f"Maven failed: {goal}: {message}")
