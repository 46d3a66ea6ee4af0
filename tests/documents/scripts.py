"""Runs a shell script of the documents in a folder and a network of its own."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["BRING_UP_LOOPBACK", "OWN_NETWORK", "TIME_LIMIT", "run_script"]

ROOT = Path(__file__).parents[2]
#: How long the blocks of one page may take [s]; some install the package, also beside other work.
TIME_LIMIT = 600

#: A network of its own: the ports that the pages name are free there, whatever else runs here.
OWN_NETWORK = ("unshare", "--map-root-user", "--net", sys.executable, "-c")
#: Its loopback interface is made without being up; SIOCSIFFLAGS of Linux sets IFF_UP. Then run the command.
BRING_UP_LOOPBACK = """\
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as interface:
    fcntl.ioctl(interface, 0x8914, struct.pack("16sh", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def run_script(script: str, folder: Path, network: Sequence[str], variables: Mapping[str, str]) -> None:
    """Run a script in an empty folder, with a link to the checkout, and this Python's programs on the PATH.

    Parameters
    ----------
    script
        For bash.
    folder
        Where it runs.
    network
        What comes before a command that is to have a network of its own.
    variables
        Further ones of the environment.
    """
    (folder / "ts-mtmount-telemetry").symlink_to(ROOT)
    environment = {
        "HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "MTMOUNT": str(folder / "mtmount-telemetry"),
        **variables,
    }
    output = folder / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [*network, "bash", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(TIME_LIMIT)
        finally:
            # What the script started in the background, if that still runs.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    text = output.read_text(encoding="utf-8", errors="replace")
    assert status == 0, text[-5000:]
